"""Part 10 files for tests: pydicom's own samples, and generated ones."""

import io
import random
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from shared.dicom.bulk_values import find_bulk_value
from shared.dicom.dicom_file import DicomFileError, DicomFileLimits, DicomFileReader, DicomInstance
from shared.dicom.file_meta import read_header

# Listed from the package itself: pydicom.data's functions would download the samples that are not in it.
_DATA = Path(pydicom.__file__).parent / "data"
CHARACTER_SET_SAMPLES = sorted((_DATA / "charset_files").glob("*.dcm"))
# Two end in the middle of something; the third has one private attribute, and does not say how it is encoded.
REFUSED_SAMPLES = ("MR_truncated.dcm", "rtplan_truncated.dcm", "meta_missing_tsyntax.dcm")
SAMPLES = CHARACTER_SET_SAMPLES + sorted(
    path
    for path in (_DATA / "test_files").rglob("*")
    if path.is_file() and path.name not in REFUSED_SAMPLES and path.read_bytes()[128:132] == b"DICM"
)
ALL_ENCODINGS = pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian], ids=lambda syntax: syntax.name
)


def sample(name: str) -> bytes:
    """The bytes of the sample with this file name."""
    return next(path for path in (_DATA / "test_files").rglob(name)).read_bytes()


def chunks(data: bytes, seed: int) -> Iterable[bytes]:
    """`data` in chunks of random lengths, small and large."""
    rng = random.Random(seed)
    position = 0
    while position < len(data):
        size = rng.choice((1, 3, 17, 500, 9_000, 200_000))
        yield data[position : position + size]
        position += size


def read_chunks(parts: Iterable[bytes], limits: DicomFileLimits | None = None) -> tuple[bytes, DicomInstance]:
    """The bytes stored for a file that arrives in these parts, and what it is."""
    reader = DicomFileReader(limits=limits or DicomFileLimits())
    stored = [reader.feed(part) for part in parts]
    last, instance = reader.finish()
    return b"".join([*stored, last]), instance


def read(data: bytes, limits: DicomFileLimits | None = None) -> tuple[bytes, DicomInstance]:
    """The bytes stored for a file that arrives at once, and what it is."""
    return read_chunks([data], limits)


def frames_of(stored: bytes, instance: DicomInstance) -> list[bytes]:
    """Every frame, cut from the stored file as a retrieve does."""
    table = instance.frames
    assert table is not None
    return [
        table.cut(number, b"".join(stored[offset : offset + length] for offset, length in table.byte_ranges(number)))
        for number in range(1, table.frame_count + 1)
    ]


def data_set(**attributes: Any) -> Dataset:
    """A data set with identifiers and these attributes."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.StudyInstanceUID = "1.2"
    dataset.SeriesInstanceUID = "1.2.3"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def image(pixel_data: bytes, **attributes: Any) -> Dataset:
    """A data set of an image of 2 rows by 3 columns of a byte each, unless `attributes` say otherwise."""
    described = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 2,
        "Columns": 3,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
    }
    dataset = data_set(**(described | attributes))
    dataset.add_new("PixelData", "OB", pixel_data)
    return dataset


def part10(dataset: Dataset, transfer_syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The Part 10 file of a data set, written by pydicom."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    if transfer_syntax.is_encapsulated and "PixelData" in dataset:
        dataset["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def part10_of(encoded: bytes, transfer_syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The Part 10 file of an already encoded data set, for what pydicom would not write."""
    head = part10(data_set(), transfer_syntax)
    group_length = int.from_bytes(head[140:144], "little")
    return head[: 144 + group_length] + encoded


def read_bulk_value(data: bytes, path: str) -> tuple[bytes, str]:
    """The bulk value at a path of a stored file without its Pixel Data element, and its VR."""
    _, data_set = read_header(data, DicomFileLimits())
    return find_bulk_value(data_set, path)


def refusal(data: bytes, limits: DicomFileLimits | None = None) -> str:
    """Why a file is refused."""
    with pytest.raises(DicomFileError) as error:
        read(data, limits)
    return str(error.value)


def nested(depth: int, *, is_undefined: bool) -> bytes:
    """Sequences within sequences, encoded."""
    encoded = b""
    for _ in range(depth):
        if is_undefined:
            begin = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
            encoded = begin + encoded + bytes.fromhex("feff0de000000000 feffdde000000000")
        else:
            item = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(encoded)) + encoded
            encoded = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, len(item)) + item
    return encoded

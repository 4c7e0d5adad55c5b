"""What a reader holds is freed with it, whatever it met: errors leave no cycles, which stay until a collection."""

import struct

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from shared.dicom.dicom_file import DicomFileError
from tests.support.garbage import left_in_cycles
from tests.support.part10_files import data_set, image, nested, part10, part10_of, read_chunks

TEXTS = b"".join(
    struct.pack("<HH2sHL", 0x0009, number, b"LT", 0, 600)[:6] + b"\x58\x02" + 600 * b"x" for number in range(16, 64)
)
FILES = {
    "whole": part10(image(bytes(2_000), Rows=1, Columns=1_000)),
    "with sequences": part10(data_set(OtherPatientIDsSequence=[Dataset() for _ in range(300)])),
    "deep": part10_of(nested(4, is_undefined=True)),
    "in implicit VR": part10(image(bytes(200)), ImplicitVRLittleEndian),
    "deflated": part10(image(bytes(200)), DeflatedExplicitVRLittleEndian),
    "long": part10(data_set()) + TEXTS,
    "too deep": part10_of(nested(400, is_undefined=True)),
    "cut": part10(image(bytes(200)))[:-7],
    "cut in its meta group": part10(image(bytes(200)))[:150],
    "no file": b"nothing of the kind" * 100,
    "damaged": part10(image(bytes(200))).replace(b"\x28\x00\x10\x00US", b"\xfe\xff\x0d\xe0??"),
}
LENGTHS = (7, 100, 10_000)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("length", LENGTHS)
def test_a_file_that_comes_in_chunks_leaves_no_cycle(name: str, length: int) -> None:
    file, refused = FILES[name], False
    with left_in_cycles() as left:
        try:
            read_chunks(file[start : start + length] for start in range(0, len(file), length))
        except DicomFileError:
            refused = True
    assert refused == (name in ("too deep", "cut", "cut in its meta group", "no file", "damaged"))
    assert left == []

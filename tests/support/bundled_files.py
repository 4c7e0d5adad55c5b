"""The images that come with pydicom: their frames as they are stored, and as pydicom decodes them."""

from collections.abc import Iterator
from copy import copy, deepcopy
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)

from shared.imaging.image_pixels import ImagePixels

_DATA = Path(pydicom.__file__).parent / "data"
_PATHS = sorted(path for path in _DATA.rglob("*") if path.is_file() and path.read_bytes()[128:132] == b"DICM")
_MOST_FRAMES = 10


@dataclass(frozen=True, slots=True)
class BundledFrame:
    """A frame of a file: as it is stored, and as pydicom decodes it, with its Photometric Interpretation."""

    stored: bytes
    transfer_syntax_uid: str
    pixels: ImagePixels
    vr: str
    expected: np.ndarray[Any, np.dtype[Any]]
    expected_photometric_interpretation: str


def paths() -> list[Path]:
    """All files."""
    return _PATHS


def path_of(name: str) -> Path:
    """The file with this name."""
    return next(path for path in _PATHS if path.name == name)


def bundled_frame(name: str, frame_index: int = 0) -> BundledFrame:
    """A frame of the file with this name."""
    return next(islice(bundled_frames(path_of(name)), frame_index, None))


@cache
def decodable_paths() -> list[Path]:
    """The files with an image that pydicom decodes."""
    return [path for path in _PATHS if _can_be_decoded(path)]


def bundled_frames(path: Path) -> Iterator[BundledFrame]:
    """The first frames of a file, ten at most."""
    data_set = pydicom.dcmread(path)
    syntax = _transfer_syntax(data_set)
    pixels = ImagePixels.of(data_set)
    for index, stored in enumerate(islice(_stored_frames(data_set, pixels), _MOST_FRAMES)):
        expected, photometric_interpretation = _expected(data_set, index)
        yield BundledFrame(stored, syntax, pixels, data_set["PixelData"].VR, expected, photometric_interpretation)


def stored_frame(name: str) -> tuple[bytes, str, ImagePixels]:
    """The first frame of a file as it is stored, its transfer syntax, and what the data set says of it."""
    data_set = pydicom.dcmread(path_of(name))
    pixels = ImagePixels.of(data_set)
    return next(_stored_frames(data_set, pixels)), data_set.file_meta.TransferSyntaxUID, pixels


def with_words_of_16_bits(data_set: Dataset) -> Dataset:
    """An image in OW and big endian whose pixels are longer than words, in little endian; else the same.

    pydicom takes its words to be as long as pixels, not as PS3.5 6.2, DCMTK and GDCM have it.
    """
    if _transfer_syntax(data_set) != ExplicitVRBigEndian or data_set.BitsAllocated <= 16:
        return data_set
    turned = deepcopy(data_set)
    turned.PixelData = np.frombuffer(data_set.PixelData, ">u2").astype("<u2").tobytes()
    turned.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return turned


def _stored_frames(data_set: Dataset, pixels: ImagePixels) -> Iterator[bytes]:
    frame_count = int(data_set.get("NumberOfFrames") or 1)
    if data_set["PixelData"].is_undefined_length:
        yield from islice(generate_frames(data_set.PixelData, number_of_frames=frame_count), frame_count)
        return
    has_shared_chroma = pixels.photometric_interpretation == "YBR_FULL_422"
    frame_bytes = pixels.frame_bytes * 2 // 3 if has_shared_chroma else pixels.frame_bytes
    for start in range(0, frame_count * frame_bytes, frame_bytes):
        # A single frame keeps its padding, with which a big endian word of an odd frame ends.
        yield data_set.PixelData[start : start + frame_bytes] if frame_count > 1 else data_set.PixelData


def _expected(data_set: Dataset, frame_index: int) -> tuple[np.ndarray[Any, np.dtype[Any]], str]:
    """The samples that pydicom decodes, by its own plugins only, and their Photometric Interpretation."""
    data_set = with_words_of_16_bits(data_set)
    syntax = _transfer_syntax(data_set)
    plugin = ""
    if syntax == JPEGExtended12Bit:
        # GDCM reads 12 bits, which pydicom allows only in this transfer syntax.
        data_set = copy(data_set)
        data_set.file_meta = FileMetaDataset()
        data_set.file_meta.TransferSyntaxUID = syntax = JPEGLossless
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        plugin = "gdcm"
    expected, properties = get_decoder(syntax).as_array(
        data_set, index=frame_index, raw=syntax != JPEGBaseline8Bit, decoding_plugin=plugin
    )
    return expected, str(properties["photometric_interpretation"])


def _transfer_syntax(data_set: Dataset) -> UID:
    return UID(data_set.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian))


def _can_be_decoded(path: Path) -> bool:
    data_set = pydicom.dcmread(path)
    if "PixelData" not in data_set:
        return False
    try:
        _expected(data_set, 0)
    except Exception:  # noqa: BLE001
        return False
    return True

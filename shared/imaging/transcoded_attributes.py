"""The attributes that say how pixels are encoded, and change with the transfer syntax (PS3.3 C.7.6.1.1.5, C.7.6.3)."""

from collections.abc import Mapping
from struct import pack
from typing import Final

from pydicom.dataset import Dataset

from shared.dicom.element_values import raw_value
from shared.dicom.transfer_syntaxes import LOSSY_METHODS
from shared.imaging.image_pixels import ImagePixels

_LOSSY_IMAGE_COMPRESSION: Final = 0x00282110
_LOSSY_IMAGE_COMPRESSION_METHOD: Final = 0x00282114
_EXTENDED_OFFSET_TABLES: Final = (0x7FE00001, 0x7FE00002)  # of the stored fragments


def transcoded_attributes(
    data_set: Dataset, pixels: ImagePixels, stored_uid: str
) -> Mapping[int, tuple[str, bytes] | None]:
    """By tag, the VR and little-endian value to write in place of what `data_set` has; None: left out.

    `pixels` describes the image once transcoded, `stored_uid` is the transfer syntax that it was encoded in: where that
    may have lost something, the image says so ever after.
    """
    replaced: dict[int, tuple[str, bytes] | None] = {
        0x00280002: ("US", pack("<H", pixels.samples_per_pixel)),
        0x00280004: ("CS", code_string(pixels.photometric_interpretation)),
        0x00280100: ("US", pack("<H", pixels.bits_allocated)),
        **dict.fromkeys(_EXTENDED_OFFSET_TABLES),
    }
    if pixels.keyword == "PixelData":
        replaced[0x00280101] = ("US", pack("<H", pixels.bits_stored))
        replaced[0x00280102] = ("US", pack("<H", pixels.bits_stored - 1))
        replaced[0x00280103] = ("US", pack("<H", pixels.is_signed))
    if pixels.samples_per_pixel > 1:
        replaced[0x00280006] = ("US", pack("<H", pixels.planar_configuration))
    if stored_uid in LOSSY_METHODS:
        replaced[_LOSSY_IMAGE_COMPRESSION] = ("CS", b"01")
        if not raw_value(data_set, _LOSSY_IMAGE_COMPRESSION_METHOD):
            replaced[_LOSSY_IMAGE_COMPRESSION_METHOD] = ("CS", code_string(LOSSY_METHODS[stored_uid]))
    return replaced


def code_string(text: str) -> bytes:
    """The value of an attribute of VR CS, of even length (PS3.5 6.2)."""
    return text.encode() + b" " * (len(text) % 2)

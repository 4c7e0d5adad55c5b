"""Transfer syntaxes (PS3.5 A, PS3.6 A): one table says what is known of each, and all else is derived from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"

OCTET_STREAM: Final = "application/octet-stream"


class PixelCoding(StrEnum):
    """How the pixels of a frame are encoded, where there is a codec for it here."""

    NATIVE = "native"  # PS3.5 8.1: not encapsulated
    ENCAPSULATED = "encapsulated"  # PS3.5 A.4.11: native, each frame in a fragment
    DEFLATED = "deflated"  # PS3.5 A.4.13: native, each frame compressed
    RLE = "RLE"
    JPEG = "JPEG"  # DCT: the lossy processes
    JPEG_LOSSLESS = "JPEG lossless"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"  # the same codec reads HTJ2K


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """A transfer syntax.

    `frame_media_type` is what a stored frame is sent as. `coding` is None where frames cannot be decoded
    here. `encoding_preference` is the rank among those that frames are encoded in, 1 first; 0 is not among them.
    `lossy_method` is the Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1) of one that may have lost something.
    If `is_deflated`, the whole data set is compressed, so that nothing in it has a place in the file.
    """

    uid: str
    frame_media_type: str = OCTET_STREAM
    coding: PixelCoding | None = None
    encoding_preference: int = 0
    lossy_method: str = ""
    is_deflated: bool = False


_JPEG, _JPEG_LS, _JPEG_2000, _HTJ2K = "image/jpeg", "image/jls", "image/jp2", "image/jphc"
_PART_2, _JPEG_XL, _MPEG_2, _MPEG_4, _HEVC = "image/jpx", "image/jxl", "video/mpeg", "video/mp4", "video/H265"

# By media type, in the order in which they are documented.
TRANSFER_SYNTAXES: Final = (
    TransferSyntax(IMPLICIT_VR_LITTLE_ENDIAN, coding=PixelCoding.NATIVE),
    TransferSyntax(EXPLICIT_VR_LITTLE_ENDIAN, coding=PixelCoding.NATIVE, encoding_preference=1),
    TransferSyntax(EXPLICIT_VR_BIG_ENDIAN, coding=PixelCoding.NATIVE),
    TransferSyntax(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, coding=PixelCoding.NATIVE, is_deflated=True),
    TransferSyntax("1.2.840.10008.1.2.1.98", coding=PixelCoding.ENCAPSULATED),
    TransferSyntax("1.2.840.10008.1.2.4.95", is_deflated=True),  # JPIP Referenced Deflate (PS3.5 A.7)
    TransferSyntax("1.2.840.10008.1.2.4.205", is_deflated=True),  # JPIP HTJ2K Referenced Deflate (PS3.5 A.9)
    TransferSyntax("1.2.840.10008.1.2.8.1", "application/x-deflate", PixelCoding.DEFLATED),
    TransferSyntax("1.2.840.10008.1.2.5", "image/dicom-rle", PixelCoding.RLE, encoding_preference=4),
    TransferSyntax(JPEG_BASELINE, _JPEG, PixelCoding.JPEG, lossy_method="ISO_10918_1"),
    TransferSyntax("1.2.840.10008.1.2.4.51", _JPEG, PixelCoding.JPEG, lossy_method="ISO_10918_1"),
    TransferSyntax("1.2.840.10008.1.2.4.53", _JPEG, PixelCoding.JPEG, lossy_method="ISO_10918_1"),
    TransferSyntax("1.2.840.10008.1.2.4.55", _JPEG, PixelCoding.JPEG, lossy_method="ISO_10918_1"),
    TransferSyntax("1.2.840.10008.1.2.4.57", _JPEG, PixelCoding.JPEG_LOSSLESS),
    TransferSyntax("1.2.840.10008.1.2.4.70", _JPEG, PixelCoding.JPEG_LOSSLESS),
    TransferSyntax("1.2.840.10008.1.2.4.80", _JPEG_LS, PixelCoding.JPEG_LS, encoding_preference=3),
    TransferSyntax("1.2.840.10008.1.2.4.81", _JPEG_LS, PixelCoding.JPEG_LS, lossy_method="ISO_14495_1"),
    TransferSyntax("1.2.840.10008.1.2.4.90", _JPEG_2000, PixelCoding.JPEG_2000, encoding_preference=2),
    TransferSyntax("1.2.840.10008.1.2.4.91", _JPEG_2000, PixelCoding.JPEG_2000, lossy_method="ISO_15444_1"),
    TransferSyntax("1.2.840.10008.1.2.4.92", _PART_2),
    TransferSyntax("1.2.840.10008.1.2.4.93", _PART_2),
    TransferSyntax("1.2.840.10008.1.2.4.201", _HTJ2K, PixelCoding.JPEG_2000),
    TransferSyntax("1.2.840.10008.1.2.4.202", _HTJ2K, PixelCoding.JPEG_2000),
    TransferSyntax("1.2.840.10008.1.2.4.203", _HTJ2K, PixelCoding.JPEG_2000, lossy_method="ISO_15444_15"),
    TransferSyntax("1.2.840.10008.1.2.4.110", _JPEG_XL),
    TransferSyntax("1.2.840.10008.1.2.4.111", _JPEG_XL),
    TransferSyntax("1.2.840.10008.1.2.4.112", _JPEG_XL),
    TransferSyntax("1.2.840.10008.1.2.4.100", _MPEG_2),
    TransferSyntax("1.2.840.10008.1.2.4.100.1", _MPEG_2),
    TransferSyntax("1.2.840.10008.1.2.4.101", _MPEG_2),
    TransferSyntax("1.2.840.10008.1.2.4.101.1", _MPEG_2),
    TransferSyntax("1.2.840.10008.1.2.4.102", _MPEG_4),
    TransferSyntax("1.2.840.10008.1.2.4.102.1", _MPEG_4),
    TransferSyntax("1.2.840.10008.1.2.4.103", _MPEG_4),
    TransferSyntax("1.2.840.10008.1.2.4.103.1", _MPEG_4),
    TransferSyntax("1.2.840.10008.1.2.4.104", _MPEG_4),
    TransferSyntax("1.2.840.10008.1.2.4.104.1", _MPEG_4),
    TransferSyntax("1.2.840.10008.1.2.4.105", _MPEG_4),
    TransferSyntax("1.2.840.10008.1.2.4.105.1", _MPEG_4),
    TransferSyntax("1.2.840.10008.1.2.4.106", _MPEG_4),
    TransferSyntax("1.2.840.10008.1.2.4.106.1", _MPEG_4),
    TransferSyntax("1.2.840.10008.1.2.4.107", _HEVC),
    TransferSyntax("1.2.840.10008.1.2.4.108", _HEVC),
)
"""Those known here; in any other, frames are sent as stored, as octets."""

NATIVE: Final = frozenset(row.uid for row in TRANSFER_SYNTAXES if row.coding is PixelCoding.NATIVE)
"""Those whose Pixel Data is not encapsulated (PS3.5 A.4)."""

DEFLATED: Final = frozenset(row.uid for row in TRANSFER_SYNTAXES if row.is_deflated)
"""Those whose whole data set is compressed."""

DECODABLE: Final = frozenset(row.uid for row in TRANSFER_SYNTAXES if row.coding)
"""Those whose frames can be decoded, and so encoded otherwise, or rendered."""

ENCODABLE: Final = tuple(
    row.uid for row in sorted(TRANSFER_SYNTAXES, key=lambda row: row.encoding_preference) if row.encoding_preference
)
"""Those that instances and frames stored in another can be sent in, in order of preference."""

LOSSY_METHODS: Final[Mapping[str, str]] = MappingProxyType(
    {row.uid: row.lossy_method for row in TRANSFER_SYNTAXES if row.lossy_method}
)
"""Those that may have lost something, with the Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1)."""

FRAME_MEDIA_TYPES: Final = tuple(dict.fromkeys(row.frame_media_type for row in TRANSFER_SYNTAXES))
"""All media types that stored frames are sent as."""

_FRAME_MEDIA_TYPE_BY_UID: Final = {row.uid: row.frame_media_type for row in TRANSFER_SYNTAXES}


def frame_media_type(transfer_syntax_uid: str) -> str:
    """The media type of a stored frame in a transfer syntax; `application/octet-stream` for a native one."""
    return _FRAME_MEDIA_TYPE_BY_UID.get(transfer_syntax_uid, OCTET_STREAM)


def frame_transfer_syntax(transfer_syntax_uid: str) -> str:
    """The transfer syntax to name for a stored frame: implicit and explicit VR have the same native pixels."""
    return EXPLICIT_VR_LITTLE_ENDIAN if transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN else transfer_syntax_uid


def is_video(transfer_syntax_uid: str) -> bool:
    """Whether the frames of a transfer syntax are one stream."""
    return frame_media_type(transfer_syntax_uid).startswith("video/")

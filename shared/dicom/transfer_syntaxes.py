"""Transfer syntaxes (PS3.6 A): which of them lie how in a file, and what a frame in them is sent as."""

from typing import Final

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"

RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"

NATIVE: Final = frozenset(
    {
        IMPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_BIG_ENDIAN,
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    }
)
"""Those whose Pixel Data is not encapsulated (PS3.5 A.4)."""

DEFLATED: Final = frozenset(
    {
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate (PS3.5 A.7)
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate (PS3.5 A.9)
    }
)
"""Those whose whole data set is compressed, so that nothing in it has a place in the file."""

_FAMILY: Final = "1.2.840.10008.1.2."

DECODABLE: Final = NATIVE | frozenset(
    _FAMILY + suffix
    for suffix in ("4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "4.91", "4.201", "4.202", "4.203", "5")
)
"""Those whose frames can be made native, and so be encoded otherwise, or rendered."""

ENCODABLE: Final = (EXPLICIT_VR_LITTLE_ENDIAN, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS)
"""Those in which instances and frames can be sent that are stored in another, in the order of preference."""

LOSSY_METHODS: Final = {
    _FAMILY + "4.50": "ISO_10918_1",
    _FAMILY + "4.51": "ISO_10918_1",
    _FAMILY + "4.81": "ISO_14495_1",
    _FAMILY + "4.91": "ISO_15444_1",
    _FAMILY + "4.203": "ISO_15444_15",
}
"""Those that may have lost something, with the Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1)."""

OCTET_STREAM: Final = "application/octet-stream"

_FRAME_MEDIA_TYPES: Final = {
    "image/dicom-rle": ("5",),
    "image/jpeg": ("4.50", "4.51", "4.57", "4.70"),
    "image/jls": ("4.80", "4.81"),
    "image/jp2": ("4.90", "4.91"),
    "image/jpx": ("4.92", "4.93"),
    "image/jphc": ("4.201", "4.202", "4.203"),
    "image/jxl": ("4.110", "4.111", "4.112"),
    "video/mpeg": ("4.100", "4.100.1", "4.101", "4.101.1"),
    "video/mp4": tuple(f"4.{number}{suffix}" for number in range(102, 107) for suffix in ("", ".1")),
    "video/H265": ("4.107", "4.108"),
}
FRAME_MEDIA_TYPES: Final = (OCTET_STREAM, *_FRAME_MEDIA_TYPES)
"""All that frames are sent as."""

_MEDIA_TYPE_BY_UID: Final = {
    _FAMILY + suffix: media_type for media_type, suffixes in _FRAME_MEDIA_TYPES.items() for suffix in suffixes
}


def frame_media_type(transfer_syntax_uid: str) -> str:
    """The media type of a frame as it is stored in a transfer syntax; a native one's is `application/octet-stream`."""
    return _MEDIA_TYPE_BY_UID.get(transfer_syntax_uid, OCTET_STREAM)


def frame_transfer_syntax(transfer_syntax_uid: str) -> str:
    """The transfer syntax to name for a stored frame: implicit and explicit VR have the same native pixels."""
    return EXPLICIT_VR_LITTLE_ENDIAN if transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN else transfer_syntax_uid


def is_video(transfer_syntax_uid: str) -> bool:
    """Whether the frames of a transfer syntax are one stream."""
    return frame_media_type(transfer_syntax_uid).startswith("video/")

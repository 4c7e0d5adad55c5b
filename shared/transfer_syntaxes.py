"""Transfer syntaxes (PS3.6 A): which of them lie how in a file, and what a frame in them is sent as."""

from typing import Final

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"

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

OCTET_STREAM: Final = "application/octet-stream"

_FAMILY: Final = "1.2.840.10008.1.2."
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
_MEDIA_TYPE_BY_UID: Final = {
    _FAMILY + suffix: media_type for media_type, suffixes in _FRAME_MEDIA_TYPES.items() for suffix in suffixes
}


def frame_media_type(transfer_syntax_uid: str) -> str:
    """The media type of a frame as it is stored in a transfer syntax; a native one's is `application/octet-stream`."""
    return _MEDIA_TYPE_BY_UID.get(transfer_syntax_uid, OCTET_STREAM)


def frame_transfer_syntax(transfer_syntax_uid: str) -> str:
    """The transfer syntax to name for a stored frame: implicit and explicit VR have the same native pixels."""
    return EXPLICIT_VR_LITTLE_ENDIAN if transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN else transfer_syntax_uid

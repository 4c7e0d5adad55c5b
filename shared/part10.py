"""What comes before the data set of a DICOM file: preamble, prefix and file meta group (PS3.10 7.1).

Clients also send data sets without some or all of it. What is stored always has all of it, with a preamble of zeros: a
preamble may hold the head of another format, and make a program of a file that passes for an image.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.elements import (
    DicomFileError,
    DicomFileLimits,
    ElementWalker,
    Encoding,
)
from shared.identifiers import MAX_UID_LENGTH, is_uid
from shared.value_representations import ENCODED_VRS, dictionary_vr

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"

NATIVE_TRANSFER_SYNTAXES: Final = frozenset(
    {
        IMPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_BIG_ENDIAN,
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    }
)
DEFLATED_TRANSFER_SYNTAXES: Final = frozenset(
    {
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate (PS3.5 A.7)
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate (PS3.5 A.9)
    }
)
# Every other transfer syntax is in Explicit VR Little Endian (PS3.5 A.4).
_ENCODINGS: Final = {
    IMPLICIT_VR_LITTLE_ENDIAN: Encoding(is_implicit_vr=True),
    EXPLICIT_VR_BIG_ENDIAN: Encoding(is_implicit_vr=False, byte_order=">"),
}

_PREAMBLE: Final = bytes(128)
_PREFIX: Final = b"DICM"
_PREFIXED: Final = len(_PREAMBLE) + len(_PREFIX)
_FIRST_GROUP: Final = 0x0004  # of a DICOMDIR; other data sets begin with 0008
_SWAPPED_GROUP: Final = _FIRST_GROUP << 8

_GROUP_LENGTH: Final = 0x00020000
_TRANSFER_SYNTAX_UID: Final = 0x00020010
_IMPLEMENTATION_CLASS_UID: Final = "2.25.217347430706284696547132738520179672132"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """What was read before the data set.

    `encoded` are the elements of the file meta group, whole, by tag; `data_set_offset` is where the data set begins in
    the bytes read. `transfer_syntax_uid` is a valid UID; where the file names none, it is the one that the data set
    must be in.
    """

    encoded: Mapping[int, bytes]
    has_prefix: bool
    data_set_offset: int
    transfer_syntax_uid: str

    @property
    def encoding(self) -> Encoding:
        """How the data set is encoded, once inflated."""
        return _ENCODINGS.get(self.transfer_syntax_uid, Encoding(is_implicit_vr=False))

    @property
    def is_deflated(self) -> bool:
        """Whether the data set is deflated (PS3.5 A.5)."""
        return self.transfer_syntax_uid in DEFLATED_TRANSFER_SYNTAXES

    def stored(self, received: bytes | bytearray, *, sop_class_uid: str, sop_instance_uid: str) -> bytes:
        """What is stored before the data set: all of PS3.10 7.1, with a preamble of zeros.

        `received` are the bytes that this was read from; a file meta group that names its transfer syntax stays as it
        is there. The UIDs are only used where there is none.
        """
        if _TRANSFER_SYNTAX_UID in self.encoded:
            begin = _PREFIXED if self.has_prefix else 0
            return _PREAMBLE + _PREFIX + bytes(received[begin : self.data_set_offset])
        encoded = {
            0x00020001: _explicit(0x00020001, b"OB\0\0" + struct.pack("<L", 2), b"\0\1"),
            0x00020002: _explicit_uid(0x00020002, sop_class_uid),
            0x00020003: _explicit_uid(0x00020003, sop_instance_uid),
            0x00020012: _explicit_uid(0x00020012, _IMPLEMENTATION_CLASS_UID),
            **self.encoded,
            _TRANSFER_SYNTAX_UID: _explicit_uid(_TRANSFER_SYNTAX_UID, self.transfer_syntax_uid),
        }
        encoded.pop(_GROUP_LENGTH, None)
        group = b"".join(encoded[tag] for tag in sorted(encoded))
        return _PREAMBLE + _PREFIX + _explicit(_GROUP_LENGTH, b"UL\4\0", struct.pack("<L", len(group))) + group


class FileMetaReader:
    """Reads everything before the data set from `data`, which may still be growing at its end."""

    def __init__(self, data: bytes | bytearray, *, limits: DicomFileLimits) -> None:
        self._data = data
        self._limits = limits
        self._walker: ElementWalker | None = None
        self._needed = _PREFIXED

    def advance(self, *, is_last: bool) -> FileMeta | None:
        """What was read, or None when more is needed, which is only so while not `is_last`.

        Raises DicomFileError when this is not a DICOM file, or cannot be told to be one.
        """
        if len(self._data) < self._needed and not is_last:
            return None
        begin = _PREFIXED if self._has_prefix else 0
        if self._walker is None:
            meta_encoding = Encoding(is_implicit_vr=False)  # of every file: PS3.10 7.1
            self._walker = ElementWalker(self._data, begin, meta_encoding, limits=self._limits, stop=_is_after_meta)
        walker = self._walker
        if not walker.advance(is_last=is_last):
            self._needed = walker.needed
            return None
        encoded = {}
        for element in walker.elements:
            end = element.offset + element.length
            encoded[element.tag] = bytes(self._data[begin:end])
            begin = end
        return FileMeta(
            encoded=encoded,
            has_prefix=self._has_prefix,
            data_set_offset=walker.position,
            transfer_syntax_uid=self._transfer_syntax_uid(walker),
        )

    @property
    def _has_prefix(self) -> bool:
        return self._data[len(_PREAMBLE) : _PREFIXED] == _PREFIX

    def _transfer_syntax_uid(self, walker: ElementWalker) -> str:
        for element in walker.elements:
            if element.tag == _TRANSFER_SYNTAX_UID:
                value = self._data[element.offset : element.offset + element.length]
                uid = value.decode("latin-1").strip("\0 ")
                if not is_uid(uid):
                    raise DicomFileError("Transfer Syntax UID (0002,0010) is not a UID.")
                return uid
        return _guessed_transfer_syntax_uid(bytes(self._data[walker.position : walker.position + 8]))


def _is_after_meta(tag: int) -> bool:
    return tag >> 16 != 0x0002


def _guessed_transfer_syntax_uid(beginning: bytes) -> str:
    """The native transfer syntax in which a data set is that begins with these 8 bytes."""
    if len(beginning) == 8:
        has_vr = beginning[4:6] in ENCODED_VRS
        group, number = struct.unpack("<HH", beginning[:4])
        is_big_endian = group >= _SWAPPED_GROUP
        if has_vr:
            return EXPLICIT_VR_BIG_ENDIAN if is_big_endian else EXPLICIT_VR_LITTLE_ENDIAN
        # The first attribute of any data set is a standard one.
        if group >= _FIRST_GROUP and dictionary_vr(group << 16 | number, {}) != "UN":
            return IMPLICIT_VR_LITTLE_ENDIAN
    raise DicomFileError("This is not a DICOM file: it has no prefix, and does not begin as a data set does.")


def _explicit(tag: int, head: bytes, value: bytes) -> bytes:
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + head + value


def _explicit_uid(tag: int, uid: str) -> bytes:
    value = uid.encode("ascii", "replace")[:MAX_UID_LENGTH]
    value += b"\0" * (len(value) % 2)
    return _explicit(tag, b"UI" + struct.pack("<H", len(value)), value)

"""The target that reads data sets built by the bytes of an input: nearly whole ones, which changed files seldom are.

Each byte is a choice: an encoding, a tag, a VR, a length, whether a length is said or left open, or wrong.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from shared.dicom.items import UNDEFINED_LENGTH
from tests.fuzzing.files import check_file, check_long_elements
from tests.support.part10_files import part10_of

_SYNTAXES: Final = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
_VRS: Final = (*sorted(STANDARD_VR), "??", "ZZ")
_TAGS: Final = (
    *(0x00080000, 0x00080005, 0x00080016, 0x00080018, 0x00080020, 0x00080060, 0x00081140, 0x00090010, 0x00091001),
    *(0x00100010, 0x00100020, 0x0020000D, 0x0020000E, 0x00200013, 0x00280002, 0x00280006, 0x00280008, 0x00280010),
    *(0x00280011, 0x00280100, 0x00280103, 0x00280106, 0x00281201, 0x0040A043, 0x0040A730, 0x00420011, 0x00880200),
    *(0x52009229, 0x52009230, 0x60003000, 0x7FE00001, 0x7FE00002, 0x7FE00008, 0x7FE00010, 0xFFFAFFFA, 0xFFFCFFFC),
    *(0x00000002, 0x00020010, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x00090009),
)
_VALUES: Final = (
    *(
        b"",
        b"1.2.3",
        b"ISO_IR 192",
        b"ISO 2022 IR 6\\ISO 2022 IR 87",
        b"GB18030",
        b"A^B=C^D",
        b"\x1b$B;3\x1b(B",
        b"\\\\",
    ),
    *(b"20260105", b"1\0", b"\2\0", b"\xff\xd8\xff\xd9", b"nan", b"\0\0\xc0\x7f", b"1e400", b"\xed\xa0\x80"),
)
_MAX_DEPTH: Final = 6
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


def check_data_set(data: bytes) -> None:
    """Data sets of any structure are read in one way, whether their elements are held or not."""
    file = _Builder(data).file()
    check_file(file)
    check_long_elements(file)


def data_set_seeds() -> Iterator[bytes]:
    """A choice of everything, and one of each encoding."""
    yield bytes(range(256))
    yield from (bytes((syntax, *range(60 * syntax, 60 * syntax + 80))) for syntax in range(len(_SYNTAXES) - 2))
    yield from (bytes((syntax, *range(200, 100, -1))) for syntax in range(len(_SYNTAXES)))


class _Builder:
    """Builds a file; where the choices end, all that follow are 0."""

    def __init__(self, choices: bytes) -> None:
        self._choices = iter(choices)
        self._left = len(choices)
        self._syntax = _SYNTAXES[self._choose(len(_SYNTAXES))]
        self._is_implicit = self._syntax == ImplicitVRLittleEndian
        self._order = ">" if self._syntax == ExplicitVRBigEndian else "<"

    def file(self) -> bytes:
        encoded = self._elements(0)
        if self._syntax == DeflatedExplicitVRLittleEndian:
            deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            encoded = deflater.compress(encoded) + deflater.flush()
        return part10_of(encoded, self._syntax)

    def _choose(self, count: int) -> int:
        self._left -= 1
        return next(self._choices, 0) % count

    def _elements(self, depth: int) -> bytes:
        """Elements, in order of their tags but for one chance in eight."""
        chosen = [_TAGS[self._choose(len(_TAGS))] for _ in range(self._choose(12))]
        tags = chosen if self._choose(8) == 7 else sorted(set(chosen))
        return b"".join(self._element(tag, depth) for tag in tags if self._left > 0)

    def _element(self, tag: int, depth: int) -> bytes:
        form = self._choose(8)
        if form < 4 or depth == _MAX_DEPTH:
            value = self._value()
            return self._head(tag, _VRS[self._choose(len(_VRS))], len(value)) + value
        if form == 4:
            value = self._value()
            return self._head(tag, _VRS[self._choose(len(_VRS))], self._choose(256)) + value
        vr = "SQ" if form < 7 else _VRS[self._choose(len(_VRS))]
        items = b"".join(self._item(depth + 1) for _ in range(self._choose(4)))
        if form == 5:
            return self._head(tag, vr, len(items)) + items
        return self._head(tag, vr, UNDEFINED_LENGTH) + items + self._tag(_SEQUENCE_END, 0)

    def _item(self, depth: int) -> bytes:
        form = self._choose(8)
        content = self._value() if form == 0 else self._elements(depth)
        if form < 4:
            return self._tag(_ITEM, len(content)) + content
        if form == 4:
            return self._tag(_ITEM, self._choose(256)) + content
        return self._tag(_ITEM, UNDEFINED_LENGTH) + content + self._tag(_ITEM_END, 0)

    def _value(self) -> bytes:
        size = self._choose(32)
        if size < len(_VALUES):
            return _VALUES[size] + b" " * (len(_VALUES[size]) % 2)
        return bytes(self._choose(256) for _ in range(size - len(_VALUES)))

    def _head(self, tag: int, vr: str, length: int) -> bytes:
        if self._is_implicit:
            return self._tag(tag, length)
        form = "HH2sxxL" if vr in EXPLICIT_VR_LENGTH_32 else "HH2sH"
        length = length if vr in EXPLICIT_VR_LENGTH_32 else min(length, 0xFFFF)
        return struct.pack(f"{self._order}{form}", tag >> 16, tag & 0xFFFF, vr.encode(), length)

    def _tag(self, tag: int, length: int) -> bytes:
        return struct.pack(f"{self._order}HHL", tag >> 16, tag & 0xFFFF, length)

"""The bytes that pydicom parses, so that it never sees a false end, and reads the heads that devices get wrong."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from typing import Any, BinaryIO, Final, NoReturn

from pydicom import filereader
from pydicom.dataset import Dataset
from pydicom.filereader import read_sequence

from shared.dicom.element_heads import (
    LENGTH_BYTES,
    STAND_INS,
    TAG_BYTES,
    VR_BYTES,
    HeadWalk,
    is_unknown_vr,
    readable_vr,
)
from shared.dicom.items import ITEM_TAGS, UNDEFINED_LENGTH, item_delimitation
from shared.dicom.parsing import HEAD_BYTES, DicomFileError, Encoding, HeadCount, Malformed

_CHARACTER_SET_HEADS: Final = (b"\x08\0\x05\0", b"\0\x08\0\x05")
_UNDEFINED: Final = UNDEFINED_LENGTH.to_bytes(4, "little")  # in either byte order
_MAX_CHARACTER_SET_BYTES: Final = 1024  # all defined terms together have 500; pydicom's time is quadratic


class Source(BytesIO):
    """Bytes to parse, where a short read fails instead, and `needed` is how many bytes there must be.

    Heads that pydicom would misread are mended as they are read; what had to be assumed is noted in `heads`. `ends_at`
    is where the data set may end, once that is known.
    """

    def __init__(self, data: bytes, heads: HeadCount, encoding: Encoding, *, is_sequence: bool = False) -> None:
        super().__init__(data)
        self._is_character_set = False
        self.heads = heads
        self.needed = 0
        self.ends_at = range(0)
        self.mends_vrs = True
        self.restart(encoding, 0, is_sequence=is_sequence)

    def restart(self, encoding: Encoding, position: int, *, is_sequence: bool = False) -> None:
        """Read on at `position`: an element, or in a sequence an item."""
        self._walk = HeadWalk(encoding, is_sequence=is_sequence)
        self.seek(position)

    @property
    def is_at_unknown(self) -> bool:
        """Whether the last head was that of an element with VR UN."""
        return self._walk.is_unknown

    @contextmanager
    def in_little_endian(self) -> Iterator[None]:
        """Read heads in little endian inside the context."""
        outer, self._walk = self._walk, HeadWalk(replace(self._walk.encoding, is_little_endian=True), is_sequence=True)
        yield
        self._walk = outer
        outer.leave_sequence()

    def read(self, size: int | None = -1, /) -> bytes:
        """Read the next `size` bytes. Raises Malformed when there are fewer, and DicomFileError over a limit."""
        data = super().read(size)
        wanted = size or 0
        if len(data) < wanted:
            self._fail(self.tell() - len(data) + wanted)
        if wanted == HEAD_BYTES:
            self._is_character_set = data.startswith(_CHARACTER_SET_HEADS)
            self.heads.add()
        elif self._is_character_set and wanted > _MAX_CHARACTER_SET_BYTES:
            raise DicomFileError(f"Specific Character Set is longer than {_MAX_CHARACTER_SET_BYTES} bytes.")
        if self._is_character_set and data.endswith(_UNDEFINED):
            raise DicomFileError("Specific Character Set is a sequence.")
        if wanted == HEAD_BYTES:
            return self._mended(self.tell() - wanted, data)
        if wanted == LENGTH_BYTES:
            self._walk.note_length(self.tell() - wanted, data)
        elif wanted == VR_BYTES and self._walk.is_vr(self.tell() - wanted):
            return self.vr_at(self.tell() - wanted - TAG_BYTES)
        return data

    def vr_at(self, position: int) -> bytes:
        """What stands for the VR of the element there, so that pydicom reads its length as it was written."""
        vr = readable_vr(self._head_at, position, self.ends_at, self._walk.encoding)
        if vr in STAND_INS and is_unknown_vr(self._head_at(position)):
            self.heads.assumptions.add("Elements have a VR that does not exist; that of the dictionary is assumed.")
        return vr

    def _head_at(self, position: int) -> bytes:
        with self.getbuffer() as data:
            head = bytes(data[position : position + HEAD_BYTES])
        if len(head) < HEAD_BYTES:
            self._fail(position + HEAD_BYTES)
        return head

    def _mended(self, position: int, head: bytes) -> bytes:
        walk = self._walk
        if walk.is_value(position):
            return head
        if walk.is_explicit_vr and self.mends_vrs and is_unknown_vr(head):
            head = head[:TAG_BYTES] + self.vr_at(position) + head[TAG_BYTES + VR_BYTES :]
        if not walk.follow(position, head):
            self.heads.assumptions.add("Items have no delimiter; they are assumed to end with their sequence.")
            self.seek(position)
            head = item_delimitation(is_little_endian=walk.encoding.is_little_endian)
            walk.follow(position, head)
        return head

    def _fail(self, needed: int) -> NoReturn:
        self.needed = needed
        raise Malformed("The data set is shorter than its content.")

    def check_items(self, items: Sequence[Dataset]) -> None:
        """Raise Malformed where something else was read as an item: pydicom does not look at the tags."""
        with self.getbuffer() as data:
            if any(bytes(data[item.seq_item_tell : item.seq_item_tell + 4]) not in ITEM_TAGS for item in items):
                raise Malformed("A sequence holds something other than items.")


def _read_sequence(source: BinaryIO, is_implicit_vr: bool, is_little_endian: bool, *rest: Any) -> Any:
    """Read a sequence of undefined length as pydicom does, but one of VR UN in little endian (PS3.5 6.2.2)."""
    if is_little_endian or not isinstance(source, Source) or not source.is_at_unknown:
        return read_sequence(source, is_implicit_vr, is_little_endian, *rest)
    with source.in_little_endian():
        return read_sequence(source, is_implicit_vr, True, *rest)


# pydicom's reader of elements looks its reader of sequences up there, and does not say of which VR they are.
filereader.read_sequence = _read_sequence  # type: ignore[assignment]

"""Follows the heads of elements and items that pydicom reads, to mend those that devices are known to get wrong.

Two kinds are mended as DCMTK and GDCM read them: VRs that do not exist, whose length pydicom takes from the wrong
bytes, and items of undefined length that end with their sequence, without a delimiter of their own.
"""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, Final

from pydicom.filereader import ENCODED_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from shared.dicom.items import (
    ITEM,
    ITEM_DELIMITATION,
    ITEM_HEAD_BYTES,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
)

if TYPE_CHECKING:
    from shared.dicom.parsing import Encoding

TAG_BYTES: Final = 4
VR_BYTES: Final = 2
LENGTH_BYTES: Final = 4

_FORMS: Final = {True: (Struct("<HH2sH"), Struct("<L")), False: (Struct(">HH2sH"), Struct(">L"))}  # by little endian
_LONG_VRS: Final = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_32)
_SHORT_UNKNOWN: Final = b"XX"  # does not exist, but pydicom reads a length of 16 bits after two capitals
_LONG_UNKNOWN: Final = b"UN"
STAND_INS: Final = frozenset({_SHORT_UNKNOWN, _LONG_UNKNOWN})
"""What `readable_vr` puts in place of a VR that does not exist."""

_DELIMITERS_GROUP: Final = ITEM >> 16
_DELIMITERS_GROUPS: Final = frozenset({b"\xfe\xff", b"\xff\xfe"})  # in either byte order
_MAX_SHORT_LENGTH: Final = 0xFFFF
_PRINTABLE: Final = range(0x20, 0x7F)


class HeadWalk:
    """Where the parser is among the elements and items whose heads it reads, from the first one on.

    It begins with an item if `is_sequence`, else with an element.
    """

    def __init__(self, encoding: "Encoding", *, is_sequence: bool) -> None:
        self.encoding = encoding
        self.is_explicit_vr = not encoding.is_implicit_vr
        self._head, self._length = _FORMS[encoding.is_little_endian]
        self._expects_item = is_sequence
        self._item_ends: list[int | None] = []  # of the items that enclose what comes, the innermost last
        self._item = -1  # the last one's position
        self._long = -1  # where the 32-bit length of an element in Explicit VR is read next
        self._head_like = -1  # where a value as long as a head is read next
        self.is_unknown = False

    def is_value(self, position: int) -> bool:
        """Whether what is read there is a value as long as a head."""
        return position == self._head_like

    def is_vr(self, position: int) -> bool:
        """Whether pydicom looks there for how an item is encoded."""
        return self.is_explicit_vr and position == self._item + ITEM_HEAD_BYTES + TAG_BYTES

    def follow(self, position: int, head: bytes) -> bool:
        """Follow the head of an element, an item or a delimiter.

        False for one that it does not follow: it ends a sequence in which an item has not ended.
        """
        group, number, vr, length = self._head.unpack(head)
        self._head_like = -1
        if group == _DELIMITERS_GROUP:
            self._leave_items(position)
            tag = group << 16 | number
            if tag == SEQUENCE_DELIMITATION:
                if not self._expects_item and self._item_ends and self._item_ends[-1] is None:
                    return False
                self._expects_item = False
            elif tag == ITEM_DELIMITATION:
                if self._item_ends:
                    self._item_ends.pop()
                self._expects_item = True
            elif tag == ITEM:
                (length,) = self._length.unpack_from(head, TAG_BYTES)
                self._item = position
                self._item_ends.append(None if length == UNDEFINED_LENGTH else position + ITEM_HEAD_BYTES + length)
                self._expects_item = False
        elif self.is_explicit_vr and vr in _LONG_VRS:
            self.is_unknown = vr == b"UN"
            self._long = position + ITEM_HEAD_BYTES
        else:
            if not self.is_explicit_vr or not b"AA" <= vr <= b"ZZ":  # as pydicom decides
                (length,) = self._length.unpack_from(head, TAG_BYTES)
            self.is_unknown = False
            self._note_value(position + ITEM_HEAD_BYTES, length)
        return True

    def note_length(self, position: int, data: bytes) -> None:
        """Follow four bytes, which may be the length of an element."""
        if position == self._long:
            self._note_value(position + LENGTH_BYTES, *self._length.unpack(data))

    def leave_sequence(self) -> None:
        """Follow the end of a sequence that was read otherwise."""
        self._expects_item = False

    def _note_value(self, position: int, length: int) -> None:
        self._expects_item = length == UNDEFINED_LENGTH
        self._head_like = position if length == ITEM_HEAD_BYTES else -1

    def _leave_items(self, position: int) -> None:
        """Leave the items of defined length that have ended."""
        while self._item_ends and (end := self._item_ends[-1]) is not None and end <= position:
            self._item_ends.pop()
            self._expects_item = True


def is_unknown_vr(head: bytes) -> bool:
    """Whether this may be the head of an element in Explicit VR with a VR that does not exist."""
    first, second = head[TAG_BYTES], head[TAG_BYTES + 1]
    if first in _PRINTABLE and second in _PRINTABLE:
        return head[TAG_BYTES : TAG_BYTES + VR_BYTES] not in ENCODED_VR and head[:2] not in _DELIMITERS_GROUPS
    return first == second == 0 and head[TAG_BYTES + VR_BYTES :] != b"\0\0" and head[:2] not in _DELIMITERS_GROUPS


def readable_vr(head_at: Callable[[int], bytes], position: int, ends_at: range, encoding: "Encoding") -> bytes:
    """What stands for the VR of an element in Explicit VR, so that pydicom reads its length as it was written.

    It is the VR, if that exists, or pydicom reads the element in Implicit VR. Else it stands for one with a length of
    16 bits (DCMTK) or of 32 (GDCM), whichever leads to another element or a delimiter, or to where the data set
    `ends_at`: after its last byte, or among the zeros that fill it up. `head_at` gives the eight bytes at a position.
    """
    form, length_form = _FORMS[encoding.is_little_endian]
    head = head_at(position)
    vr = head[TAG_BYTES : TAG_BYTES + VR_BYTES]
    if not is_unknown_vr(head):
        return vr
    # Without two capitals, what a length of 32 bits would be is rather a value in Implicit VR: not worth waiting for.
    max_length = UNDEFINED_LENGTH - 1 if vr.isalpha() and vr.isupper() else _MAX_SHORT_LENGTH

    def ends(begin: int) -> Iterator[tuple[bytes, int]]:
        """Where the element that begins there may end, with what stands for its VR then."""
        *_, length = form.unpack(head_at(begin))
        yield _SHORT_UNKNOWN, begin + ITEM_HEAD_BYTES + length
        if not length:
            (length,) = length_form.unpack(head_at(begin + ITEM_HEAD_BYTES)[:LENGTH_BYTES])
            if length <= max_length:
                yield _LONG_UNKNOWN, begin + ITEM_HEAD_BYTES + LENGTH_BYTES + length

    def leads_on(begin: int, following: int, *, is_first: bool) -> bool:
        """Whether what follows the element that begins there can follow it."""
        if following in ends_at:
            return True
        heads = (form.unpack(head_at(at)) for at in (begin, following))
        tag, next_tag = (group << 16 | number for group, number, *_ in heads)
        if next_tag >> 16 == _DELIMITERS_GROUP:
            return next_tag in (ITEM_DELIMITATION, SEQUENCE_DELIMITATION)
        next_vr = head_at(following)[TAG_BYTES : TAG_BYTES + VR_BYTES]
        if next_tag <= tag or (next_vr not in ENCODED_VR and next_vr != vr):
            return False
        # Devices that write one such VR write several; a value may look like one, but hardly like two.
        is_last = next_vr in ENCODED_VR or not is_first
        return is_last or any(leads_on(following, beyond, is_first=False) for _, beyond in ends(following))

    return next(
        (stand_in for stand_in, following in ends(position) if leads_on(position, following, is_first=True)), vr
    )

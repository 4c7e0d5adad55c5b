"""The elements of an encoded data set (PS3.5 7), found where they lie in a buffer that may still be growing.

Values are neither copied nor read here: an element says where its value is. Dictionaries and the list of VRs are
pydicom's. The walk over the bytes is not, because the bytes come from strangers: pydicom's copies a sequence of defined
length once per level of nesting, takes a short read inside an item for the end of it, recurses without limit, and
warns and logs what it finds odd, values included, by means that cannot be silenced for one thread.

    DicomFileError          the bytes cannot be read, or exceed a limit
     +- Malformed           what is wrong is the structure: a sequence of defined length can be carried unread
"""

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

from shared.value_representations import ENCODED_VRS, LONG_VRS, dictionary_vr

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_DELIMITATION: Final = 0xFFFEE00D
SEQUENCE_DELIMITATION: Final = 0xFFFEE0DD

_HEAD_BYTES: Final = 12  # at most: PS3.5 7.1.2
_MAX_PRIVATE_CREATOR_BYTES: Final = 64 * 4  # LO is 64 characters (PS3.5 6.2), of up to four bytes each


class DicomFileError(Exception):
    """The bytes are not a DICOM file that can be kept; the message says why, never with a value of the data set."""


class Malformed(DicomFileError):
    """The structure of the data set is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomFileLimits:
    """How much of a file is held or noted in memory; each limit answers a way to exhaust it.

    A file at every limit at once takes about 1 GB while it is read: an element of 8 bytes costs 300 as JSON.
    """

    max_header_bytes: int = 64 * 1024**2
    """Bytes before Pixel Data, held until they are parsed; those after it have the same limit for themselves."""

    max_inflated_bytes: int = 1024**3
    """Bytes that a deflated data set (PS3.5 A.5) may inflate to: deflate shrinks zeros a thousandfold."""

    max_sequence_depth: int = 64
    """Sequences within sequences. The deepest in use, the content trees of reports, stay below 20."""

    max_elements: int = 2_000_000
    """Elements and items outside Pixel Data. An enhanced image of 100,000 frames has 1,500,000."""

    max_values: int = 4_000_000
    """Values in the metadata: one attribute of "\\\\\\\\\\\\" has four in three bytes."""

    max_fragments: int = 4_000_000
    """Items in encapsulated Pixel Data, of which empty ones take 8 bytes."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a data set is encoded (PS3.5 A); `byte_order` is ``<`` or ``>`` as in struct."""

    is_implicit_vr: bool
    byte_order: str = "<"


class Element(NamedTuple):
    """An element of a data set; offsets are into the buffer it was found in.

    `vr` is the one to read it by: where the encoding has none, or UN for an attribute that the dictionaries know, it
    is theirs, and may be ambiguous ("US or SS"). `items` are those of a sequence, `fragments` the offset and length of
    those of an encapsulated value (PS3.5 A.4), offset table first; `length` then counts the whole value.
    """

    tag: int
    vr: str
    offset: int
    length: int
    items: "list[list[Element]] | None" = None
    fragments: list[tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """Elements with the buffer that their offsets point into."""

    elements: list[Element]
    data: bytes | bytearray
    byte_order: str

    def value(self, element: Element) -> bytes:
        """The value's bytes, as encoded."""
        return bytes(self.data[element.offset : element.offset + element.length])


class Head(NamedTuple):
    """The beginning of an element: tag, VR as encoded (None if it has none), length, and where its value begins."""

    tag: int
    vr: str | None
    length: int
    offset: int


class _Incomplete(Exception):
    """The buffer must hold `needed` bytes before the walk can go on."""

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


class _Scope:
    """The data set that is being walked: the top level or an item."""

    __slots__ = ("is_implicit_vr", "private_creators")

    def __init__(self, is_implicit_vr: bool) -> None:
        self.is_implicit_vr = is_implicit_vr
        self.private_creators: dict[int, str] = {}


class ElementWalker:
    """Finds the elements of one data set, from `position` in `data` on, as `data` grows at its end.

    After `advance` has returned True, `elements` holds what was found and `position` is where the walk ended: before
    the first element whose tag `stop` accepts (its head is then `stopped_at`) or at the end of `data`.
    """

    def __init__(
        self,
        data: bytes | bytearray,
        position: int,
        encoding: Encoding,
        *,
        limits: DicomFileLimits,
        stop: Callable[[int], bool] = lambda tag: False,
    ) -> None:
        self._data = data
        self._start = position
        self._limits = limits
        self._stop = stop
        self._scope = _Scope(encoding.is_implicit_vr)
        self._count = 0
        self._explicit = Struct(f"{encoding.byte_order}HH2sH").unpack_from
        self._implicit = Struct(f"{encoding.byte_order}HHL").unpack_from
        self._length = Struct(f"{encoding.byte_order}L").unpack_from
        self.position = position
        self.needed = position
        """How many bytes `data` must hold for another `advance` to get any further."""
        self.elements: list[Element] = []
        self.stopped_at: Head | None = None

    def advance(self, *, is_last: bool) -> bool:
        """Walk as far as `data` allows; False when more is needed, which is only so while not `is_last`.

        Raises DicomFileError for what cannot be read, exceeds a limit, or is cut short by the end of the data set.
        """
        # Some writers fill the last block with zeros. No element begins so: group 0000 is for messages (PS3.7).
        end = len(self._data.rstrip(b"\0")) if is_last else None
        while True:
            if end is not None and self.position >= end:
                return True
            head, count = None, self._count
            try:
                head = self._head(self.position, None, self._scope)
                if self._stop(head.tag):
                    self.stopped_at = head
                    return True
                if head.length == 0 and head.tag in (ITEM_DELIMITATION, SEQUENCE_DELIMITATION):
                    self.position += 8  # one too many: it ends nothing, and changes nothing
                    continue
                element, self.position = self._element(head, None, self._scope, 0)
            except _Incomplete as short:
                if is_last:
                    raise DicomFileError(f"The file is cut short{_where(head)}.") from None
                self._count = count
                self._wait_for(short.needed, is_undefined=head is not None and head.length == UNDEFINED_LENGTH)
                return False
            self.elements.append(element)

    def _wait_for(self, needed: int, *, is_undefined: bool) -> None:
        limit = self._start + self._limits.max_header_bytes + _HEAD_BYTES
        if needed > limit:
            raise DicomFileError(
                f"The data set is larger than {self._limits.max_header_bytes} bytes besides its Pixel Data."
            )
        if is_undefined:
            # Its walk begins anew each time, so it waits for as much again: the total stays linear.
            needed = min(max(needed, 2 * len(self._data) - self.position), limit)
        self.needed = needed

    def _head(self, position: int, end: int | None, scope: _Scope) -> Head:
        self._require(position + 8, end)
        group, number, code, length = self._explicit(self._data, position)
        tag = group << 16 | number
        if not scope.is_implicit_vr and group != 0xFFFE:
            vr = ENCODED_VRS.get(code)
            if vr in LONG_VRS:
                self._require(position + 12, end)
                return Head(tag, vr, self._length(self._data, position + 8)[0], position + 12)
            if vr is not None:
                return Head(tag, vr, length, position + 8)
            if b"AA" <= code <= b"ZZ":
                return Head(tag, "UN", length, position + 8)
        # Some writers fall back to Implicit VR for single elements, as pydicom found (its issues 1035 and 1067).
        return Head(tag, None, self._length(self._data, position + 4)[0], position + 8)

    def _require(self, needed: int, end: int | None) -> None:
        """Check that the bytes up to `needed` are there, and within what encloses them if that has an `end`."""
        if end is None:
            if needed > len(self._data):
                raise _Incomplete(needed)
        elif needed > end:
            raise Malformed(f"The sequence that ends at byte {end} of the data set is shorter than its content.")

    def _element(self, head: Head, end: int | None, scope: _Scope, depth: int) -> tuple[Element, int]:
        """The element that begins with `head`, and the position after it."""
        self._add()
        tag, encoded_vr, length, offset = head
        vr = encoded_vr
        if vr is None or vr == "UN":
            vr = dictionary_vr(tag, scope.private_creators)
        if length == UNDEFINED_LENGTH:
            # UN of undefined length is a sequence in Implicit VR (PS3.5 6.2.2), as is what no dictionary knows.
            if "UN" in (vr, encoded_vr) or vr == "SQ":
                items, position = self._items(offset, end, False, scope, depth + 1)
                return Element(tag, "SQ", offset, position - offset, items), position
            fragments, position = self._fragments(offset, end)
            return Element(tag, vr, offset, position - 8 - offset, None, fragments), position
        position = offset + length
        self._require(position, end)
        if vr == "SQ":
            try:
                items, _ = self._items(offset, position, True, scope, depth + 1)
            except Malformed:
                return Element(tag, "UN", offset, length), position
            return Element(tag, vr, offset, length, items), position
        if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF and length <= _MAX_PRIVATE_CREATOR_BYTES:
            creator = self._data[offset:position].decode("latin-1").strip("\0 ")
            scope.private_creators[tag] = creator
        return Element(tag, vr, offset, length), position

    def _items(
        self, position: int, end: int | None, is_defined: bool, scope: _Scope, depth: int
    ) -> tuple[list[list[Element]], int]:
        """The items of a sequence, which ends at `end` if its length `is_defined`, else with a delimiter before it."""
        if depth > self._limits.max_sequence_depth:
            raise DicomFileError(
                f"Sequences are nested deeper than {self._limits.max_sequence_depth} levels at byte {position} "
                "of the data set."
            )
        items: list[list[Element]] = []
        while not (is_defined and position == end):
            tag, length = self._item(position, end)
            position += 8
            if tag == SEQUENCE_DELIMITATION:
                break
            has_length = length != UNDEFINED_LENGTH
            if has_length:
                self._require(position + length, end)
            item_end = position + length if has_length else end
            item, position = self._data_set(position, item_end, has_length, scope, depth)
            items.append(item)
        return items, position

    def _fragments(self, position: int, end: int | None) -> tuple[list[tuple[int, int]], int]:
        fragments: list[tuple[int, int]] = []
        while True:
            tag, length = self._item(position, end)
            position += 8
            if tag == SEQUENCE_DELIMITATION:
                return fragments, position
            self._require(position + length, end)
            fragments.append((position, length))
            position += length

    def _item(self, position: int, end: int | None) -> tuple[int, int]:
        """The tag of an item or of the delimiter of its sequence, and its length."""
        self._add()
        self._require(position + 8, end)
        group, number, length = self._implicit(self._data, position)
        tag = group << 16 | number
        if tag not in (ITEM, SEQUENCE_DELIMITATION):
            raise Malformed(f"An item of a sequence is expected at byte {position} of the data set.")
        return tag, length

    def _data_set(
        self, position: int, end: int | None, is_defined: bool, parent: _Scope, depth: int
    ) -> tuple[list[Element], int]:
        """The elements of an item, which ends at `end` if its length `is_defined`, else with a delimiter before it."""
        scope = _Scope(parent.is_implicit_vr)
        elements: list[Element] = []
        while not (is_defined and position == end):
            if not elements and not scope.is_implicit_vr:
                # A sequence that came as UN is in Implicit VR within Explicit VR (PS3.5 6.2.2).
                self._require(position + 8, end)
                scope.is_implicit_vr = not _has_vr(self._data, position)
            head = self._head(position, end, scope)
            if head.tag == ITEM_DELIMITATION:
                position = end if is_defined and end is not None else head.offset
                break
            if head.tag >> 16 == 0xFFFE:
                raise Malformed(f"An element is expected at byte {position} of the data set.")
            element, position = self._element(head, end, scope, depth)
            elements.append(element)
        return elements, position

    def _add(self) -> None:
        self._count += 1
        if self._count > self._limits.max_elements:
            raise DicomFileError(f"The data set has more than {self._limits.max_elements} elements and items.")


def is_implicit_vr(data: bytes | bytearray, position: int) -> bool:
    """Whether the data set at `position`, of which 6 bytes are there, is encoded in Implicit VR, whatever was declared.

    In Explicit VR two capitals follow the first tag. In Implicit VR these are the low bytes of a length, which would
    be over 16,000 bytes for the first element of a data set.
    """
    return not _has_vr(data, position)


def _has_vr(data: bytes | bytearray, position: int) -> bool:
    return 0x41 <= data[position + 4] <= 0x5A and 0x41 <= data[position + 5] <= 0x5A


def _where(head: Head | None) -> str:
    return f" in element {head.tag >> 16:04X},{head.tag & 0xFFFF:04X}" if head is not None else ""

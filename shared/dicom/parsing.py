"""pydicom's parser, kept safe for untrusted bytes that are still arriving.

pydicom takes the end of the bytes for the end of an item or of a data set, whatever was announced; takes the memory
that it is asked for; and warns about and logs what it finds odd, with values. Here it never sees a false end,
its work is bounded, it is silent, and whatever it raises becomes a DicomFileError:

    DicomFileError          the bytes cannot be read, or exceed a limit
     +- Malformed           what is wrong is the structure: a sequence of defined length can be carried unread
         +- Incomplete      more bytes may follow
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import SEEK_END, BytesIO
from typing import Final, NamedTuple, NoReturn

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import ENCODED_VR, data_element_generator
from pydicom.tag import BaseTag

from shared.dicom.element_heads import LENGTH_BYTES, TAG_BYTES, VR_BYTES, HeadWalk, readable_vr
from shared.dicom.items import ITEM, ITEM_HEAD_BYTES, ITEM_TAGS, UNDEFINED_LENGTH, item_delimitation

# Values of a patient must not get into the log. For the whole process, as filters and loggers are: silencing pydicom
# around each call instead (catch_warnings) would also affect other threads.
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
logging.getLogger("pydicom").propagate = False

HEAD_BYTES: Final = ITEM_HEAD_BYTES  # also of an element, as pydicom reads them
LONG_HEAD_BYTES: Final = 12  # PS3.5 7.1.2
_CHARACTER_SET_HEADS: Final = (b"\x08\0\x05\0", b"\0\x08\0\x05")
_UNDEFINED: Final = UNDEFINED_LENGTH.to_bytes(4, "little")  # in either byte order
_SEARCHED_BYTES: Final = 0x2000  # at a time, for the end of a value of undefined length that is no sequence
_MAX_CHARACTER_SET_BYTES: Final = 1024  # all defined terms together have 500; pydicom's time is quadratic

Element = RawDataElement | DataElement
"""An element as pydicom's reader returns it: raw, except a sequence of undefined length, whose items it has read."""


class DicomFileError(Exception):
    """The bytes are not a DICOM file that can be kept; the message says why, never with a value of the data set."""


class Malformed(DicomFileError):
    """The structure of the data set is broken."""


class Incomplete(Malformed):
    """The bytes end too early: `needed` of them are required, or more if `is_least`."""

    def __init__(self, needed: int, *, is_least: bool = False) -> None:
        super().__init__("The data set is shorter than its content.")
        self.needed = needed
        self.is_least = is_least


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomFileLimits:
    """How much of a file is held or noted in memory; each limit counters a way to exhaust it."""

    max_header_bytes: int = 64 * 1024**2
    """Bytes before Pixel Data, held until they are parsed; the same limit applies separately to those after it."""

    max_inflated_bytes: int = 1024**3
    """Bytes that a deflated data set (PS3.5 A.5) may inflate to: deflate shrinks zeros a thousandfold."""

    max_sequence_depth: int = 64
    """Sequences within sequences. The deepest in use, the content trees of reports, stay below 20."""

    max_elements: int = 1_000_000
    """Elements and items outside Pixel Data: at the top and in sequences of undefined length, and separately in those
    of defined length. Delimiters count, as do values of eight bytes. An item of eight bytes takes 700 when parsed."""

    max_elements_at_once: int = 1_000_000
    """Those of them that are objects at the same time: short ones at the top, and what is in one item of a long
    sequence. Each takes 900 bytes."""

    max_short_bytes: int = 24 * 1024**2
    """Bytes of short elements at the top, which are held, in several forms. What is long in real files, sequences and
    bulk values, is not."""

    max_values: int = 4_000_000
    """Values in the metadata: one attribute of "\\\\\\\\\\\\" has four in three bytes."""

    max_fragments: int = 1_000_000
    """Items in encapsulated Pixel Data; an empty one takes 8 bytes. The largest slides have some 400,000 tiles."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a data set is encoded: PS3.5 A."""

    is_implicit_vr: bool = False
    is_little_endian: bool = True


class Head(NamedTuple):
    """The beginning of an element: tag, VR as encoded (None if it has none), length, and where its value begins."""

    tag: int
    vr: str | None
    length: int
    offset: int


class HeadCount:
    """How many elements and items have been read under one limit, and what had to be assumed of them, in words."""

    def __init__(self, limits: DicomFileLimits) -> None:
        self._max_elements = limits.max_elements
        self._max_at_once = limits.max_elements_at_once
        self._released = 0
        self.count = 0
        self.assumptions: set[str] = set()

    def add(self) -> None:
        """Count one more. Raises DicomFileError when it is one too many."""
        self.count += 1
        if self.count > self._max_elements:
            raise DicomFileError(f"The data set has more than {self._max_elements} elements and items.")
        if self.count - self._released > self._max_at_once:
            raise DicomFileError(
                f"The data set has more than {self._max_at_once} elements and items besides its long sequences, "
                "or within one item of these."
            )

    def release_since(self, count: int) -> None:
        """Note that those read since there were `count` are no longer held."""
        self._released += self.count - count


class Source(BytesIO):
    """Bytes to parse, where a short read fails instead, and `needed` is how many bytes there must be.

    Heads that pydicom would misread are mended as they are read; what had to be assumed is noted in `heads`. `end` is
    where the bytes end, once that is known.
    """

    def __init__(self, data: bytes, heads: HeadCount, encoding: Encoding, *, is_sequence: bool = False) -> None:
        super().__init__(data)
        self._is_character_set = False
        self.heads = heads
        self.needed = 0
        self.end: int | None = None
        self.mends_vrs = True
        self.restart(encoding, 0, is_sequence=is_sequence)

    def restart(self, encoding: Encoding, position: int, *, is_sequence: bool = False) -> None:
        """Read on at `position`: an element, or in a sequence an item."""
        self._walk = HeadWalk(encoding, is_sequence=is_sequence)
        self.seek(position)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read the next `size` bytes. Raises Malformed when there are fewer, and DicomFileError over a limit."""
        position = self.tell()
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
            return self._mended(position, data)
        if wanted == LENGTH_BYTES:
            self._walk.note_length(position, data)
        elif wanted == VR_BYTES and self._walk.is_vr(position):
            return self.vr_at(position - TAG_BYTES)
        return data

    def vr_at(self, position: int) -> bytes:
        """What stands for the VR of the element there, so that pydicom reads its length as it was written."""
        vr = readable_vr(self._head_at, position, self.end, self._walk.encoding)
        if vr != self._head_at(position)[TAG_BYTES : TAG_BYTES + VR_BYTES]:
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
        if walk.lacks_item_delimiter(position, head):
            self.heads.assumptions.add("Items have no delimiter; they are assumed to end with their sequence.")
            self.seek(position)
            head = item_delimitation(is_little_endian=walk.encoding.is_little_endian)
        elif self.mends_vrs and walk.is_explicit_vr and head[TAG_BYTES : TAG_BYTES + VR_BYTES] not in ENCODED_VR:
            head = head[:TAG_BYTES] + self.vr_at(position) + head[TAG_BYTES + VR_BYTES :]
        walk.note_head(position, head)
        return head

    def _fail(self, needed: int) -> NoReturn:
        self.needed = needed
        raise Malformed("The data set is shorter than its content.")

    def check_items(self, items: Sequence[Dataset]) -> None:
        """Raise Malformed where something else was read as an item: pydicom does not look at the tags."""
        with self.getbuffer() as data:
            if any(bytes(data[item.seq_item_tell : item.seq_item_tell + 4]) not in ITEM_TAGS for item in items):
                raise Malformed("A sequence holds something other than items.")


class ElementReader:
    """Reads the elements of one data set, as its bytes arrive.

    `elements` has those read, the last one of each tag. `position` is where the first byte after them lies, in all that
    was fed. Reading ends before the first element whose head `stop` accepts, which is then `stopped_at`, or with the
    bytes. Unless `is_certain`, the data set shows whether it is in Implicit VR: what is there overrides what was
    declared, as in pydicom. Without `mends_vrs`, what follows the elements may be anything.
    """

    def __init__(
        self,
        encoding: Encoding,
        *,
        limits: DicomFileLimits,
        heads: HeadCount | None = None,
        stop: Callable[[Head], bool] = lambda head: False,
        is_certain: bool = False,
        mends_vrs: bool = True,
    ) -> None:
        self.encoding = encoding
        self._is_certain = is_certain
        self._limits = limits
        self._stop = stop
        self._source = Source(b"", heads or HeadCount(limits), encoding)
        self._source.mends_vrs = mends_vrs
        self._size = 0
        self._needed = HEAD_BYTES
        self._head: Head | None = None
        self._elements: Iterator[Element] | None = None
        self.elements: dict[BaseTag, Element] = {}
        self.position = 0
        self.stopped_at: Head | None = None

    @property
    def held_bytes(self) -> int:
        """How many bytes were fed; all are held."""
        return self._size

    @property
    def data(self) -> bytes:
        """All that was fed."""
        return self._source.getvalue()[: self._size]

    @property
    def data_set(self) -> Dataset:
        """The elements."""
        return Dataset(self.elements)

    def feed(self, chunk: bytes, *, is_last: bool = False) -> bool:
        """Read as far as there are bytes; False while more are needed, never when `is_last`.

        Raises DicomFileError for what cannot be read, exceeds a limit, or is cut short by the end of the data set.
        """
        self._size = self._source.seek(0, SEEK_END) + self._source.write(chunk)
        if is_last:  # pydicom must be able to search the last bytes, too; what reads on into these is cut short
            self._source.write(bytes(_SEARCHED_BYTES))
            self._source.end = self._size
        elif self._size < self._needed:
            return False
        # Some writers fill the last block with zeros. No element begins so: group 0000 is for messages (PS3.7).
        end = len(self.data.rstrip(b"\0")) if is_last else None
        self._elements = None
        while end is None or self.position < end:
            if not self._advance(is_last=is_last):
                return False
            if self.stopped_at:
                return True
            if self._head is None:
                self._elements = None  # It met a stray delimiter of an item, which ends nothing here.
        return True

    def _generator(self) -> Iterator[Element]:
        if not self._is_certain:
            # In Explicit VR two capitals follow the first tag. In Implicit VR these are the low bytes of a length,
            # which would be over 16,000 bytes for the first element of a data set.
            if self._size >= HEAD_BYTES:
                vr = self._source.vr_at(0)
                self.encoding = replace(self.encoding, is_implicit_vr=not (vr.isalpha() and vr.isupper()))
            self._is_certain = True
        self._source.restart(self.encoding, self.position)
        return data_element_generator(
            self._source, self.encoding.is_implicit_vr, self.encoding.is_little_endian, stop_when=self._is_at_stop
        )

    def _is_at_stop(self, tag: int, vr: str | None, length: int) -> bool:
        self._head = Head(tag, vr, length, self._source.tell())
        self._check_end()
        if tag == ITEM:
            raise Malformed("An item is outside of a sequence.")
        if self._stop(self._head):
            self.stopped_at = self._head
        return self.stopped_at is not None

    def _check_end(self) -> None:
        if self._source.tell() > self._size:
            self._source.needed = self._source.tell()
            raise Malformed("The data set is shorter than its content.")

    def _advance(self, *, is_last: bool) -> bool:
        """Read one element; False if not all of it is there yet."""
        self._head = None
        head_count = self._source.heads.count
        try:
            self._elements = self._elements or self._generator()
            element = next(self._elements, None)
            self._check_end()
            if isinstance(element, DataElement):
                self._source.check_items(element.value)
        except Exception as error:  # noqa: BLE001
            refused = refusal(error, self._limits)
            if not isinstance(refused, Malformed):
                raise refused from None
            where = f" in element {self._head.tag >> 16:04X},{self._head.tag & 0xFFFF:04X}" if self._head else ""
            if not self._source.needed:
                raise DicomFileError(f"The data set cannot be parsed{where}.") from None
            if is_last:
                raise DicomFileError(f"The file is cut short{where}.") from None
            self._source.heads.count = head_count
            self._wait()
            return False
        if element is not None:
            self.elements[element.tag] = element
        self.position = self._source.tell()
        return True

    def _wait(self) -> None:
        """Note how many bytes are needed before it is worth reading on."""
        self._needed, self._source.needed = self._source.needed, 0
        limit = self._limits.max_header_bytes + LONG_HEAD_BYTES
        if self._needed > limit:
            raise too_large(self._limits)
        if self._head and self._head.length == UNDEFINED_LENGTH:
            # It is parsed from its start each time, so it waits until it doubles: the total stays linear.
            self._needed = min(max(self._needed, 2 * self._size - self.position), limit)


def element_of(data_set: Dataset, tag: int) -> Element | None:
    """The element with this tag, unconverted, even an empty one, which pydicom would otherwise convert."""
    return data_set.get_item(tag, keep_deferred=True)


def refusal(error: Exception, limits: DicomFileLimits) -> Exception:
    """What to raise, from None, when pydicom fails: unforeseen bytes can make it raise errors of any kind.

    It is our DicomFileError as it was raised, Malformed, or a MemoryError, which says nothing about the file. The error
    itself may hold values.
    """
    hidden = error.__context__  # pydicom turns any error at the head of an item into an OSError
    for cause in (error, hidden):
        if isinstance(cause, (DicomFileError, MemoryError)):
            return cause
        if isinstance(cause, RecursionError):
            return too_deep(limits)
    return Malformed("The data set cannot be parsed.")


def too_large(limits: DicomFileLimits) -> DicomFileError:
    """The refusal of a header over its limit."""
    return DicomFileError(f"The data set is larger than {limits.max_header_bytes} bytes besides its Pixel Data.")


def too_deep(limits: DicomFileLimits) -> DicomFileError:
    """The refusal of sequences nested too deep."""
    return DicomFileError(f"Sequences are nested deeper than {limits.max_sequence_depth} levels.")

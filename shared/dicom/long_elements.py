"""Elements too long to be held, read as their bytes arrive: sequences, item by item, and bulk values, unread.

An enhanced image has an item for each frame, and 10,000 items of six megabytes become two hundred as objects.
"""

from collections.abc import Callable
from typing import Any, Final

from pydicom.dataset import Dataset

from shared.dicom.dicom_json_text import ItemsDeflater
from shared.dicom.items import UNDEFINED_LENGTH
from shared.dicom.parsing import (
    DicomFileError,
    DicomFileLimits,
    Encoding,
    Head,
    HeadCount,
    Incomplete,
    Malformed,
    too_large,
)
from shared.dicom.sequences import read_item

LONG_BYTES: Final = 64 * 1024
"""The size from which an element is long, where it is known in advance."""

_HELD_BYTES: Final = 8 * 1024  # of a sequence, up to which its items are objects; beyond that they are deflated

Attribute = dict[str, Any]


class BulkValueReader:
    """Passes over the value of an element whose attribute is known without it."""

    def __init__(self, head: Head, attribute: Attribute | None = None) -> None:
        self.head = head
        self.attribute = attribute or {}
        self.value_bytes = head.length
        self._to_pass = head.length

    @property
    def held_bytes(self) -> int:
        """Bytes held: none."""
        return 0

    def feed(self, chunk: bytes, *, is_last: bool = False) -> bytes | None:
        """Pass over a chunk; return what follows the value, or None if that has not come yet."""
        rest = chunk[self._to_pass :]
        self._to_pass -= len(chunk) - len(rest)
        if self._to_pass and is_last:
            raise _cut_short(self.head)
        return rest if not self._to_pass else None


class ItemsReader:
    """Reads the value of a sequence; `convert` turns an item and its number, from 1, into DICOM JSON.

    A sequence of defined length that does not hold items is a bulk value, at `uri`.
    """

    def __init__(
        self,
        head: Head,
        encoding: Encoding,
        uri: str,
        convert: Callable[[Dataset, int], Attribute],
        *,
        limits: DicomFileLimits,
        heads: HeadCount,
    ) -> None:
        self.head = head
        self.attribute: Attribute = {"vr": "SQ"}
        self._encoding = encoding
        self._uri = uri
        self._convert = convert
        self._limits = limits
        self._heads = heads
        self._left = None if head.length == UNDEFINED_LENGTH else head.length
        self._data = bytearray()
        self._needed = 0
        self.value_bytes = 0
        self._items: list[Attribute] = []
        self._item_count = 0
        self._deflater: ItemsDeflater | None = None
        self._is_over = False
        self._rest = BulkValueReader(head._replace(length=0))

    @property
    def held_bytes(self) -> int:
        """How many of the bytes fed are held."""
        return len(self._data)

    def feed(self, chunk: bytes, *, is_last: bool = False) -> bytes | None:
        """Read a chunk; return what follows the value, or None if that has not come yet. Raises DicomFileError."""
        self._data += chunk
        while not self._is_over:
            if (len(self._data) < self._needed and not is_last) or not self._read_item():
                if is_last:
                    raise _cut_short(self.head)
                return None
        data, self._data = bytes(self._data), bytearray()
        return self._rest.feed(data, is_last=is_last)

    def _read_item(self) -> bool:
        """Read an item, or the end of the sequence; False if not all of it is there yet."""
        if self._left == 0:
            self._end()
            return True
        try:
            end = len(self._data) if self._left is None else min(len(self._data), self._left)
            count = self._heads.count
            item, size = read_item(self._data, 0, end, self._encoding, self._heads, self._limits)
        except Incomplete as error:
            if self._left is not None and error.needed > self._left:
                self._pass_unread()
                return True
            self._wait(error)
            return False
        except Malformed:
            if self._left is None:
                raise DicomFileError(f"The data set cannot be parsed in element {_name(self.head)}.") from None
            self._pass_unread()
            return True
        self._take(size)
        if item is None:
            self._end()
        else:
            self._add(item, size)
            self._heads.release_since(count)
        return True

    def _wait(self, error: Incomplete) -> None:
        """Note how many bytes are needed before it is worth reading on."""
        limit = self._limits.max_header_bytes
        if self.value_bytes + error.needed > limit:
            raise too_large(self._limits)
        # What is parsed from its start each time waits until it doubles: the total stays linear.
        self._needed = min(max(error.needed, 2 * len(self._data)), limit) if error.is_least else error.needed
        if self._left is not None:
            self._needed = min(self._needed, self._left)

    def _take(self, size: int) -> None:
        del self._data[:size]
        self._needed = 0
        self.value_bytes += size
        if self._left is not None:
            self._left -= size

    def _add(self, item: Dataset, size: int) -> None:
        self._item_count += 1
        converted = self._convert(item, self._item_count)
        if self._deflater is not None:
            self._deflater.add(converted, is_long=size > LONG_BYTES)
            return
        self._items.append(converted)
        if self.value_bytes > _HELD_BYTES:
            self._deflater = ItemsDeflater()
            for earlier in self._items:
                self._deflater.add(earlier, is_long=size > LONG_BYTES)
            self._items = []

    def _end(self) -> None:
        if self._item_count:
            self.attribute["Value"] = self._items if self._deflater is None else self._deflater.finish()
        self._pass_rest()

    def _pass_unread(self) -> None:
        self.attribute = {"vr": "UN", "BulkDataURI": self._uri}
        self._pass_rest()

    def _pass_rest(self) -> None:
        rest = self._left or 0
        self.value_bytes += rest
        self._rest = BulkValueReader(self.head._replace(length=rest))
        self._is_over = True


def _name(head: Head) -> str:
    return f"{head.tag >> 16:04X},{head.tag & 0xFFFF:04X}"


def _cut_short(head: Head) -> DicomFileError:
    return DicomFileError(f"The file is cut short in element {_name(head)}.")

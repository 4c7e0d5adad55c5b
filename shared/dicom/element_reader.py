"""Reads the elements of a data set as its bytes arrive."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from io import SEEK_END
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag

from shared.dicom.items import ITEM, UNDEFINED_LENGTH
from shared.dicom.parsing import (
    HEAD_BYTES,
    LONG_HEAD_BYTES,
    DicomFileError,
    DicomFileLimits,
    Element,
    Encoding,
    Head,
    HeadCount,
    Malformed,
    is_malformed,
    refusal,
    too_large,
    too_long,
)
from shared.dicom.source import Source

_SEARCHED_BYTES: Final = 0x2000  # at a time, for the end of a value of undefined length that is no sequence


class ElementReader:
    """Reads the elements of one data set, as its bytes arrive.

    `elements` has those read, the last one of each tag. `position` is where the first byte after them lies, in all that
    was fed. Reading ends before the first element at which it is to stop, whose head is then `stopped_at`, or with the
    bytes. Unless `is_certain`, the data set shows whether it is in Implicit VR: what is there overrides what was
    declared, as in pydicom. Of the file meta group, the first element of each tag counts, and what follows may be
    anything.
    """

    def __init__(
        self,
        encoding: Encoding,
        *,
        limits: DicomFileLimits,
        heads: HeadCount | None = None,
        is_certain: bool = False,
        is_file_meta: bool = False,
    ) -> None:
        self.encoding = encoding
        self._is_certain = is_certain
        self._limits = limits
        self._source = Source(b"", heads or HeadCount(limits), encoding)
        self._source.mends_vrs = not is_file_meta
        self._is_file_meta = is_file_meta
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
    def assumptions(self) -> frozenset[str]:
        """What had to be assumed of the elements, in words."""
        return frozenset(self._source.heads.assumptions)

    @property
    def data_set(self) -> Dataset:
        """The elements."""
        return Dataset(self.elements)

    def feed(self, chunk: bytes, *, stop: Callable[[Head], bool] = lambda head: False, is_last: bool = False) -> bool:
        """Read as far as there are bytes; False while more are needed, never when `is_last`.

        Reading ends before an element whose head `stop` accepts. Raises DicomFileError for what cannot be read, exceeds
        a limit, or is cut short by the end of the data set.
        """
        try:
            return self._read(chunk, stop, is_last=is_last)
        finally:
            self._elements = None  # which holds this reader and, with `stop`, perhaps its owner

    def _read(self, chunk: bytes, stop: Callable[[Head], bool], *, is_last: bool) -> bool:
        self._size = self._source.seek(0, SEEK_END) + self._source.write(chunk)
        if is_last:  # pydicom must be able to search the last bytes, too; what reads on into these is cut short
            self._source.write(bytes(_SEARCHED_BYTES))
        elif self._size < self._needed:
            return False
        # Some writers fill the last block with zeros. No element begins so: group 0000 is for messages (PS3.7).
        if is_last:
            self._source.ends_at = range(len(self.data.rstrip(b"\0")), self._size + 1)
        while not is_last or self.position < self._source.ends_at.start:
            if not self._advance(stop, is_last=is_last):
                return False
            if self.stopped_at:
                return True
            if self._head is None:
                self._elements = None  # It met a stray delimiter of an item, which ends nothing here.
        return True

    def _generator(self, stop: Callable[[Head], bool]) -> Iterator[Element]:
        if not self._is_certain:
            # In Explicit VR two capitals follow the first tag. In Implicit VR these are the low bytes of a length,
            # which would be over 16,000 bytes for the first element of a data set.
            if self._size >= HEAD_BYTES:
                vr = self._source.vr_at(0)
                self.encoding = replace(self.encoding, is_implicit_vr=not (vr.isalpha() and vr.isupper()))
            self._is_certain = True
        self._source.restart(self.encoding, self.position)
        return data_element_generator(
            self._source,
            self.encoding.is_implicit_vr,
            self.encoding.is_little_endian,
            stop_when=partial(self._is_at_stop, stop),
        )

    def _is_at_stop(self, stop: Callable[[Head], bool], tag: int, vr: str | None, length: int) -> bool:
        self._head = Head(tag, vr, length, self._source.tell())
        self._check_end()
        if tag == ITEM:
            raise Malformed("An item is outside of a sequence.")
        if stop(self._head):
            self.stopped_at = self._head
        return self.stopped_at is not None

    def _check_end(self) -> None:
        if self._source.tell() > self._size:
            self._source.needed = self._source.tell()
            raise Malformed("The data set is shorter than its content.")

    def _advance(self, stop: Callable[[Head], bool], *, is_last: bool) -> bool:
        """Read one element; False if not all of it is there yet."""
        self._head = None
        head_count = self._source.heads.count
        try:
            self._elements = self._elements or self._generator(stop)
            element = next(self._elements, None)
            self._check_end()
            if isinstance(element, DataElement):
                self._source.check_items(element.value)
        except Exception as error:  # noqa: BLE001
            if not is_malformed(error):
                raise refusal(error, self._limits) from None
            where = f" in element {self._head.tag >> 16:04X},{self._head.tag & 0xFFFF:04X}" if self._head else ""
            if not self._source.needed:
                raise DicomFileError(f"The data set cannot be parsed{where}.") from None
            if is_last:
                raise DicomFileError(f"The file is cut short{where}.") from None
            self._source.heads.count = head_count
            self._wait()
            return False
        if element is not None:
            if self._is_file_meta and element.tag in self.elements:
                self._source.heads.assumptions.add(
                    "Elements of the file meta group are repeated; the first ones count."
                )
            else:
                self.elements[element.tag] = element
        self.position = self._source.tell()
        return True

    def _wait(self) -> None:
        """Note how many bytes are needed before it is worth reading on."""
        self._needed, self._source.needed = self._source.needed, 0
        limit = self._limits.max_header_bytes + LONG_HEAD_BYTES
        if self._needed > limit:
            raise too_large(self._limits) if self._head is None else too_long(self._head, self._limits)
        if self._head and self._head.length == UNDEFINED_LENGTH:
            # It is parsed from its start each time, so it waits until it doubles: the total stays linear.
            self._needed = min(max(self._needed, 2 * self._size - self.position), limit)

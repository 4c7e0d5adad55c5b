"""Reads the items of sequences (PS3.5 7.5) by pydicom: one at a time as they arrive, or all of an element's at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_sequence_item

from shared.dicom.items import (
    ITEM,
    ITEM_HEAD_BYTES,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
    sequence_delimitation,
    tag_and_length,
)
from shared.dicom.parsing import (
    DicomFileError,
    DicomFileLimits,
    Element,
    Encoding,
    HeadCount,
    Incomplete,
    Malformed,
    is_malformed,
    refusal,
    too_deep,
)
from shared.dicom.source import Source

_FIRST_WINDOW_BYTES: Final = 4096  # of an item of unknown length, parsed from its start each time this proves too short


class NestedReader:
    """Reads the sequences in the elements of one data set; the limits apply to all of them together."""

    def __init__(self, limits: DicomFileLimits) -> None:
        self._limits = limits
        self._depth = 0
        self._held_bytes = 0
        self.heads = HeadCount(limits)

    @contextmanager
    def level(self) -> Iterator[None]:
        """Read inside an item of a long sequence, of which nothing is held afterwards.

        Raises DicomFileError when there are too many sequences around it.
        """
        count = self.heads.count
        with self._within():
            yield
        self.heads.release_since(count)

    @contextmanager
    def _within(self) -> Iterator[None]:
        self._depth += 1
        try:
            if self._depth > self._limits.max_sequence_depth:
                raise too_deep(self._limits)
            yield
        finally:
            self._depth -= 1

    @contextmanager
    def items(self, element: Element) -> Iterator[Sequence[Dataset]]:
        """The items of a sequence, to be read inside the context.

        Raises Malformed where a sequence of defined length does not hold items.
        """
        held_bytes = len(element.value or b"") if isinstance(element, RawDataElement) else 0
        self._held_bytes += held_bytes
        try:
            with self._within():
                # Each level of defined length is a copy of what is in it; all that enclose this one are also in memory.
                if self._held_bytes > 4 * self._limits.max_header_bytes:
                    raise DicomFileError("Sequences of defined length are nested too deep for what they hold.")
                if isinstance(element, RawDataElement):
                    yield list(raw_items(element, self.heads, self._limits))
                else:
                    yield element.value
        finally:
            self._held_bytes -= held_bytes


def raw_items(element: RawDataElement, heads: HeadCount, limits: DicomFileLimits) -> Iterator[Dataset]:
    """The items of a sequence whose value is not read yet. Raises Malformed where it holds anything else."""
    encoding = Encoding(element.is_implicit_VR, element.is_little_endian)
    value = element.value or b""
    position = 0
    while position < len(value):
        item, size = read_item(value, position, len(value), encoding, heads, limits)
        if item is None:
            return
        yield item
        position += size


def read_item(
    data: bytes | bytearray, begin: int, end: int, encoding: Encoding, heads: HeadCount, limits: DicomFileLimits
) -> tuple[Dataset | None, int]:
    """The item of a sequence between `begin` and `end`, or None for the delimiter that ends it, and its size in bytes.

    Raises Incomplete when it is not all there, Malformed where there is no item, and DicomFileError over a limit.
    """
    if end - begin < ITEM_HEAD_BYTES:
        raise Incomplete(ITEM_HEAD_BYTES)
    tag, length = tag_and_length(data, begin, is_little_endian=encoding.is_little_endian)
    if tag == SEQUENCE_DELIMITATION:
        return None, ITEM_HEAD_BYTES
    if tag != ITEM:
        raise Malformed("A sequence holds something other than items.")
    if length != UNDEFINED_LENGTH:
        size = ITEM_HEAD_BYTES + length
        if end - begin < size:
            raise Incomplete(size)
        # pydicom looks for the first element of an empty item beyond its end.
        end_of_sequence = sequence_delimitation(is_little_endian=encoding.is_little_endian)
        content = bytes(data[begin : begin + size]) + end_of_sequence
        try:
            item, read_bytes = _read_item(content, encoding, heads, limits)
        except Incomplete:
            raise Malformed("An item is shorter than its content.") from None
        if read_bytes != size:
            raise Malformed("An item is longer or shorter than its content.")
        return item, size
    window = _FIRST_WINDOW_BYTES
    while True:
        try:
            return _read_item(bytes(data[begin : min(begin + window, end)]), encoding, heads, limits)
        except Incomplete as error:
            if begin + window >= end:
                raise
            window = max(error.needed, 2 * window)


def _read_item(
    data: bytes, encoding: Encoding, heads: HeadCount, limits: DicomFileLimits
) -> tuple[Dataset | None, int]:
    source = Source(data, heads, encoding, is_sequence=True)
    head_count = heads.count
    try:
        item = read_sequence_item(source, encoding.is_implicit_vr, encoding.is_little_endian, default_encoding)
    except Exception as error:  # noqa: BLE001
        if is_malformed(error) and source.needed:
            heads.count = head_count
            raise Incomplete(source.needed, is_least=True) from None
        raise refusal(error, limits) from None
    return item, source.tell()

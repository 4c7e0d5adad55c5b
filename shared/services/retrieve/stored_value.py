"""A value of a stored data set. A long one, such as a document, is found in its file, and sent from there, not held."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from shared.dicom.bulk_data_uris import is_path
from shared.dicom.bulk_values import NoSuchBulkValue, find_bulk_value
from shared.dicom.element_reader import ElementReader
from shared.dicom.element_values import dictionary_vr
from shared.dicom.file_meta import FileMetaReader
from shared.dicom.items import UNDEFINED_LENGTH
from shared.dicom.parsing import DicomFileError, DicomFileLimits, Element, Encoding, Head
from shared.services.answer_work import AnswerWork, Purpose
from shared.services.retrieve.file_header import read_header_of
from shared.services.retrieve.stored_file import PARSED_BYTES, StoredFile, read_of

_LOOKED_THROUGH_BYTES: Final = 256 * 1024  # from the file's beginning, and after the value
_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UT"})
_LIMITS: Final = DicomFileLimits()


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A value, words in little endian, of which ``read(offset, length)`` gives any range, as of a `StoredFile`.

    `others` are the elements around it, with numbers of that byte order.
    """

    size_bytes: int
    read: Callable[[int, int], AsyncIterator[bytes]]
    others: Dataset
    byte_order: Literal["little", "big"]


async def open_value(file: StoredFile, path: str, work: AnswerWork) -> StoredValue:
    """The value at the path of a BulkDataURI, but for Pixel Data. Raises NoSuchBulkValue."""
    if not is_path(path):
        raise NoSuchBulkValue(path)
    if "/" not in path and (found := await find_long_value(file, int(path, 16), work)) is not None:
        await work.hold_chunk(found.size_bytes)
        return found
    header = await read_header_of(file, work)
    value, _ = await work.run(lambda: find_bulk_value(header.data_set, path, limits=header.limits))
    return StoredValue(len(value), read_of(value), header.data_set, header.byte_order)


async def find_long_value(file: StoredFile, tag: int, work: AnswerWork) -> StoredValue | None:
    """Where the value of an attribute of the data set lies.

    None where that cannot be said from the file's beginning, the value is not long, or its bytes are not sent as they
    are: whoever parses the whole header knows.
    """
    if file.is_held or file.bytes_around_pixels <= _LOOKED_THROUGH_BYTES:
        return None
    await work.hold(Purpose.FILE, 2 * PARSED_BYTES * _LOOKED_THROUGH_BYTES)
    try:
        found = await _find(file, tag, work)
    except DicomFileError:
        found = None
    if found is None:
        work.hold_only(Purpose.FILE, 0)
    return found


async def _find(file: StoredFile, tag: int, work: AnswerWork) -> StoredValue | None:
    beginning = await file.read_all(0, _LOOKED_THROUGH_BYTES)
    before = await work.run(lambda: _until(tag, beginning))
    if before is None:
        return None
    offset = len(beginning) - before.following_bytes + before.head.offset
    after_bytes = file.header_bytes - offset - before.head.length
    if not 0 <= after_bytes <= _LOOKED_THROUGH_BYTES:
        return None
    after = await file.read_all(offset + before.head.length, after_bytes) if after_bytes else b""
    others = await work.run(lambda: _elements(after, before.encoding))

    def read(first: int, length: int) -> AsyncIterator[bytes]:
        return file.read(offset + first, length)

    return StoredValue(before.head.length, read, Dataset({**before.elements, **others}), "little")


@dataclass(frozen=True, slots=True)
class _Before:
    """The elements before an attribute, and its head, whose offset is in the `following_bytes` after the file meta."""

    elements: Mapping[BaseTag, Element]
    head: Head
    encoding: Encoding
    following_bytes: int


def _until(tag: int, beginning: bytes) -> _Before | None:
    """What comes before an attribute in the beginning of a file; None where it does not begin there."""
    meta = FileMetaReader(_LIMITS).feed(beginning)
    if meta is None or not meta.encoding.is_little_endian:
        return None
    reader = ElementReader(meta.encoding, limits=_LIMITS)
    reader.feed(meta.following, stop=lambda head: head.tag == tag)
    head = reader.stopped_at
    if head is None or head.length == UNDEFINED_LENGTH:
        return None
    vr = head.vr or dictionary_vr(BaseTag(tag), reader.data_set)
    return _Before(reader.elements, head, reader.encoding, len(meta.following)) if vr in _VRS else None


def _elements(data: bytes, encoding: Encoding) -> Mapping[BaseTag, Element]:
    reader = ElementReader(encoding, limits=_LIMITS, is_certain=True)
    reader.feed(data, is_last=True)
    return reader.elements

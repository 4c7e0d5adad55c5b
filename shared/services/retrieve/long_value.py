"""A long value of a data set, such as a document: found in its file, and sent from there without being held."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from shared.dicom.element_values import dictionary_vr
from shared.dicom.file_meta import FileMetaReader
from shared.dicom.items import UNDEFINED_LENGTH
from shared.dicom.parsing import DicomFileError, DicomFileLimits, Element, ElementReader, Encoding, Head
from shared.services.answer_work import AnswerWork, Purpose
from shared.services.retrieve.stored_file import HELD_FOR_A_BYTE, StoredFile

_LOOKED_THROUGH_BYTES: Final = 256 * 1024  # from the file's beginning, and after the value
_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UT"})
_LIMITS: Final = DicomFileLimits()


@dataclass(frozen=True, slots=True)
class LongValue:
    """Where a value lies in its file, whose numbers are little endian; `others` are the elements around it."""

    file: StoredFile
    offset: int
    size_bytes: int
    others: Dataset

    def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """The bytes of a range of the value, as those of a file are read."""
        return self.file.read(self.offset + offset, length)


async def find_long_value(file: StoredFile, tag: int, work: AnswerWork) -> LongValue | None:
    """Where the value of an attribute of the data set lies.

    None where that cannot be said from the file's beginning, the value is not long, or its bytes are not sent as they
    are: whoever parses the whole header knows.
    """
    if file.is_held or file.bytes_around_pixels <= _LOOKED_THROUGH_BYTES:
        return None
    await work.hold(Purpose.FILE, 2 * HELD_FOR_A_BYTE * _LOOKED_THROUGH_BYTES)
    try:
        found = await _find(file, tag, work)
    except DicomFileError:
        found = None
    if found is None:
        work.hold_only(Purpose.FILE, 0)
    return found


async def _find(file: StoredFile, tag: int, work: AnswerWork) -> LongValue | None:
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
    return LongValue(file, offset, before.head.length, Dataset({**before.elements, **others}))


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
    reader = ElementReader(meta.encoding, limits=_LIMITS, stop=lambda head: head.tag == tag)
    reader.feed(meta.following)
    head = reader.stopped_at
    if head is None or head.length == UNDEFINED_LENGTH:
        return None
    vr = head.vr or dictionary_vr(BaseTag(tag), reader.data_set)
    return _Before(reader.elements, head, reader.encoding, len(meta.following)) if vr in _VRS else None


def _elements(data: bytes, encoding: Encoding) -> Mapping[BaseTag, Element]:
    reader = ElementReader(encoding, limits=_LIMITS, is_certain=True)
    reader.feed(data, is_last=True)
    return reader.elements

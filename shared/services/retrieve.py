"""The Retrieve transaction (PS3.18 10.4, WADO-RS): instances, metadata, frames and bulk values as they are stored.

What is asked for is looked up first and refused in time; the iterators then fetch while the client reads.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from shared.bulk_values import NoSuchBulkValue, read_bulk_value
from shared.dicom_file import DicomFileLimits
from shared.errors import NotAcceptable, NotFound
from shared.frames import FrameTable, FrameUnavailable
from shared.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.records import InstanceRecord
from shared.services.ahead import fetch_ahead
from shared.services.stored_metadata import stored_metadata
from shared.storage import keys
from shared.storage.archive import Archive
from shared.transfer_syntaxes import DEFLATED, EXPLICIT_VR_BIG_ENDIAN

PIXEL_DATA: Final = "7FE00010"
"""The tag of Pixel Data, whose value is not read with the others."""

_AHEAD: Final = 4  # instances opened before the client wants them; each holds one chunk, of 4 MiB at most
_SPAN_BYTES: Final = 4 * 1024**2  # adjacent frames are read together up to this size
_ITEM_HEADER_BYTES: Final = 8  # between two fragments, PS3.5 A.4
_TEXT_BYTES: Final = 64 * 1024  # metadata is sent in pieces of about this size


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes to send: how many, and their path below the service's URL."""

    path: str
    size_bytes: int
    chunks: AsyncIterator[bytes]


async def find_instance(
    archive: Archive, identifiers: InstanceIdentifiers, *, with_metadata: bool = False, with_frames: bool = False
) -> InstanceRecord:
    """The record of an instance, with what is asked for; raises NotFound."""
    record = await archive.catalog.read_instance(identifiers, with_metadata=with_metadata, with_frames=with_frames)
    if record is None:
        raise NotFound("There is no such instance.")
    return record


async def find_transfer_syntaxes(archive: Archive, resource: ResourceIdentifiers) -> frozenset[str]:
    """The transfer syntaxes in which a study's or a series' instances are stored; raises NotFound."""
    study = await archive.catalog.read_study(resource.study_instance_uid)
    if study is not None and resource.series_instance_uid is None:
        return study.record.transfer_syntaxes
    series = study.record.series.get(resource.series_instance_uid or "") if study else None
    if series is None:
        raise NotFound(f"There is no such {resource.level}.")
    return frozenset(series.transfer_syntaxes)


async def find_instances(
    archive: Archive, resource: ResourceIdentifiers, *, with_metadata: bool = False
) -> AsyncIterator[InstanceRecord]:
    """The records of the instances of a study, a series or, one, of an instance. Raises NotFound at the first step."""
    study, series, instance = resource.study_instance_uid, resource.series_instance_uid, resource.sop_instance_uid
    if series is not None and instance is not None:
        identifiers = InstanceIdentifiers(study, series, instance)
        yield await find_instance(archive, identifiers, with_metadata=with_metadata)
        return
    is_empty = True
    async for record in archive.catalog.read_instances(study, series, with_metadata=with_metadata):
        is_empty = False
        yield record
    if is_empty:
        raise NotFound(f"There is no such {resource.level}.")


async def file(archive: Archive, record: InstanceRecord) -> Content:
    """An instance's Part 10 file. The first chunk has been fetched; raises NotFound when it was deleted meanwhile."""
    chunks = await archive.blobs.read(keys.instance_blob(record.identifiers, record.version))
    return Content(record.identifiers.path, record.size_bytes, chunks)


async def files(
    archive: Archive, records: AsyncIterator[InstanceRecord]
) -> AsyncGenerator[tuple[InstanceRecord, Content], None]:
    """The Part 10 files of instances, in their order, the next few fetched ahead; one deleted meanwhile is left out."""

    async def open_file(record: InstanceRecord) -> tuple[InstanceRecord, Content] | None:
        try:
            return record, await file(archive, record)
        except NotFound:
            return None

    async with aclosing(fetch_ahead(records, open_file, _AHEAD)) as opened:
        async for found in opened:
            if found is not None:
                yield found


async def metadata(archive: Archive, records: AsyncIterator[InstanceRecord], service_url: str) -> AsyncIterator[bytes]:
    """The metadata of instances, read `with_metadata`, as the text of one JSON array (PS3.18 10.4.1.1.2).

    Bulk values have absolute URIs under `service_url`, ``scheme://host/version``. Nothing is yielded where there is no
    instance.
    """
    text = bytearray()
    separator = b"["
    async for record in records:
        try:
            text += separator + await stored_metadata(archive, record, service_url)
        except NotFound:  # deleted since its row was read
            continue
        separator = b","
        if len(text) >= _TEXT_BYTES:
            yield bytes(text)
            text.clear()
    if separator == b",":
        yield bytes(text) + b"]"


async def frames(
    archive: Archive, record: InstanceRecord, table: FrameTable, frame_numbers: Sequence[int]
) -> AsyncIterator[Content]:
    """Frames of an instance, by number from 1, in the order asked for; adjacent ones in one read.

    Raises NotFound, at the first step, for a frame that does not exist.
    """
    blob = keys.instance_blob(record.identifiers, record.version)
    for span in _spans(table, frame_numbers):
        start, end = span.start, span.end
        if end - start > _SPAN_BYTES and span.is_plain:
            chunks = await archive.blobs.read(blob, start, end - start)
            yield Content(_frame_path(record, span.frame_numbers[0]), end - start, chunks)
            continue
        data = await archive.blobs.read_all(blob, start, end - start)
        for number in span.frame_numbers:
            pieces = (data[offset - start : offset - start + length] for offset, length in table.byte_ranges(number))
            frame = table.cut(number, b"".join(pieces))
            yield Content(_frame_path(record, number), len(frame), _once(frame))


async def frame_table(archive: Archive, record: InstanceRecord) -> FrameTable:
    """The places of an instance's frames, the record read `with_frames`. Raises NotFound where it has none."""
    if record.frames == b"":
        if record.transfer_syntax_uid in DEFLATED:
            raise NotAcceptable("The instance is stored deflated; its frames cannot be retrieved one by one yet.")
        raise NotFound("The instance has no Pixel Data, so no frames.")
    stored = record.frames
    if stored is None:
        stored = await archive.blobs.read_all(keys.frames_blob(record.identifiers, record.version))
    return FrameTable.from_bytes(stored)


@dataclass(frozen=True, slots=True)
class _Span:
    """Frames side by side in the file, from byte `start` to before `end`; `is_plain`: one frame, one range."""

    frame_numbers: list[int]
    start: int
    end: int
    is_plain: bool


def _spans(table: FrameTable, frame_numbers: Sequence[int]) -> Iterator[_Span]:
    spans: list[_Span] = []
    for number in frame_numbers:
        try:
            ranges = table.byte_ranges(number)
        except FrameUnavailable as error:
            raise NotFound(str(error)) from error
        start, end = ranges[0][0], ranges[-1][0] + ranges[-1][1]
        last = spans[-1] if spans else None
        # Frames of single bits may share a byte (PS3.5 8.1.1).
        if last and last.end - 1 <= start <= last.end + _ITEM_HEADER_BYTES and end - last.start <= _SPAN_BYTES:
            spans[-1] = _Span([*last.frame_numbers, number], last.start, end, is_plain=False)
        else:
            spans.append(_Span([number], start, end, is_plain=len(ranges) == 1 and table.frame_bits % 8 == 0))
    return iter(spans)


async def bulk_value(archive: Archive, record: InstanceRecord, path: str) -> Content:
    """The value that a BulkDataURI's `path`, behind ``bulkdata/``, names, the record read `with_frames`.

    Words are little endian. Encapsulated Pixel Data is not a value in this sense. Raises NotFound.
    """
    blob = keys.instance_blob(record.identifiers, record.version)
    location = f"{record.identifiers.path}/bulkdata/{path}"
    table = await frame_table(archive, record) if record.frames != b"" else None
    if table is not None and path == PIXEL_DATA:
        if record.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN:
            raise NotAcceptable("The instance is stored big endian; its pixels cannot be retrieved little endian yet.")
        chunks = await archive.blobs.read(blob, table.value_offset, table.value_bytes)
        return Content(location, table.value_bytes, chunks)
    data = await archive.blobs.read_all(blob, 0, record.header_bytes)
    if table is not None and table.end_offset < record.size_bytes and path > PIXEL_DATA:
        data += await archive.blobs.read_all(blob, table.end_offset)
    # The store that accepted the file may have had a higher limit than the default.
    limits = DicomFileLimits(max_header_bytes=max(len(data), DicomFileLimits().max_header_bytes))
    try:
        value, _ = await asyncio.to_thread(read_bulk_value, data, path, limits=limits)
    except NoSuchBulkValue as error:
        raise NotFound("The instance has no such bulk value.") from error
    return Content(location, len(value), _once(value))


def _frame_path(record: InstanceRecord, frame_number: int) -> str:
    return f"{record.identifiers.path}/frames/{frame_number}"


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content

"""The instances of a resource, and their files (PS3.18 10.4.1.1.1), as they are stored or transcoded."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, TypeVar

from shared.archive.instance import InstanceMetadata, InstanceRecord
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.errors import NotFound, Unavailable
from shared.services.prefetch import fetch_ahead
from shared.services.retrieve.pixel_work import PixelWork
from shared.storage import keys
from shared.storage.archive import Archive
from shared.web.content import Content
from shared.web.representations import DICOM

Record = TypeVar("Record")

_AHEAD: Final = 4  # instances opened before the client wants them; each holds one chunk, of 4 MiB at most


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
    study = await archive.catalog.read_outline(resource.study_instance_uid)
    if study is not None and resource.series_instance_uid is None:
        return study.transfer_syntaxes
    series = study.series.get(resource.series_instance_uid or "") if study else None
    if series is None:
        raise NotFound(f"There is no such {resource.level}.")
    return frozenset(series.transfer_syntaxes)


async def find_instances(
    archive: Archive, resource: ResourceIdentifiers, *, with_frames: bool = False
) -> AsyncIterator[InstanceRecord]:
    """The records of the instances of a study, a series or, one, of an instance. Raises NotFound at the first step."""
    study, series, instance = resource.study_instance_uid, resource.series_instance_uid, resource.sop_instance_uid
    if series is not None and instance is not None:
        identifiers = InstanceIdentifiers(study, series, instance)
        yield await find_instance(archive, identifiers, with_frames=with_frames)
        return
    records = archive.catalog.read_instances(study, series, with_frames=with_frames)
    async for record in at_least_one(records, f"There is no such {resource.level}."):
        yield record


async def at_least_one(records: AsyncIterator[Record], none: str) -> AsyncIterator[Record]:
    """The same records; where there are none, raises NotFound, which says `none`, at the first step."""
    is_empty = True
    async for record in records:
        is_empty = False
        yield record
    if is_empty:
        raise NotFound(none)


async def is_deleted(archive: Archive, record: InstanceMetadata) -> bool:
    """Whether an instance that was there before has been deleted, or replaced, since."""
    found = await archive.catalog.read_instance(record.identifiers)
    return found is None or found.version != record.version


def as_stored(archive: Archive, record: InstanceRecord) -> Content:
    """An instance's Part 10 file as it is stored."""
    blob = keys.instance_blob(record.identifiers, record.version)

    def read(offset: int, length: int) -> AsyncIterator[bytes]:
        return archive.blobs.read(blob, offset, length)

    return Content(record.identifiers.path, DICOM, record.transfer_syntax_uid, record.size_bytes, read)


async def file_in(
    archive: Archive, record: InstanceRecord, work: PixelWork, transfer_syntax_uid: str | None
) -> Content:
    """An instance's Part 10 file in a transfer syntax, None: as it is stored; the record read `with_frames` for one.

    Raises NotFound when the instance was deleted meanwhile, and NotAcceptable when it cannot be transcoded.
    """
    if transfer_syntax_uid is None or transfer_syntax_uid == record.transfer_syntax_uid:
        return as_stored(archive, record)
    from shared.services.retrieve.stored_file import open_file
    from shared.services.retrieve.transcoded_file import transcoded_file

    return await transcoded_file(await open_file(archive, record, work), work, transfer_syntax_uid)


async def files_in(
    archive: Archive, records: AsyncIterator[InstanceRecord], work: PixelWork, transfer_syntax_uid: str | None
) -> AsyncGenerator[Content, None]:
    """The files of instances, as `file_in` has them, in their order, the next few fetched ahead.

    One that was deleted meanwhile is left out. Raises Unavailable for one that is there, and whose file is not.
    """

    async def open_next(record: InstanceRecord) -> Content | None:
        try:
            return await (await file_in(archive, record, work, transfer_syntax_uid)).begun()
        except NotFound as error:
            if await is_deleted(archive, record):
                return None
            raise Unavailable("The file of an instance cannot be read.") from error

    ahead = _AHEAD if transfer_syntax_uid is None else 1
    async with aclosing(fetch_ahead(records, open_next, lambda: ahead)) as opened:
        async for content in opened:
            if content is not None:
                yield content

"""The instances of a resource, and their files (PS3.18 10.4.1.1.1), as they are stored or transcoded."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, TypeVar

from shared.archive.instance import InstanceFacts, InstanceMetadata, InstanceWithFrames
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.errors import NotFound, Unavailable
from shared.services.prefetch import fetch_ahead
from shared.services.retrieve.pixel_work import PixelWork
from shared.storage import keys
from shared.storage.archive import Archive
from shared.web.content import Content
from shared.web.representations import DICOM

Record = TypeVar("Record")
Facts = TypeVar("Facts", bound=InstanceFacts)

_AHEAD: Final = 4  # instances opened before the client wants them; each holds one chunk, of 4 MiB at most


async def find_instance(archive: Archive, identifiers: InstanceIdentifiers) -> InstanceWithFrames:
    """An instance; raises NotFound."""
    return _found(await archive.catalog.read_instance_with_frames(identifiers))


async def find_instance_metadata(archive: Archive, identifiers: InstanceIdentifiers) -> InstanceMetadata:
    """The metadata of an instance; raises NotFound."""
    return _found(await archive.catalog.read_instance_metadata(identifiers))


def _found(record: Record | None) -> Record:
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


def find_instances(archive: Archive, resource: ResourceIdentifiers) -> AsyncIterator[InstanceFacts]:
    """The instances of a study or a series. Raises NotFound at the first step."""
    records = archive.catalog.read_instances(resource.study_instance_uid, resource.series_instance_uid)
    return at_least_one(records, f"There is no such {resource.level}.")


def find_instances_with_frames(archive: Archive, resource: ResourceIdentifiers) -> AsyncIterator[InstanceWithFrames]:
    """The same with their frame tables. Raises NotFound at the first step."""
    records = archive.catalog.read_instances_with_frames(resource.study_instance_uid, resource.series_instance_uid)
    return at_least_one(records, f"There is no such {resource.level}.")


async def at_least_one(records: AsyncIterator[Record], none: str) -> AsyncIterator[Record]:
    """The same records; where there are none, raises NotFound, which says `none`, at the first step."""
    is_empty = True
    async for record in records:
        is_empty = False
        yield record
    if is_empty:
        raise NotFound(none)


async def is_deleted(archive: Archive, record: InstanceFacts | InstanceMetadata) -> bool:
    """Whether an instance that was there before has been deleted, or replaced, since."""
    found = await archive.catalog.read_instance(record.identifiers)
    return found is None or found.blob_version != record.blob_version


def as_stored(archive: Archive, record: InstanceFacts) -> Content:
    """An instance's Part 10 file as it is stored."""
    blob = keys.instance_blob(record.identifiers, record.blob_version)

    def read(offset: int, length: int) -> AsyncIterator[bytes]:
        return archive.blobs.read(blob, offset, length)

    return Content(record.identifiers.path, DICOM, record.transfer_syntax_uid, record.size_bytes, read)


async def file_in(archive: Archive, record: InstanceWithFrames, work: PixelWork, transfer_syntax_uid: str) -> Content:
    """An instance's Part 10 file in a transfer syntax.

    Raises NotFound when the instance was deleted meanwhile, and NotAcceptable when it cannot be transcoded.
    """
    if transfer_syntax_uid == record.transfer_syntax_uid:
        return as_stored(archive, record)
    from shared.services.retrieve.stored_file import open_file
    from shared.services.retrieve.transcoded_file import transcoded_file

    return await transcoded_file(await open_file(archive, record, work), work, transfer_syntax_uid)


def files_as_stored(archive: Archive, records: AsyncIterator[InstanceFacts]) -> AsyncGenerator[Content, None]:
    """The files of instances as they are stored, in their order, the next few fetched ahead.

    One that was deleted meanwhile is left out. Raises Unavailable for one that is there, and whose file is not.
    """

    async def open_next(record: InstanceFacts) -> Content:
        return as_stored(archive, record)

    return _files(archive, records, open_next, _AHEAD)


def files_in(
    archive: Archive, records: AsyncIterator[InstanceWithFrames], work: PixelWork, transfer_syntax_uid: str
) -> AsyncGenerator[Content, None]:
    """The files of instances in a transfer syntax, in their order, the next one fetched ahead.

    One that was deleted meanwhile is left out. Raises as `file_in`, and Unavailable for one that is there, and whose
    file is not.
    """

    async def open_next(record: InstanceWithFrames) -> Content:
        return await file_in(archive, record, work, transfer_syntax_uid)

    return _files(archive, records, open_next, 1)


async def _files(
    archive: Archive, records: AsyncIterator[Facts], open_one: Callable[[Facts], Awaitable[Content]], ahead: int
) -> AsyncGenerator[Content, None]:
    async def open_next(record: Facts) -> Content | None:
        try:
            return await (await open_one(record)).begun()
        except NotFound as error:
            if await is_deleted(archive, record):
                return None
            raise Unavailable("The file of an instance cannot be read.") from error

    async with aclosing(fetch_ahead(records, open_next, lambda: ahead)) as opened:
        async for content in opened:
            if content is not None:
                yield content

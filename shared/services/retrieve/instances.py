"""The Retrieve transaction for instances: their files (PS3.18 10.4.1.1.1), as they are stored or transcoded."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from shared.archive.instance import InstanceFacts, InstanceWithFrames
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.errors import NotAcceptable, NotFound, Unavailable
from shared.services.answer_work import AnswerWork, Purpose
from shared.services.prefetch import fetch_ahead
from shared.services.retrieve.remembered import Remembered, find_again
from shared.services.retrieve.stored_file import open_file
from shared.services.retrieve.stored_instances import (
    count_by_transfer_syntax,
    find_instances,
    find_instances_with_frames,
    is_deleted,
    left_out,
)
from shared.services.retrieve.zip_archive import zip_archive
from shared.storage import blob_names
from shared.web.content import Content, Parts, Representations, Stream, Unread
from shared.web.content_negotiation import Offer
from shared.web.offers import DICOM, ZIP, instance_offers, is_available_in, several_offers

if TYPE_CHECKING:
    from shared.storage.archive import Archive

Facts = TypeVar("Facts", bound=InstanceFacts)

_AHEAD: Final = 4  # instances opened before the client needs them; each holds one chunk, of at most 4 MiB


async def retrieve_instance(
    archive: "Archive", identifiers: InstanceIdentifiers, work: AnswerWork
) -> Representations | Unread | Remembered:
    """What an instance can be sent as: its file in the available transfer syntaxes. Raises NotFound."""

    def represent(record: InstanceWithFrames, work: AnswerWork) -> Representations:
        async def open_file_in(offer: Offer) -> Content:
            (uid,) = offer.transfer_syntax_uids
            return await file_in(archive, record, work, uid)

        return Representations(
            version=(record.blob_version,), offers=instance_offers(record.transfer_syntax_uid), open=open_file_in
        )

    return await find_again(archive, identifiers, work, represent)


async def retrieve_instances(archive: "Archive", resource: ResourceIdentifiers, work: AnswerWork) -> Representations:
    """What a study or a series can be sent as: the files of its instances, as parts or in a ZIP. Raises NotFound.

    In one transfer syntax, instances are left out whose own cannot be transcoded to it.
    """
    counts = await count_by_transfer_syntax(archive, resource)
    stored = frozenset(counts)

    async def open_files(offer: Offer) -> Parts | Stream:
        missing = ""
        if offer.transfer_syntax_uids in (stored, frozenset()):
            files = files_as_stored(archive, find_instances(archive, resource), work)
        else:
            (uid,) = offer.transfer_syntax_uids
            missing = left_out(counts, uid, "instances are")
            records = find_instances_with_frames(archive, resource)
            sent = (record async for record in records if is_available_in(uid, record.transfer_syntax_uid))
            files = files_in(archive, sent, work, uid)
        if offer.media_type == ZIP:
            name = resource.series_instance_uid or resource.study_instance_uid
            return Stream(ZIP, zip_archive(files), file_name=f"{name}.zip")
        return Parts(files, missing)

    return Representations(version=None, offers=several_offers(stored), open=open_files)


async def as_stored(archive: "Archive", record: InstanceFacts, work: AnswerWork) -> Content:
    """An instance's Part 10 file as it is stored."""
    await work.hold_chunk(record.size_bytes)
    blob = blob_names.instance_blob(record.identifiers, record.blob_version)

    def read(offset: int, length: int) -> AsyncIterator[bytes]:
        return archive.blobs.read(blob, offset, length)

    return Content(record.identifiers.path, DICOM, record.transfer_syntax_uid, record.size_bytes, read)


async def file_in(
    archive: "Archive", record: InstanceWithFrames, work: AnswerWork, transfer_syntax_uid: str
) -> Content:
    """An instance's Part 10 file in a transfer syntax.

    Raises NotFound when the instance has since been deleted, and NotAcceptable when it cannot be transcoded.
    """
    if transfer_syntax_uid == record.transfer_syntax_uid:
        return await as_stored(archive, record, work)
    from shared.services.retrieve.transcoded_file import transcoded_file  # pydicom

    return await transcoded_file(await open_file(archive, record, work), work, transfer_syntax_uid)


def files_as_stored(
    archive: "Archive", records: AsyncIterator[InstanceFacts], work: AnswerWork
) -> AsyncGenerator[Content, None]:
    """The files of instances as they are stored, in their order, the next few fetched ahead.

    An instance that has since been deleted is left out. Raises Unavailable for one that exists without its file.
    """
    return _files(archive, records, lambda record, part: as_stored(archive, record, part), work, _AHEAD)


def files_in(
    archive: "Archive", records: AsyncIterator[InstanceWithFrames], work: AnswerWork, transfer_syntax_uid: str
) -> AsyncGenerator[Content, None]:
    """The files of instances in a transfer syntax, in their order, the next one fetched ahead.

    One that cannot be transcoded comes as it is stored, and an instance that has since been deleted is left out. Raises
    Unavailable for one that exists without its file, and NotAcceptable for a later frame that cannot be transcoded.
    """
    return _files(archive, records, lambda record, part: file_in(archive, record, part, transfer_syntax_uid), work, 1)


async def _files(
    archive: "Archive",
    records: AsyncIterator[Facts],
    open_one: Callable[[Facts, AnswerWork], Awaitable[Content]],
    work: AnswerWork,
    ahead: int,
) -> AsyncGenerator[Content, None]:
    async def open_next(record: Facts) -> Content | None:
        try:
            return await open_part(record, open_one)
        except NotAcceptable:
            return await open_part(record, lambda record, part: as_stored(archive, record, part))

    async def open_part(record: Facts, open_one: Callable[[Facts, AnswerWork], Awaitable[Content]]) -> Content | None:
        part = work.part()
        try:
            return replace(await (await open_one(record, part)).started(), end=part.end)
        except NotAcceptable:
            part.end()
            raise
        except NotFound as error:
            part.end()
            if await is_deleted(archive, record):
                return None
            raise Unavailable("The file of an instance cannot be read.") from error

    def room_ahead() -> int:
        return ahead if work.is_roomy(Purpose.CHUNK) else 0

    async with aclosing(fetch_ahead(records, open_next, room_ahead)) as opened:
        async for content in opened:
            if content is not None:
                yield content

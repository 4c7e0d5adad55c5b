"""The Retrieve transaction for all bulk values of a resource, and for all its Pixel Data (PS3.18 10.4.1.1.5 and 6)."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from shared.archive.instance import InstanceWithFrames
from shared.dicom.bulk_data_uris import BULK_DATA, PIXEL_DATA_PATHS
from shared.dicom.bulk_values import NoSuchBulkValue, find_bulk_values
from shared.dicom.dicom_json_reader import bulk_data_uris, read_attributes
from shared.dicom.identifiers import ResourceIdentifiers
from shared.dicom.transfer_syntaxes import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    OCTET_STREAM,
    frame_media_type,
    frame_transfer_syntax,
)
from shared.errors import NotAcceptable, NotFound, Unavailable
from shared.services.answer_work import AnswerWork
from shared.services.retrieve.bulk_data import bulk_value
from shared.services.retrieve.file_header import read_header_of
from shared.services.retrieve.stored_file import StoredFile, open_file
from shared.services.retrieve.stored_frames import stored_frames
from shared.services.retrieve.stored_instances import (
    count_by_transfer_syntax,
    find_instance,
    find_instance_metadata,
    find_instances_with_frames,
    is_deleted,
    left_out,
    only,
)
from shared.services.retrieve.stored_metadata import stored_metadata
from shared.services.retrieve.transcoding import frames_in
from shared.storage.archive import Archive
from shared.web.content import Content, Parts, Representations, in_memory, started
from shared.web.content_negotiation import Offer
from shared.web.offers import bulk_values_offers, is_available_in, pixel_data_offers

# Up to this number, each value is looked for in the file, and long ones are not held; more are read from one header.
_FEW_VALUES: Final = 4

_Sent = Callable[[InstanceWithFrames, Offer], AsyncGenerator[Content, None]]


async def retrieve_all_bulk_values(
    archive: Archive, resource: ResourceIdentifiers, work: AnswerWork
) -> Representations:
    """What all bulk values of a study, series or instance can be sent as: parts, named as in the metadata.

    Encapsulated Pixel Data is a part for each frame. Raises NotFound; opening them does where there is no bulk value.
    """

    async def values(record: InstanceWithFrames, offer: Offer) -> AsyncGenerator[Content, None]:
        paths = await _bulk_paths(archive, record, work)
        part = work.part()
        file = await open_file(archive, record, part)
        others = [path for path in paths if path not in PIXEL_DATA_PATHS]
        many = len(others) > _FEW_VALUES
        async with aclosing((_many_values if many else _few_values)(file, others, work)) as found:
            async for value in found:
                yield replace(value, media_type=OCTET_STREAM)
        for path in PIXEL_DATA_PATHS.intersection(paths):
            is_of_frames = file.frames is not None and file.frames.is_encapsulated
            async with aclosing(
                _frames(file, offer, work) if is_of_frames else _few_values(file, [path], work)
            ) as found:
                async for value in found:
                    yield replace(value, path=f"{file.path}/{BULK_DATA}/{path}")
        part.end()

    counts, records = await _found(archive, resource)
    offers = bulk_values_offers(_frame_syntaxes(counts))
    return _representations(
        archive, resource, counts, records, offers, values, "instances' Pixel Data is", "no bulk value"
    )


async def retrieve_all_pixel_data(archive: Archive, resource: ResourceIdentifiers, work: AnswerWork) -> Representations:
    """What the frames of a study, series or instance can be sent as: a part each.

    Raises NotFound; opening them does where there is no frame.
    """

    async def frames(record: InstanceWithFrames, offer: Offer) -> AsyncGenerator[Content, None]:
        part = work.part()
        async with aclosing(_frames(await open_file(archive, record, part), offer, work)) as found:
            async for frame in found:
                yield frame
        part.end()

    counts, records = await _found(archive, resource)
    offers = pixel_data_offers(_frame_syntaxes(counts))
    return _representations(archive, resource, counts, records, offers, frames, "instances are", "no frame")


def _representations(
    archive: Archive,
    resource: ResourceIdentifiers,
    counts: Mapping[str, int],
    records: AsyncIterator[InstanceWithFrames],
    offers: list[Offer],
    sent: _Sent,
    what: str,
    nothing: str,
) -> Representations:
    async def contents(offer: Offer, missing: str) -> AsyncIterator[Content]:
        is_empty = True
        async for record in records:
            try:
                async with aclosing(sent(record, offer)) as found:
                    async for content in found:
                        is_empty = False
                        yield content
            except NotFound as error:
                if not await is_deleted(archive, record):
                    raise Unavailable("The file of an instance cannot be read.") from error
        if is_empty and missing:
            raise NotAcceptable(f"{missing}.")
        if is_empty:
            raise NotFound(f"The {resource.level.word} has {nothing}.")

    async def open_parts(offer: Offer) -> Parts:
        uid = _asked(offer)
        missing = left_out(counts, uid, what) if uid else ""
        return Parts(contents(offer, missing), missing)

    return Representations(version=None, offers=offers, open=open_parts)


async def _bulk_paths(archive: Archive, record: InstanceWithFrames, work: AnswerWork) -> list[str]:
    """The paths of the bulk values that the metadata of an instance name."""
    part = work.part()
    text = await stored_metadata(archive, await find_instance_metadata(archive, record.identifiers), "", part)
    uris = await work.run(lambda: list(bulk_data_uris(read_attributes(text.pieces()))))
    part.end()
    return [uri.partition(f"/{BULK_DATA}/")[2] for uri in uris]


async def _found(
    archive: Archive, resource: ResourceIdentifiers
) -> tuple[Mapping[str, int], AsyncIterator[InstanceWithFrames]]:
    """How many instances of a resource there are by transfer syntax, and which. Raises NotFound."""
    if resource.instance is None:
        return await count_by_transfer_syntax(archive, resource), find_instances_with_frames(archive, resource)
    record = await find_instance(archive, resource.instance)
    return {record.transfer_syntax_uid: 1}, only(record)


def _frame_syntaxes(transfer_syntax_uids: Mapping[str, int]) -> frozenset[str]:
    return frozenset(map(frame_transfer_syntax, transfer_syntax_uids))


def _asked(offer: Offer) -> str | None:
    """The one transfer syntax of an offer; None where frames are sent as they are stored, in several."""
    return next(iter(offer.transfer_syntax_uids)) if len(offer.transfer_syntax_uids) == 1 else None


async def _few_values(file: StoredFile, paths: list[str], work: AnswerWork) -> AsyncGenerator[Content, None]:
    for path in paths:
        part = work.part()
        yield replace(await bulk_value(file, part, path), end=part.end)


async def _many_values(file: StoredFile, paths: list[str], work: AnswerWork) -> AsyncGenerator[Content, None]:
    part = work.part()
    header = await read_header_of(file, part)
    values = find_bulk_values(header.data_set, paths, limits=header.limits)
    try:
        while found := await part.run(lambda: next(values, None)):
            path, value, _ = found
            yield in_memory(f"{file.path}/{BULK_DATA}/{path}", OCTET_STREAM, EXPLICIT_VR_LITTLE_ENDIAN, value)
    except NoSuchBulkValue as error:
        raise NotFound("The metadata names a bulk value that the file does not have.") from error
    part.end()


async def _frames(file: StoredFile, offer: Offer, work: AnswerWork) -> AsyncGenerator[Content, None]:
    """All frames as one of the offers has them; as they are stored where the first cannot be transcoded."""
    table, uid, stored_uid = file.frames, _asked(offer), frame_transfer_syntax(file.transfer_syntax_uid)
    if table is None or not table.frame_count or (uid and not is_available_in(uid, stored_uid)):
        return
    numbers = range(1, table.frame_count + 1)
    part, media_type = work.part(), offer.media_type
    frames = stored_frames(file, numbers, media_type, part)
    if uid and uid != stored_uid:
        try:
            frames = await started(frames_in(file, part, numbers, uid, media_type))
        except NotAcceptable:
            part.end()
            part = work.part()
            frames = stored_frames(file, numbers, frame_media_type(stored_uid), part)
    async for frame in frames:
        yield frame
    part.end()

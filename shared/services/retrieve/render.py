"""The Retrieve transaction for rendered resources and thumbnails (PS3.18 10.4.1.1.3 and 4)."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

from shared.archive.instance import InstanceWithFrames
from shared.dicom.identifiers import ResourceIdentifiers
from shared.errors import DicomWebError, NotAcceptable, NotFound
from shared.services.answer_work import AnswerWork
from shared.services.retrieve.rendered_instance import can_be_rendered, media_type_as_it_is, picture
from shared.services.retrieve.stored_instances import find_instance, is_deleted
from shared.storage.archive import Archive
from shared.web.content import Content, Parts, Representations, in_memory, started
from shared.web.content_negotiation import Offer
from shared.web.offers import rendered_offers
from shared.web.problem_document import PROBLEM, problem_document
from shared.web.rendering_parameters import THUMBNAIL_PIXELS, RenderingParameters

_NOTHING: Final = "The resource has nothing that can be rendered."
_PAGE_ROWS: Final = 16  # the first instance will do, unless it has no pixels, or damaged ones


async def render(
    archive: Archive,
    resource: ResourceIdentifiers,
    work: AnswerWork,
    parameters: RenderingParameters,
    frame_numbers: Sequence[int] | None,
    *,
    is_thumbnail: bool = False,
) -> Representations:
    """What a resource can be shown as: one picture of it, or parts, one for each frame of a list or each instance.

    `frame_numbers`, from 1, are frames of an instance; None is its first frame or, in an animated picture, all. One
    picture of a study or series shows the first of its first instances that can be rendered; a document or a video is
    shown where there is no image, or where it is asked for. An instance that cannot be rendered is a problem document
    among the parts. Raises NotFound where there is nothing to show.
    """
    shown = await _first_shown(archive, resource, is_thumbnail=is_thumbnail)
    thumbnail_pixels = THUMBNAIL_PIXELS if is_thumbnail else None

    async def draw_part(offer: Offer, record: InstanceWithFrames, numbers: Sequence[int] | None) -> Content:
        part = work.part()
        try:
            drawn = await picture(archive, record, part, offer.media_type, parameters, numbers, thumbnail_pixels)
        except BaseException:
            part.end()
            raise
        return replace(drawn, end=part.end)

    async def first_drawn(offer: Offer) -> Content:
        refusals = list[DicomWebError]()
        for record in (record for record in shown if offer in _offers(record, is_thumbnail)):
            try:
                return await draw_part(offer, record, frame_numbers)
            except (NotAcceptable, NotFound) as error:
                refusals.append(error.with_traceback(None))
        raise refusals.pop(0)

    async def frames(offer: Offer, numbers: Sequence[int]) -> AsyncIterator[Content]:
        for number in numbers:
            yield await draw_part(offer, shown[0], [number])

    async def instances(offer: Offer) -> AsyncIterator[Content]:
        waiting, refusals, has_drawn = list[Content](), list[DicomWebError](), False
        async for record in _instances(archive, resource):
            # What is sent as it is has another media type than the pictures, and so no part among them.
            if not can_be_rendered(record, is_thumbnail=is_thumbnail) or offer not in _offers(record, is_thumbnail):
                continue
            try:
                waiting.append(await draw_part(offer, record, None))
                has_drawn = True
            except (NotAcceptable, NotFound) as error:
                if isinstance(error, NotFound) and await is_deleted(archive, record):
                    continue
                waiting.append(_problem(record, error))
                refusals = refusals or [error.with_traceback(None)]
            if not has_drawn and len(waiting) == _PAGE_ROWS:
                break
            while has_drawn and waiting:
                yield waiting.pop(0)
        if not has_drawn:
            raise refusals.pop(0) if refusals else NotFound(_NOTHING)

    async def open_pictures(offer: Offer) -> Content | Parts:
        if offer.is_multipart and resource.instance is None:
            return Parts(await started(instances(offer)))
        if offer.is_multipart and frame_numbers is not None:
            return Parts(await started(frames(offer, frame_numbers)))
        return await first_drawn(offer)

    return Representations(
        version=(tuple(record.blob_version for record in shown), parameters, frame_numbers, is_thumbnail),
        is_version_of_parts=resource.instance is not None,
        offers=list(dict.fromkeys(offer for record in shown for offer in _offers(record, is_thumbnail))),
        open=open_pictures,
    )


async def _first_shown(
    archive: Archive, resource: ResourceIdentifiers, *, is_thumbnail: bool
) -> list[InstanceWithFrames]:
    """The first few instances of a resource that can be rendered, images first; NotFound if there are none.

    They are those up to the first image, and the next ones that are read with it.
    """
    shown = list[InstanceWithFrames]()
    rows, has_image = 0, False
    async for record in _instances(archive, resource):
        rows += 1
        if can_be_rendered(record, is_thumbnail=is_thumbnail):
            shown.append(record)
            has_image = has_image or media_type_as_it_is(record) is None
        if len(shown) == _PAGE_ROWS or (has_image and rows % _PAGE_ROWS == 0):
            break
    if not shown:
        is_one = resource.instance is not None
        raise NotFound(_NOTHING if is_one else f"There is no such {resource.level.word}, or nothing in it to render.")
    return sorted(shown, key=lambda record: media_type_as_it_is(record) is not None)


async def _instances(archive: Archive, resource: ResourceIdentifiers) -> AsyncIterator[InstanceWithFrames]:
    """The instances of a resource, by series and instance UID."""
    if resource.instance is not None:
        yield await find_instance(archive, resource.instance)
        return
    study, series = resource.study, resource.series_instance_uid
    async for record in archive.catalog.read_instances_with_frames(study, series, page_rows=_PAGE_ROWS):
        yield record


def _problem(record: InstanceWithFrames, error: DicomWebError) -> Content:
    return in_memory(f"{record.identifiers.path}/rendered", PROBLEM, None, problem_document(error.status, str(error)))


def _offers(record: InstanceWithFrames, is_thumbnail: bool) -> list[Offer]:
    return rendered_offers(None if is_thumbnail else media_type_as_it_is(record))

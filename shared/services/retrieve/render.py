"""The Retrieve transaction for rendered resources and thumbnails (PS3.18 10.4.1.1.3 and 4)."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

from shared.archive.instance import InstanceWithFrames
from shared.dicom.identifiers import ResourceIdentifiers
from shared.errors import NotFound
from shared.services.answer_work import AnswerWork
from shared.services.retrieve.rendered_instance import can_be_rendered, media_type_as_it_is, picture
from shared.services.retrieve.stored_instances import at_least_one, find_instance
from shared.storage.archive import Archive
from shared.web.content import Content, Parts, Representations, started
from shared.web.content_negotiation import Offer
from shared.web.offers import rendered_offers
from shared.web.rendering_parameters import THUMBNAIL_PIXELS, RenderingParameters

_PAGE_ROWS: Final = 16  # the first instance will do, unless it has no pixels


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
    picture of a study or series shows its first instance that can be rendered. Raises NotFound where there is nothing
    to show.
    """
    records = _renderable(archive, resource, is_thumbnail=is_thumbnail)
    first = await anext(records)
    thumbnail_pixels = THUMBNAIL_PIXELS if is_thumbnail else None

    async def draw(
        offer: Offer, record: InstanceWithFrames, numbers: Sequence[int] | None, share: AnswerWork
    ) -> Content:
        return await picture(archive, record, share, offer.media_type, parameters, numbers, thumbnail_pixels)

    async def draw_part(offer: Offer, record: InstanceWithFrames, numbers: Sequence[int] | None) -> Content:
        part = work.part()
        return replace(await draw(offer, record, numbers, part), end=part.end)

    async def frames(offer: Offer, numbers: Sequence[int]) -> AsyncIterator[Content]:
        for number in numbers:
            yield await draw_part(offer, first, [number])

    async def instances(offer: Offer) -> AsyncIterator[Content]:
        yield await draw_part(offer, first, None)
        async for record in records:
            # What is sent as it is has another media type than the pictures, and so no part among them.
            if offer in _offers(record, is_thumbnail):
                yield await draw_part(offer, record, None)

    async def open_pictures(offer: Offer) -> Content | Parts:
        if offer.is_multipart and resource.instance is None:
            return Parts(await started(instances(offer)))
        if offer.is_multipart and frame_numbers is not None:
            return Parts(await started(frames(offer, frame_numbers)))
        return await draw(offer, first, frame_numbers, work)

    return Representations(
        version=(first.blob_version, parameters, frame_numbers, is_thumbnail),
        is_version_of_parts=resource.instance is not None,
        offers=_offers(first, is_thumbnail),
        open=open_pictures,
    )


async def _renderable(
    archive: Archive, resource: ResourceIdentifiers, *, is_thumbnail: bool
) -> AsyncIterator[InstanceWithFrames]:
    """The instances of a resource that can be rendered, by series and instance UID; NotFound if there are none."""
    if (identifiers := resource.instance) is not None:
        record = await find_instance(archive, identifiers)
        if not can_be_rendered(record, is_thumbnail=is_thumbnail):
            raise NotFound("The instance has nothing that can be rendered.")
        yield record
        return
    study, series = resource.study, resource.series_instance_uid
    records = archive.catalog.read_instances_with_frames(study, series, page_rows=_PAGE_ROWS)
    shown = (record async for record in records if can_be_rendered(record, is_thumbnail=is_thumbnail))
    async for record in at_least_one(
        shown, f"There is no such {resource.level.word}, or nothing in it that can be rendered."
    ):
        yield record


def _offers(record: InstanceWithFrames, is_thumbnail: bool) -> list[Offer]:
    return rendered_offers(None if is_thumbnail else media_type_as_it_is(record))

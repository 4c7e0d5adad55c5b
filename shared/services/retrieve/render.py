"""The Retrieve transaction for rendered resources and thumbnails (PS3.18 10.4.1.1.3 and 4)."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.archive.instance import InstanceWithFrames
from shared.dicom.identifiers import ResourceIdentifiers
from shared.errors import DicomWebError, NotAcceptable, NotFound
from shared.services.answer_work import AnswerWork
from shared.services.retrieve.remembered import Remembered, find_again
from shared.services.retrieve.rendered_instance import can_be_rendered, media_type_as_it_is, picture
from shared.services.retrieve.stored_instances import is_deleted
from shared.storage.archive import Archive
from shared.web.content import Content, Parts, Representations, Unread, in_memory, started
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
) -> Representations | Unread | Remembered:
    """What a resource can be shown as: one picture of it, or parts, one for each frame of a list or each instance.

    `frame_numbers`, from 1, are frames of an instance; None is its first frame or, in an animated picture, all. One
    picture of a study or series shows the first of its first instances that can be rendered; a document or a video is
    shown where there is no image, or where it is asked for. An instance that cannot be rendered is a problem document
    among the parts. Raises NotFound where there is nothing to show.
    """

    def represent(shown: Sequence[InstanceWithFrames], work: AnswerWork) -> Representations:
        async def open_pictures(offer: Offer) -> Content | Parts:
            pictures = _Pictures(archive, work, offer, parameters, is_thumbnail)
            if offer.is_multipart and resource.instance is None:
                return Parts(await started(pictures.of_instances(resource)))
            if offer.is_multipart and frame_numbers is not None:
                return Parts(await started(pictures.of_frames(shown[0], frame_numbers)))
            return await pictures.of_first(shown, frame_numbers)

        return Representations(
            version=(tuple(record.blob_version for record in shown), parameters, frame_numbers, is_thumbnail),
            is_version_of_parts=resource.instance is not None,
            offers=list(dict.fromkeys(offer for record in shown for offer in _offers(record, is_thumbnail))),
            open=open_pictures,
        )

    def represent_one(record: InstanceWithFrames, work: AnswerWork) -> Representations:
        if not can_be_rendered(record, is_thumbnail=is_thumbnail):
            raise NotFound(_NOTHING)
        return represent([record], work)

    if resource.instance is not None:
        return await find_again(archive, resource.instance, work, represent_one)
    return represent(await _first_shown(archive, resource, is_thumbnail=is_thumbnail), work)


@dataclass(frozen=True, slots=True)
class _Pictures:
    """The pictures of an answer, all of one media type; each is made in a part of the answer's work."""

    archive: Archive
    work: AnswerWork
    offer: Offer
    parameters: RenderingParameters
    is_thumbnail: bool

    async def of_first(self, shown: Sequence[InstanceWithFrames], frame_numbers: Sequence[int] | None) -> Content:
        """The first of these instances that can be drawn."""
        refusals = list[DicomWebError]()
        for record in filter(self._has_offer, shown):
            try:
                return await self._draw(record, frame_numbers)
            except (NotAcceptable, NotFound) as error:
                refusals.append(error.with_traceback(None))
        raise refusals.pop(0)

    async def of_frames(self, record: InstanceWithFrames, frame_numbers: Sequence[int]) -> AsyncIterator[Content]:
        """A picture of each of these frames, by number from 1."""
        for number in frame_numbers:
            yield await self._draw(record, [number])

    async def of_instances(self, resource: ResourceIdentifiers) -> AsyncIterator[Content]:
        """A picture of each instance of a resource."""
        waiting, refusals, has_drawn = list[Content](), list[DicomWebError](), False
        async for record in _instances(self.archive, resource):
            # What is sent as it is has another media type than the pictures, and so no part among them.
            if not can_be_rendered(record, is_thumbnail=self.is_thumbnail) or not self._has_offer(record):
                continue
            try:
                waiting.append(await self._draw(record, None))
                has_drawn = True
            except (NotAcceptable, NotFound) as error:
                if isinstance(error, NotFound) and await is_deleted(self.archive, record):
                    continue
                waiting.append(_problem(record, error))
                refusals = refusals or [error.with_traceback(None)]
            if not has_drawn and len(waiting) == _PAGE_ROWS:
                break
            while has_drawn and waiting:
                yield waiting.pop(0)
        if not has_drawn:
            raise refusals.pop(0) if refusals else NotFound(_NOTHING)

    def _has_offer(self, record: InstanceWithFrames) -> bool:
        return self.offer in _offers(record, self.is_thumbnail)

    async def _draw(self, record: InstanceWithFrames, numbers: Sequence[int] | None) -> Content:
        part, media_type = self.work.part(), self.offer.media_type
        thumbnail_pixels = THUMBNAIL_PIXELS if self.is_thumbnail else None
        try:
            drawn = await picture(self.archive, record, part, media_type, self.parameters, numbers, thumbnail_pixels)
        except BaseException:
            part.end()
            raise
        return replace(drawn, end=part.end)


async def _first_shown(
    archive: Archive, resource: ResourceIdentifiers, *, is_thumbnail: bool
) -> list[InstanceWithFrames]:
    """The first few instances of a study or series that can be rendered, images first; NotFound if there are none.

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
        raise NotFound(f"There is no such {resource.level.word}, or nothing in it to render.")
    return sorted(shown, key=lambda record: media_type_as_it_is(record) is not None)


def _instances(archive: Archive, resource: ResourceIdentifiers) -> AsyncIterator[InstanceWithFrames]:
    """The instances of a study or series, by series and instance UID."""
    study, series = resource.study, resource.series_instance_uid
    return archive.catalog.read_instances_with_frames(study, series, page_rows=_PAGE_ROWS)


def _problem(record: InstanceWithFrames, error: DicomWebError) -> Content:
    return in_memory(f"{record.identifiers.path}/rendered", PROBLEM, None, problem_document(error.status, str(error)))


def _offers(record: InstanceWithFrames, is_thumbnail: bool) -> list[Offer]:
    return rendered_offers(None if is_thumbnail else media_type_as_it_is(record))

"""The functions of the Retrieve transaction (WADO-RS) that send pictures: rendered resources and thumbnails."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response

from functions.edge import app
from functions.edge.answers import content_response, multipart_response, not_modified
from functions.edge.request import accepted, frame_numbers, instance_identifiers, resource, service_url, transaction
from functions.edge.routes import FRAMES, INSTANCE, METHODS, SERIES, STUDY
from shared.errors import NotFound
from shared.web.content_negotiation import Offer, negotiate
from shared.web.entity_tags import entity_tag
from shared.web.rendering_parameters import THUMBNAIL_PIXELS, RenderingParameters, parse
from shared.web.representations import rendered_offers

if TYPE_CHECKING:
    from shared.archive.instance import InstanceWithFrames
    from shared.web.content import Content

bp = func.Blueprint()


@bp.function_name("RetrieveRenderedStudy")
@bp.route(STUDY + "/rendered", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_rendered_study(req: Request) -> Response:
    """A picture of a study, or a part for each of its instances."""
    return await _render_several(req)


@bp.function_name("RetrieveRenderedSeries")
@bp.route(SERIES + "/rendered", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_rendered_series(req: Request) -> Response:
    """A picture of a series, or a part for each of its instances."""
    return await _render_several(req)


@bp.function_name("RetrieveRenderedInstance")
@bp.route(INSTANCE + "/rendered", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_rendered_instance(req: Request) -> Response:
    """An instance: its first frame, all of them in an animated picture, or a document or video as it comes."""
    return await _render_instance(req, None)


@bp.function_name("RetrieveRenderedFrames")
@bp.route(FRAMES + "/rendered", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_rendered_frames(req: Request) -> Response:
    """Frames of an instance, by number from 1: a picture each, or an animated one of all."""
    return await _render_instance(req, frame_numbers(req))


@bp.function_name("RetrieveStudyThumbnail")
@bp.route(STUDY + "/thumbnail", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_study_thumbnail(req: Request) -> Response:
    """A small picture of a study."""
    return await _render_several(req, is_thumbnail=True)


@bp.function_name("RetrieveSeriesThumbnail")
@bp.route(SERIES + "/thumbnail", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_series_thumbnail(req: Request) -> Response:
    """A small picture of a series."""
    return await _render_several(req, is_thumbnail=True)


@bp.function_name("RetrieveInstanceThumbnail")
@bp.route(INSTANCE + "/thumbnail", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_instance_thumbnail(req: Request) -> Response:
    """A small picture of an instance."""
    return await _render_instance(req, None, is_thumbnail=True)


@bp.function_name("RetrieveFrameThumbnail")
@bp.route(FRAMES + "/thumbnail", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def retrieve_frame_thumbnail(req: Request) -> Response:
    """A small picture of a frame."""
    return await _render_instance(req, frame_numbers(req), is_thumbnail=True)


async def _render_several(req: Request, *, is_thumbnail: bool = False) -> Response:
    from shared.services.retrieve.render import renderable_instances

    parameters = parse(req.query_params.multi_items())
    records = renderable_instances(await app.archive(), resource(req), is_thumbnail=is_thumbnail)
    first = await anext(records)
    offer = negotiate(accepted(req), _offers(first, is_thumbnail))
    if not offer.is_multipart:
        return await _answer(req, offer, first, parameters, None, is_thumbnail)

    async def pictures() -> AsyncIterator["Content"]:
        yield await _picture(offer, first, parameters, None, is_thumbnail)
        async for record in records:
            # What is shown as it comes is of another media type than pictures, and has no part among them.
            if offer in _offers(record, is_thumbnail):
                yield await _picture(offer, record, parameters, None, is_thumbnail)

    from shared.web.content import begun

    return multipart_response(req, offer, await begun(pictures()))


async def _render_instance(req: Request, numbers: Sequence[int] | None, *, is_thumbnail: bool = False) -> Response:
    from shared.services.retrieve.instances import find_instance
    from shared.services.retrieve.render import can_be_rendered
    from shared.web.content import begun

    parameters = parse(req.query_params.multi_items())
    record = await find_instance(await app.archive(), instance_identifiers(req))
    if not can_be_rendered(record, is_thumbnail=is_thumbnail):
        raise NotFound("The instance has nothing that can be rendered.")
    offer = negotiate(accepted(req), _offers(record, is_thumbnail))
    if not offer.is_multipart or numbers is None:
        return await _answer(req, offer, record, parameters, numbers, is_thumbnail)

    async def pictures() -> AsyncIterator["Content"]:
        for number in numbers:
            yield await _picture(offer, record, parameters, [number], is_thumbnail)

    return multipart_response(req, offer, await begun(pictures()))


def _offers(record: "InstanceWithFrames", is_thumbnail: bool) -> list[Offer]:
    from shared.services.retrieve.render import media_type_as_it_is

    return rendered_offers(None if is_thumbnail else media_type_as_it_is(record))


async def _answer(
    req: Request,
    offer: Offer,
    record: "InstanceWithFrames",
    parameters: RenderingParameters,
    numbers: Sequence[int] | None,
    is_thumbnail: bool,
) -> Response:
    facts = (record.blob_version, offer.media_type, offer.is_multipart, repr(parameters), numbers, is_thumbnail)
    tag = entity_tag(*facts, service_url(req))
    if answer := not_modified(req, tag):
        return answer
    return await content_response(req, offer, await _picture(offer, record, parameters, numbers, is_thumbnail), tag)


async def _picture(
    offer: Offer,
    record: "InstanceWithFrames",
    parameters: RenderingParameters,
    numbers: Sequence[int] | None,
    is_thumbnail: bool,
) -> "Content":
    from shared.services.retrieve.render import picture

    archive, work = await app.archive(), app.pixel_work()
    thumbnail_pixels = THUMBNAIL_PIXELS if is_thumbnail else None
    return await picture(archive, record, work, offer.media_type, parameters, numbers, thumbnail_pixels)

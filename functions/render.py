"""The functions of the Retrieve transaction (WADO-RS) that send pictures: rendered resources and thumbnails."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.answers import retrieval_response
from functions.edge.app import App
from functions.edge.function import function
from functions.edge.request import answer_work, frame_numbers, resource
from shared.web.rendering_parameters import parse


@function("RetrieveRenderedStudy")
async def retrieve_rendered_study(req: Request, app: App) -> Response:
    """A picture of a study, or a part for each of its instances."""
    return await _render(req, app)


@function("RetrieveRenderedSeries")
async def retrieve_rendered_series(req: Request, app: App) -> Response:
    """A picture of a series, or a part for each of its instances."""
    return await _render(req, app)


@function("RetrieveRenderedInstance")
async def retrieve_rendered_instance(req: Request, app: App) -> Response:
    """An instance: its first frame, all of them in an animated picture, or a document or video as it comes."""
    return await _render(req, app)


@function("RetrieveRenderedFrames")
async def retrieve_rendered_frames(req: Request, app: App) -> Response:
    """Frames of an instance, by number from 1: a picture each, or an animated one of all."""
    return await _render(req, app, frame_numbers(req, app.settings.max_frames))


@function("RetrieveStudyThumbnail")
async def retrieve_study_thumbnail(req: Request, app: App) -> Response:
    """A small picture of a study."""
    return await _render(req, app, is_thumbnail=True)


@function("RetrieveSeriesThumbnail")
async def retrieve_series_thumbnail(req: Request, app: App) -> Response:
    """A small picture of a series."""
    return await _render(req, app, is_thumbnail=True)


@function("RetrieveInstanceThumbnail")
async def retrieve_instance_thumbnail(req: Request, app: App) -> Response:
    """A small picture of an instance."""
    return await _render(req, app, is_thumbnail=True)


@function("RetrieveFrameThumbnail")
async def retrieve_frame_thumbnail(req: Request, app: App) -> Response:
    """A small picture of a frame."""
    return await _render(req, app, frame_numbers(req, app.settings.max_frames), is_thumbnail=True)


async def _render(
    req: Request, app: App, frame_numbers: Sequence[int] | None = None, *, is_thumbnail: bool = False
) -> Response:
    from shared.services.retrieve.render import render  # pydicom

    parameters = parse(req.query_params.multi_items())
    found = await render(
        await app.archive(), resource(req), answer_work(req), parameters, frame_numbers, is_thumbnail=is_thumbnail
    )
    return await retrieval_response(req, app, found)

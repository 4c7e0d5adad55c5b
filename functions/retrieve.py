"""The functions of the Retrieve transaction (WADO-RS): instances, metadata, frames, bulk data. Pictures: `render.py`.

Services say what there is of a resource; `functions/edge/answers.py` turns it into the answer.
"""

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.answers import retrieval_response
from functions.edge.app import App
from functions.edge.function import function
from functions.edge.request import answer_work, frame_numbers, instance_identifiers, resource, service_url
from shared.services.retrieve import frames, instances, metadata


@function("RetrieveStudy")
async def retrieve_study(req: Request, app: App) -> Response:
    """All instances of a study."""
    return await _several(req, app)


@function("RetrieveSeries")
async def retrieve_series(req: Request, app: App) -> Response:
    """All instances of a series."""
    return await _several(req, app)


@function("RetrieveInstance")
async def retrieve_instance(req: Request, app: App) -> Response:
    """An instance, as the only part of a message or alone."""
    found = await instances.retrieve_instance(await app.archive(), instance_identifiers(req), answer_work(req))
    return await retrieval_response(req, app, found)


@function("RetrieveStudyMetadata")
async def retrieve_study_metadata(req: Request, app: App) -> Response:
    """The metadata of all instances of a study."""
    return await _metadata_of_several(req, app)


@function("RetrieveSeriesMetadata")
async def retrieve_series_metadata(req: Request, app: App) -> Response:
    """The metadata of all instances of a series."""
    return await _metadata_of_several(req, app)


@function("RetrieveInstanceMetadata")
async def retrieve_instance_metadata(req: Request, app: App) -> Response:
    """The metadata of an instance."""
    url = service_url(req, app.settings)
    found = await metadata.retrieve_instance_metadata(
        await app.archive(), instance_identifiers(req), url, answer_work(req)
    )
    return await retrieval_response(req, app, found)


@function("RetrieveFrames")
async def retrieve_frames(req: Request, app: App) -> Response:
    """Frames of an instance, by number from 1, in the order of the list."""
    numbers = frame_numbers(req, app.settings.max_frames)
    found = await frames.retrieve_frames(await app.archive(), instance_identifiers(req), numbers, answer_work(req))
    return await retrieval_response(req, app, found)


@function("RetrieveBulkdata")
async def retrieve_bulkdata(req: Request, app: App) -> Response:
    """The value that a BulkDataURI of the metadata names; encapsulated Pixel Data comes as its frames, a part each."""
    from shared.services.retrieve.bulk_data import retrieve_bulk_value  # pydicom

    path = (req.path_params.get("path") or "").upper()
    found = await retrieve_bulk_value(await app.archive(), instance_identifiers(req), path, answer_work(req))
    return await retrieval_response(req, app, found)


async def _several(req: Request, app: App) -> Response:
    found = await instances.retrieve_instances(await app.archive(), resource(req), answer_work(req))
    return await retrieval_response(req, app, found)


async def _metadata_of_several(req: Request, app: App) -> Response:
    url = service_url(req, app.settings)
    found = await metadata.retrieve_metadata(await app.archive(), resource(req), url, answer_work(req))
    return await retrieval_response(req, app, found)

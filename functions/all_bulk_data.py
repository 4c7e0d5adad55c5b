"""The functions of the Retrieve transaction (WADO-RS) that send all bulk values or all Pixel Data of a resource."""

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.answers import retrieval_response
from functions.edge.app import App
from functions.edge.function import function
from functions.edge.request import answer_work, resource


@function("RetrieveAllStudyBulkdata")
async def retrieve_all_study_bulkdata(req: Request, app: App) -> Response:
    """All bulk values of a study, a part each; encapsulated Pixel Data comes as its frames."""
    return await _all(req, app)


@function("RetrieveAllSeriesBulkdata")
async def retrieve_all_series_bulkdata(req: Request, app: App) -> Response:
    """All bulk values of a series, a part each; encapsulated Pixel Data comes as its frames."""
    return await _all(req, app)


@function("RetrieveAllInstanceBulkdata")
async def retrieve_all_instance_bulkdata(req: Request, app: App) -> Response:
    """All bulk values of an instance, a part each; encapsulated Pixel Data comes as its frames."""
    return await _all(req, app)


@function("RetrieveStudyPixelData")
async def retrieve_study_pixel_data(req: Request, app: App) -> Response:
    """All frames of a study, a part each."""
    return await _all(req, app, is_pixel_data=True)


@function("RetrieveSeriesPixelData")
async def retrieve_series_pixel_data(req: Request, app: App) -> Response:
    """All frames of a series, a part each."""
    return await _all(req, app, is_pixel_data=True)


@function("RetrieveInstancePixelData")
async def retrieve_instance_pixel_data(req: Request, app: App) -> Response:
    """All frames of an instance, a part each."""
    return await _all(req, app, is_pixel_data=True)


async def _all(req: Request, app: App, *, is_pixel_data: bool = False) -> Response:
    from shared.services.retrieve import all_bulk_data  # pydicom

    retrieve = all_bulk_data.retrieve_all_pixel_data if is_pixel_data else all_bulk_data.retrieve_all_bulk_values
    return await retrieval_response(req, app, await retrieve(await app.archive(), resource(req), answer_work(req)))

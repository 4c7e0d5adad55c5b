"""The functions of the Delete transaction, as Microsoft's service has it."""

import asyncio
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.app import App
from functions.edge.function import function
from functions.edge.request import resource
from shared.errors import Unavailable


@function("DeleteStudy")
async def delete_study(req: Request, app: App) -> Response:
    """Delete a study with all its series and instances."""
    return await _delete(req, app)


@function("DeleteSeries")
async def delete_series(req: Request, app: App) -> Response:
    """Delete a series with all its instances; the study goes with its last series."""
    return await _delete(req, app)


@function("DeleteInstance")
async def delete_instance(req: Request, app: App) -> Response:
    """Delete an instance; a series goes with its last instance, a study with its last series."""
    return await _delete(req, app)


async def _delete(req: Request, app: App) -> Response:
    from shared.services.write.delete import delete  # the storage SDKs

    max_seconds = app.settings.max_request_seconds
    try:
        # Maintenance relies on no request being at work for longer.
        async with asyncio.timeout(max_seconds):
            await delete(await app.archive(), resource(req))
    except TimeoutError:
        raise Unavailable(f"The delete took longer than {max_seconds} seconds; it is finished later.") from None
    return Response(status_code=HTTPStatus.NO_CONTENT)

"""The functions of the Delete transaction, as Microsoft's service has it."""

import asyncio
from http import HTTPStatus

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response

from functions.edge import app
from functions.edge.request import resource, transaction
from shared.errors import Unavailable

bp = func.Blueprint()


@bp.function_name("DeleteStudy")
@bp.route("{version}/studies/{study}", methods=["DELETE"], auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def delete_study(req: Request) -> Response:
    """Delete a study with all its series and instances."""
    return await _delete(req)


@bp.function_name("DeleteSeries")
@bp.route("{version}/studies/{study}/series/{series}", methods=["DELETE"], auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def delete_series(req: Request) -> Response:
    """Delete a series with all its instances; with the last series goes the study."""
    return await _delete(req)


@bp.function_name("DeleteInstance")
@bp.route(
    "{version}/studies/{study}/series/{series}/instances/{instance}",
    methods=["DELETE"],
    auth_level=func.AuthLevel.ANONYMOUS,
)
@transaction
async def delete_instance(req: Request) -> Response:
    """Delete an instance; with the last one goes the series, and with the last series the study."""
    return await _delete(req)


async def _delete(req: Request) -> Response:
    from shared.services.write.delete import delete

    max_seconds = app.settings().max_request_seconds
    try:
        # Maintenance counts on it that no request is at work for longer.
        async with asyncio.timeout(max_seconds):
            await delete(await app.archive(), resource(req))
    except TimeoutError:
        raise Unavailable(f"The delete took longer than {max_seconds} seconds; it is finished later.") from None
    return Response(status_code=HTTPStatus.NO_CONTENT)

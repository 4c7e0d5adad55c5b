"""GET /health, whether the service reaches its storage, and /health/live, whether it runs; both say the version."""

import json
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.app import App
from functions.edge.function import function
from shared.version import VERSION


@function("CheckHealth")
async def check_health(_req: Request, app: App) -> Response:
    """200 when blob and table storage answered within the last seconds, else 503; storage is given 4 seconds."""
    if await app.storage_health.is_healthy():
        return _response(HTTPStatus.OK, "healthy")
    return _response(HTTPStatus.SERVICE_UNAVAILABLE, "unhealthy")


@function("CheckLiveness")
async def check_liveness(_req: Request, _app: App) -> Response:
    """200: this process answers. Does not ask storage."""
    return _response(HTTPStatus.OK, "alive")


def _response(status: HTTPStatus, text: str) -> Response:
    return Response(json.dumps({"status": text, "version": VERSION}), status, media_type="application/json")

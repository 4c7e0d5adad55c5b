"""GET /health, whether the service can reach its storage, and /health/live, whether it runs; nothing else is told."""

import asyncio
import json
import logging
import time
from http import HTTPStatus
from typing import Final

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response

from functions.edge import app
from functions.edge.headers import add_headers
from shared.failures import described

bp = func.Blueprint()

# Who waits for health gives up after a few seconds; who asks without end costs two operations in that time.
_CHECK_SECONDS: Final = 4
_KEPT_SECONDS: Final = 5

_checking = asyncio.Lock()
_is_healthy = False
_asked_next = 0.0
_logger = logging.getLogger(__name__)


@bp.function_name("CheckHealth")
@bp.route("health", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def check_health(req: Request) -> Response:
    """200 when blob and table storage answered within the last seconds, else 503; storage is given 4 seconds."""
    global _is_healthy, _asked_next
    async with _checking:
        if time.monotonic() >= _asked_next:
            _is_healthy = await _storage_answers()
            _asked_next = time.monotonic() + _KEPT_SECONDS
    if _is_healthy:
        return _response(req, HTTPStatus.OK, "healthy")
    return _response(req, HTTPStatus.SERVICE_UNAVAILABLE, "unhealthy")


@bp.function_name("CheckLiveness")
@bp.route("health/live", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def check_liveness(req: Request) -> Response:
    """200: this process answers. Asks nothing of storage."""
    return _response(req, HTTPStatus.OK, "alive")


async def _storage_answers() -> bool:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await (await app.archive()).check()
    except Exception as error:  # noqa: BLE001 -- it is logged, without its message, and answered
        _logger.error("Not healthy: %s", described(error))
        return False
    return True


def _response(req: Request, status: HTTPStatus, text: str) -> Response:
    response = Response(json.dumps({"status": text}), status, media_type="application/json")
    add_headers(req, response)
    return response

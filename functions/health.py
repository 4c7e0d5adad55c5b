"""GET /health: whether the service can reach its storage. Asks for no sign-in and reveals nothing."""

import json
import logging
from http import HTTPStatus

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response

from functions import _services
from functions._headers import add_headers
from shared.errors import Unavailable
from shared.settings import SettingsError

bp = func.Blueprint()

_logger = logging.getLogger(__name__)


@bp.function_name("CheckHealth")
@bp.route("health", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def check_health(req: Request) -> Response:
    """200 when blob and table storage answer, else 503."""
    status, text = HTTPStatus.OK, "healthy"
    try:
        await (await _services.archive()).check()
    except (SettingsError, Unavailable):
        _logger.exception("Not healthy.")
        status, text = HTTPStatus.SERVICE_UNAVAILABLE, "unhealthy"
    response = Response(json.dumps({"status": text}), status, media_type="application/json")
    add_headers(req, response)
    return response

"""The functions that describe the API itself, as an OpenAPI document: what Microsoft's service has under api.yaml.

Nobody has to sign in for it: it tells what the code and the settings are, and nothing of the archive.
"""

import asyncio
import json
from functools import lru_cache, partial
from typing import Final

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response

from functions.edge import app
from functions.edge.registered import http_functions
from functions.edge.request import api_version, service_url, transaction
from functions.edge.routes import METHODS
from functions.edge.sign_in import is_open
from shared.settings import Settings

bp = func.Blueprint()

_KEPT_DOCUMENTS: Final = 8  # two versions, for each of the few names that clients know the service by


@bp.function_name("DescribeApi")
@bp.route("{version}/api.yaml", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@partial(transaction, needs_sign_in=False)
async def describe_api(req: Request) -> Response:
    """The OpenAPI document of this version of the API, in YAML, of which JSON is a part."""
    return await _describe(req, "application/yaml")


@bp.function_name("DescribeApiAsJson")
@bp.route("{version}/api.json", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@partial(transaction, needs_sign_in=False)
async def describe_api_as_json(req: Request) -> Response:
    """The OpenAPI document of this version of the API, in JSON."""
    return await _describe(req, "application/json")


async def _describe(req: Request, media_type: str) -> Response:
    is_open()  # a service that is not configured has nothing to say of itself
    version = api_version(req)
    base_url = service_url(req).removesuffix(f"/{version}")
    # In a thread: the first time, what it is made of is imported.
    made = await asyncio.to_thread(_document, version, base_url, app.settings())
    return Response(made, media_type=media_type)  # YAML 1.2 is JSON and more


@lru_cache(_KEPT_DOCUMENTS)
def _document(version: str, base_url: str, settings: Settings) -> str:
    from shared.openapi.document import document

    return json.dumps(document(version, base_url, http_functions(), settings), indent=1)

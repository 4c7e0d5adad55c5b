"""The functions that describe the API itself as an OpenAPI document, which Microsoft's service has under api.yaml.

They need no sign-in: the document reflects the code and the settings, and shows nothing of the archive.
"""

import asyncio
import json
from functools import lru_cache
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.app import App
from functions.edge.function import function, summaries
from functions.edge.request import api_name, service_url
from functions.routes import ROUTES
from shared.settings import Settings

_KEPT_DOCUMENTS: Final = 8  # two versions for each of the few host names that clients use


@function("DescribeApi")
async def describe_api(req: Request, app: App) -> Response:
    """The OpenAPI document of this version of the API, in YAML, which includes JSON."""
    return await _describe(req, app, "application/yaml")


@function("DescribeApiAsJson")
async def describe_api_as_json(req: Request, app: App) -> Response:
    """The OpenAPI document of this version of the API, in JSON."""
    return await _describe(req, app, "application/json")


async def _describe(req: Request, app: App, media_type: str) -> Response:
    app.check_sign_in()  # a service that is not configured does not describe itself
    name = api_name(req)
    base_url = service_url(req, app.settings).removesuffix(f"/{name}")
    # In a thread: the first call imports what the document is made of.
    text = await asyncio.to_thread(_document, name, base_url, app.settings)
    return Response(text, media_type=media_type)  # YAML 1.2 includes JSON


@lru_cache(_KEPT_DOCUMENTS)
def _document(api_name: str, base_url: str, settings: Settings) -> str:
    from shared.openapi.document import document  # pydicom, and all that the document is made of

    return json.dumps(document(api_name, base_url, ROUTES.values(), summaries(), settings), indent=1)

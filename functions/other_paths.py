"""The function that gets every request that no other function takes, and answers those that no function should."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.app import App
from functions.edge.function import function
from functions.edge.request import accepted, root_url
from functions.routes import methods_of
from shared.errors import MethodNotAllowed, NotFound
from shared.settings import Settings
from shared.web.api_versions import API_NAMES, UNVERSIONED
from shared.web.content_negotiation import negotiate
from shared.web.front_page import FRONT_PAGE, front_page

_NEWEST: Final = "v2"
_FRONT_PAGE_METHODS: Final = ("GET", "HEAD")


@function("ZAnswerOtherPaths")
async def answer_other_paths(req: Request, app: App) -> Response:
    """The resource without a version in its path, as in v1; the front page; else 404, or 405 for another method."""
    path: str = req.path_params.get("path", "")
    api_name = path.strip("/").lower()
    methods = _FRONT_PAGE_METHODS if api_name in API_NAMES else methods_of(path)
    if api_name in API_NAMES and req.method in methods:
        return _front_page(req, app.settings, _NEWEST if api_name == UNVERSIONED else api_name)
    if methods:
        raise MethodNotAllowed(f"The resource has no method {req.method}; it has {', '.join(methods)}.", methods)
    raise NotFound("There is no such resource.")


def _front_page(req: Request, settings: Settings, api_name: str) -> Response:
    media_type = negotiate(accepted(req), FRONT_PAGE).media_type
    page = front_page(media_type, root_url(req, settings), api_name, settings.viewer_url)
    return Response(page, media_type=media_type, headers={"Vary": "Accept"})

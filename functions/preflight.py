"""The function that answers OPTIONS for all resources: a browser asks first on behalf of a page of another origin."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.app import App
from functions.edge.function import function
from functions.edge.request import listed
from functions.routes import methods_of
from shared.errors import NotFound
from shared.web.cross_origin import preflight_headers, sharing_headers


@function("AnswerPreflight")
async def answer_preflight(req: Request, app: App) -> Response:
    """The methods of a resource; pages of origins that may use it learn that they may use them (CORS preflight)."""
    methods = methods_of(req.path_params.get("path", ""))
    if not methods:
        raise NotFound("There is no such resource.")
    headers = {"Allow": ", ".join(methods)}
    if sharing_headers(app.settings.cors_origins, req.headers.get("origin")):
        headers |= preflight_headers(methods, listed(req, "access-control-request-headers"))
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)

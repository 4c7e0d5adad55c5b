"""The function that answers OPTIONS for all resources: what a browser asks before a page of another origin may."""

from collections import defaultdict
from functools import cache
from http import HTTPStatus

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response

from functions.edge import app
from functions.edge.registered import http_functions
from functions.edge.request import transaction
from shared.errors import NotFound
from shared.web.cross_origin import allowed_origins, preflight_headers, sharing_headers
from shared.web.route_templates import match

bp = func.Blueprint()


@bp.function_name("AnswerPreflight")
@bp.route("{version}/{*path}", methods=["OPTIONS"], auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def answer_preflight(req: Request) -> Response:
    """The methods of a resource; to pages of origins that may use it, that they may use those (CORS preflight)."""
    methods = _methods_of(f"{req.path_params['version']}/{req.path_params.get('path') or ''}")
    if not methods:
        raise NotFound("There is no such resource.")
    headers = {"Allow": ", ".join(methods)}
    if sharing_headers(allowed_origins(app.settings().cors_origins), req.headers.get("origin")):
        headers |= preflight_headers(methods, req.headers.get("access-control-request-headers"))
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)


def _methods_of(path: str) -> list[str]:
    """The methods of the functions whose templates a path fits, in alphabetical order; none where none does."""
    fitting = (methods for template, methods in _resources() if match(template, path) is not None)
    return sorted(set().union(*fitting))


@cache
def _resources() -> list[tuple[str, set[str]]]:
    """The route templates of all other functions with their methods."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for function in http_functions():
        if function.name != "AnswerPreflight":
            found[function.route] |= set(function.methods)
    return [(template, methods | {"OPTIONS"}) for template, methods in found.items()]

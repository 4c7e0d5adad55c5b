"""The function that gets every request that no other function takes, and answers those that no function should."""

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.app import App
from functions.edge.function import function
from functions.routes import methods_of
from shared.errors import MethodNotAllowed, NotFound


@function("ZAnswerOtherPaths")
async def answer_other_paths(req: Request, _app: App) -> Response:
    """The resource without a version in its path, as in v1; else 404, or 405 where it has other methods."""
    if methods := methods_of(req.path_params.get("path", "")):
        raise MethodNotAllowed(f"The resource has no method {req.method}; it has {', '.join(methods)}.", methods)
    raise NotFound("There is no such resource.")

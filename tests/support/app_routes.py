"""Every route of the app with a path that it answers, so that what holds for all can be tested on all."""

import re
from collections.abc import Iterable

from azure.functions.decorators.function_app import Function

from local.routing import Route
from local.server import routes_of

NO_RESOURCE = "/nothing"
OPEN = ("/health", "/health/live", "/v2/api.yaml", "/v2/api.json", NO_RESOURCE)

_VALUES = {"version": "v2", "frames": "1", "path": "7FE00010"}


def requests_of(functions: Iterable[Function]) -> list[tuple[str, str]]:
    """The method and path of a request to each function by each of its methods."""
    return [(method, _path(route, method)) for route in routes_of(functions) for method in sorted(route.methods)]


def guarded(functions: Iterable[Function]) -> list[tuple[str, str]]:
    """The requests that need sign-in: all but health, the description of the API, and OPTIONS."""
    return [(method, path) for method, path in requests_of(functions) if path not in OPEN and method != "OPTIONS"]


def reads(method: str, path: str) -> bool:
    """Whether whoever may read may do this: of subscriptions, not even that."""
    return method in ("GET", "HEAD") and "/subscriptions" not in path


def _path(route: Route, method: str) -> str:
    if route.template == "{*path}":
        return "/v2/studies" if method == "OPTIONS" else NO_RESOURCE
    return "/" + re.sub(r"\{\*?(\w+)\}", lambda found: _VALUES.get(found[1], "1.2.3"), route.template)

"""Which function answers a request: the rules of the Azure Functions host.

Functions are tried in alphabetical order of their names, ignoring case, and the first whose template and
methods fit answers; a literal segment has no precedence over a parameter. Where none fits, the answer is 404, even for
an unlisted method: HEAD and OPTIONS reach only functions that list them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from shared.web.route_templates import PARAMETER, match

_ENCODED_SLASH: Final = re.compile("(%2f)", re.IGNORECASE)


class RouteError(ValueError):
    """A route template that is invalid, or has a form that is not supported here."""


@dataclass(frozen=True, slots=True)
class Route:
    """A function's HTTP trigger: its name, template without leading slash, and methods in upper case."""

    function_name: str
    template: str
    methods: frozenset[str]

    def __post_init__(self) -> None:
        segments = self.template.split("/")
        for index, segment in enumerate(segments):
            if not segment:
                raise RouteError(f"{self.function_name}: the route {self.template!r} has an empty segment.")
            parameter = PARAMETER.fullmatch(segment)
            if parameter is None and set(segment) & set("{}*?"):
                raise RouteError(f"{self.function_name}: the segment {segment!r} has an unsupported form.")
            if parameter and parameter[1] and index < len(segments) - 1:
                raise RouteError(f"{self.function_name}: {segment!r} is not the last segment.")
        names = [name.lower() for _, name in PARAMETER.findall(self.template)]
        if len(names) != len(set(names)):
            raise RouteError(f"{self.function_name}: the route {self.template!r} names a parameter twice.")


def route_of(function_name: str, trigger: Mapping[str, Any], route_prefix: str) -> Route:
    """The route of a function by its HTTP trigger, with the fields of a function.json. Raises RouteError."""
    methods = trigger.get("methods")
    if not methods:
        raise RouteError(f"{function_name}: the methods are not listed.")
    template = "/".join(filter(None, (route_prefix, trigger.get("route") or function_name)))
    return Route(function_name, template, frozenset(getattr(method, "value", method).upper() for method in methods))


def ordered(routes: Iterable[Route]) -> list[Route]:
    """The routes in the order in which the host tries them."""
    return sorted(routes, key=lambda route: route.function_name.upper())


def find(routes: Iterable[Route], method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
    """The first fitting route, of routes in the host's order, and its parameters; None: 404."""
    for route in routes:
        if method.upper() in route.methods and (parameters := match(route.template, path)) is not None:
            return route, parameters
    return None


def decoded(raw_path: str) -> str:
    """The path of a request line, decoded as the host does it: all but encoded slashes."""
    return "".join(
        piece if _ENCODED_SLASH.fullmatch(piece) else unquote(piece) for piece in _ENCODED_SLASH.split(raw_path)
    )

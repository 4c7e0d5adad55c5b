"""Serves the registered functions as the Azure Functions host would, on uvicorn: one ASGI app, no route of its own.

What the host does to a request is done here, too: it replaces Host and adds ``X-Forwarded-*``, limits the body, logs
the path without the query, and answers 404 and 500 itself.
"""

import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

from azure.functions.decorators.function_app import Function
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from local.routing import Route, RouteError, decoded, find, ordered

DEFAULT_BODY_BYTES: Final = 104_857_600
"""The host's limit where FUNCTIONS_REQUEST_BODY_SIZE_LIMIT sets none."""

Handler = Callable[[Request], Awaitable[Response | None]]

_logger = logging.getLogger("local.server")


class BodyTooLarge(Exception):
    """The request's body exceeds the host's limit; the host answers 500 to it, not 413."""


def routes_of(functions: Iterable[Function], route_prefix: str = "") -> dict[Route, Handler]:
    """The HTTP functions among those of an app, in the host's order, with their handlers. Raises RouteError."""
    handlers = {}
    for function in functions:
        trigger = function.get_trigger()
        if trigger is None or trigger.type != "httpTrigger":
            continue
        details: dict[str, Any] = trigger.get_dict_repr()
        name = function.get_function_name() or ""
        if not details.get("methods"):
            raise RouteError(f"{name}: the methods are not listed.")
        template = "/".join(filter(None, (route_prefix, details.get("route") or name)))
        methods = frozenset(getattr(method, "value", method).upper() for method in details["methods"])
        handlers[Route(name, template, methods)] = function.get_user_function()
    return {route: handlers[route] for route in ordered(handlers)}


def route_prefix_of(host_json: Path) -> str:
    """The routePrefix of a host.json; "api" where it sets none, as the host has it."""
    settings = json.loads(host_json.read_text())
    prefix: str = settings.get("extensions", {}).get("http", {}).get("routePrefix", "api")
    return prefix


class Host:
    """The ASGI app that stands for the host."""

    def __init__(self, routes: dict[Route, Handler], max_body_bytes: int = DEFAULT_BODY_BYTES) -> None:
        self._handlers = routes
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"No {scope['type']} here.")
        started = time.perf_counter()
        status = 0

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            response = await self._answer(scope, self._limited(receive))
            await response(scope, receive, noting_send)
        finally:
            milliseconds = (time.perf_counter() - started) * 1000
            _logger.info("%s %s %d %.0f ms", scope["method"], scope["path"], status, milliseconds)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        found = find(self._handlers, scope["method"], decoded(scope["raw_path"].decode("latin-1").partition("?")[0]))
        if found is None:
            return Response(status_code=404)
        route, parameters = found
        scope["headers"] = _forwarded(scope)
        scope["path_params"] = dict(parameters)
        try:
            response = await self._handlers[route](Request(scope, receive))
            if response is None:
                raise TypeError(f"{route.function_name} returned nothing.")
        except HTTPException as error:
            return PlainTextResponse(error.detail, error.status_code)
        except BodyTooLarge:
            _logger.warning("%s: the body exceeds the host's limit.", route.function_name)
            return PlainTextResponse("Request body too large.", 500)
        except Exception:
            _logger.exception("%s failed.", route.function_name)
            return PlainTextResponse("Internal Server Error", 500)
        return response

    def _limited(self, receive: Receive) -> Receive:
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise BodyTooLarge
            return message

        return limited


def _forwarded(scope: Scope) -> Iterable[tuple[bytes, bytes]]:
    """The headers as the host's proxy hands them on: it says what the client used and puts its own Host."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    replaced = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-for")
    host = next((value for name, value in headers if name == b"host"), b"")
    address, port = scope["server"]
    client = scope["client"][0] if scope["client"] else ""
    return [
        *((name, value) for name, value in headers if name not in replaced),
        (b"host", f"{address}:{port}".encode()),
        (b"x-forwarded-host", host),
        (b"x-forwarded-proto", scope["scheme"].encode()),
        (b"x-forwarded-for", client.encode()),
    ]

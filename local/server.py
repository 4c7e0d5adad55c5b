"""Serves the registered functions as the Azure Functions host would, on uvicorn: one ASGI app, no routes of its own.

It does to a request what the host does: replaces Host and adds ``X-Forwarded-*``, limits the body, logs
the path without the query, and answers 404 and 500 itself.
"""

import inspect
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import uvicorn
from azure.functions.decorators.function_app import Function
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local.bounded_protocol import bounded_protocol
from local.routing import Route, RouteError, decoded, find, ordered, route_of

DEFAULT_BODY_BYTES: Final = 104_857_600
"""The host's limit where FUNCTIONS_REQUEST_BODY_SIZE_LIMIT sets none."""

_GRACE_SECONDS: Final = 5  # for requests under way when interrupted

Handler = Callable[[Request], Awaitable[Response | None]]

_logger = logging.getLogger("local.server")


def routes_of(functions: Iterable[Function], route_prefix: str = "") -> dict[Route, Handler]:
    """The HTTP functions of an app, in the host's order, with their handlers. Raises RouteError."""
    handlers = {}
    for function in functions:
        trigger = function.get_trigger()
        if trigger is None or trigger.type != "httpTrigger":
            continue
        name, handler = function.get_function_name() or "", function.get_user_function()
        if not inspect.iscoroutinefunction(handler):
            raise RouteError(f"{name}: the handler is not an async function.")
        handlers[route_of(name, trigger.get_dict_repr(), route_prefix)] = handler
    return {route: handlers[route] for route in ordered(handlers)}


def http_settings_of(host_json: Path) -> Mapping[str, Any]:
    """What a host.json sets for HTTP."""
    settings: Mapping[str, Any] = json.loads(host_json.read_text()).get("extensions", {}).get("http", {})
    return settings


def route_prefix_of(host_json: Path) -> str:
    """The routePrefix of a host.json; the host's default, "api", where it sets none."""
    prefix: str = http_settings_of(host_json).get("routePrefix", "api")
    return prefix


def server_of(host: "Host", port: int, protocol: type[HttpToolsProtocol] | None = None) -> uvicorn.Server:
    """A server of the host on a port of localhost; 0 for any. Its connections speak `protocol`, if given."""
    config = uvicorn.Config(
        host,
        host="127.0.0.1",
        port=port,
        http=protocol or bounded_protocol(),
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,  # what a client says of itself is not trusted
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return uvicorn.Server(config)


class Host:
    """The ASGI app that stands in for the host."""

    def __init__(self, routes: dict[Route, Handler], max_body_bytes: int = DEFAULT_BODY_BYTES) -> None:
        self._handlers = routes
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an HTTP request."""
        started = time.perf_counter()
        status = 0

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        body = _LimitedBody(scope, receive, self._max_body_bytes)
        path = scope["raw_path"].decode("latin-1")
        try:
            response = await self._answer(scope, path, body)
            await response(scope, body.receive, noting_send)
        finally:
            milliseconds = (time.perf_counter() - started) * 1000
            _logger.info("%s %s %d %.0f ms", scope["method"], path, status, milliseconds)

    async def _answer(self, scope: Scope, path: str, body: "_LimitedBody") -> Response:
        found = find(self._handlers, scope["method"], decoded(path))
        if found is None:
            return Response(status_code=404)
        route, parameters = found
        scope["headers"] = _forwarded(scope)
        scope["path_params"] = dict(parameters)
        try:
            response = await self._handlers[route](Request(scope, body.receive))
            if response is None:
                raise TypeError(f"{route.function_name} returned nothing.")
        except HTTPException as error:
            response = JSONResponse({"detail": error.detail}, error.status_code, error.headers)
        except Exception:
            _logger.exception("%s failed.", route.function_name)
            response = _internal_server_error()
        if body.is_too_large:
            _logger.error("%s: the body exceeds FUNCTIONS_REQUEST_BODY_SIZE_LIMIT.", route.function_name)
            return _internal_server_error()
        return response


class _LimitedBody:
    """A request's body as the host passes it on: over the limit it breaks off, and the host answers 500, not 413."""

    def __init__(self, scope: Scope, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._received = 0
        announced = Headers(scope=scope).get("content-length", "")
        self.is_too_large = announced.isdigit() and int(announced) > max_bytes

    async def receive(self) -> Message:
        """The client's next message; a disconnect once the body is too large."""
        disconnect = {"type": "http.disconnect"}
        if self.is_too_large:
            return disconnect
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self.is_too_large = self._received > self._max_bytes
        return disconnect if self.is_too_large else message


def _internal_server_error() -> Response:
    return PlainTextResponse("Internal Server Error", 500)


def _forwarded(scope: Scope) -> Iterable[tuple[bytes, bytes]]:
    """The headers as the host's proxy passes them on: it says what the client used, and sets its own Host."""
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

"""The HTTP front of the host: finds the function that a request calls, and has the worker run it.

Of the host's own pages there is only the one that runs a function which is not HTTP: `POST /admin/functions/NAME`.
"""

import asyncio
import json
import logging
import time
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Final
from uuid import uuid4

from aiohttp import web

from local.routing import decoded, find, ordered, route_of
from local.server import http_settings_of, route_prefix_of
from tests.support.functions_host.forwarding import ACTIVITY_SECONDS, TOO_LARGE, Forwarder
from tests.support.functions_host.messages import protos
from tests.support.functions_host.triggers import data_of
from tests.support.functions_host.worker_process import HostError, Worker, check

_ADMIN: Final = "/admin/functions/"

_logger = logging.getLogger("functions_host")


class Front:
    """Answers HTTP requests by the functions of a worker, with the settings of the app's host.json."""

    def __init__(self, worker: Worker, host_json: Path, max_body_bytes: int) -> None:
        """Raise RouteError for a route that the project has no matcher for."""
        http, prefix = http_settings_of(host_json), route_prefix_of(host_json)
        functions = [function for function in worker.functions.values() if function.is_http]
        self._worker = worker
        self._routes = ordered(route_of(function.name, function.trigger, prefix) for function in functions)
        self._max_body_bytes = max_body_bytes
        self._forwarder = Forwarder(worker.http_uri, max_body_bytes, http.get("customHeaders", {}))
        self._outstanding = 0
        self._max_outstanding: int = http.get("maxOutstandingRequests", -1)
        at_once: int = http.get("maxConcurrentRequests", -1)
        self._slot: AbstractAsyncContextManager[None] = asyncio.Semaphore(at_once) if at_once > 0 else nullcontext()

    async def close(self) -> None:
        """Close the connections to the worker."""
        await self._forwarder.close()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, and log it, without its query."""
        began = time.perf_counter()
        path = request.raw_path.partition("?")[0]
        outcome = "broken off"
        try:
            try:
                response = await self._answer(request, decoded(path))
            except HostError as error:
                _logger.error("%s %s: %s", request.method, path, error)
                response = web.Response(status=500)
                response.force_close()  # what comes of the body is not read
            outcome = str(response.status)
            return response
        finally:
            _logger.info("%s %s %s %.0f ms", request.method, path, outcome, (time.perf_counter() - began) * 1000)

    async def _answer(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        if path.startswith(_ADMIN) and request.method == "POST":
            return await self._fire(request, path.removeprefix(_ADMIN))
        found = find(self._routes, request.method, path)
        if found is None:
            return web.Response(status=404)
        if (request.content_length or 0) > self._max_body_bytes:
            raise HostError(TOO_LARGE)
        if 0 < self._max_outstanding <= self._outstanding:
            return web.Response(status=429)
        route, parameters = found
        self._outstanding += 1
        try:
            async with self._slot:
                return await self._call(request, route.function_name, dict(parameters))
        finally:
            self._outstanding -= 1

    async def _call(self, request: web.BaseRequest, name: str, parameters: dict[str, str]) -> web.StreamResponse:
        """Have the worker run the function, which gets the parameters by message and all else by HTTP."""
        invocation_id = str(uuid4())
        data = protos.TypedData(http=protos.RpcHttp(params=parameters))
        metadata = {key: protos.TypedData(string=value) for key, value in parameters.items()}
        answer = self._worker.invoke(self._worker.functions[name], invocation_id, data, metadata)
        try:
            response = await self._forwarder.forward(request, invocation_id)
            # What follows cannot change the answer any more.
            try:
                check((await asyncio.wait_for(answer, ACTIVITY_SECONDS)).result, f"{name} failed")
            except (HostError, TimeoutError) as error:
                _logger.error("%s: %s", name, error)
            return response
        finally:
            answer.cancel()

    async def _fire(self, request: web.BaseRequest, name: str) -> web.Response:
        """Run a function as its trigger does; the body is `{"input": …}`, the message of a queue."""
        function = self._worker.functions.get(name)
        if function is None or function.is_http:
            return web.Response(status=404)
        data, metadata = data_of(function, json.loads(await request.text() or "{}").get("input", ""))
        answer = await self._worker.invoke(function, str(uuid4()), data, metadata)
        check(answer.result, f"{name} failed")
        return web.Response(status=202)

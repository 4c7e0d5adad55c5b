"""A proxy in front of a server that fails on purpose: busy, too small, slow, or losing what it should pass on."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from local.ports import free_ports

Fault = Literal["busy", "lost", "cut"]

_DROPPED = ("host", "content-length", "transfer-encoding", "connection", "content-encoding", "accept-encoding")


class FaultyProxy:
    """The ASGI app of the proxy.

    `faults` hit the next requests that store or retrieve: "busy" is 503 and nothing passed on, "lost" passes the
    request on and then breaks the connection, "cut" breaks it in the middle of the answer. A store of more than
    `max_bytes` is 413, and each is answered after `seconds`. `stores` are the lengths of the stores received.
    """

    def __init__(self, target: str) -> None:
        self.url = ""
        self.faults: deque[Fault] = deque()
        self.max_bytes = 1024**3
        self.seconds = 0.0
        self.stores: list[int] = []
        self._target = target

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        is_store = request.method == "POST"
        if is_store:
            self.stores.append(len(body))
            await asyncio.sleep(self.seconds)
        is_hit = is_store or "multipart" in request.headers.get("accept", "")
        fault = self.faults.popleft() if is_hit and self.faults else None
        if fault == "busy":
            await Response("later", 503, {"Retry-After": "0"}, "text/plain")(scope, receive, send)
            return
        if is_store and len(body) > self.max_bytes:
            await Response("too much", 413, media_type="text/plain")(scope, receive, send)
            return
        answer = await self._passed_on(request, body)
        headers = {name: value for name, value in answer.headers.items() if name not in _DROPPED}
        if fault is None:
            await Response(answer.content, answer.status_code, headers)(scope, receive, send)
            return
        # Announced and not sent: uvicorn breaks the connection.
        length = str(len(answer.content))
        raw = [(name.encode(), value.encode()) for name, value in {**headers, "content-length": length}.items()]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": raw})
        sent = answer.content[: len(answer.content) // 2] if fault == "cut" else b""
        await send({"type": "http.response.body", "body": sent, "more_body": True})

    async def _passed_on(self, request: Request, body: bytes) -> httpx.Response:
        headers = [(name, value) for name, value in request.headers.items() if name not in _DROPPED]
        url = f"{self._target}{request.url.path}?{request.url.query}"
        async with httpx.AsyncClient(timeout=60) as client:
            return await client.request(request.method, url, headers=headers, content=body)


@contextmanager
def faulty_proxy(target: str) -> Iterator[FaultyProxy]:
    """A proxy in front of the server at `target` (scheme and host), at its own `url`."""
    proxy, port = FaultyProxy(target), free_ports(1)
    proxy.url = f"http://127.0.0.1:{port}/v2"
    server = uvicorn.Server(
        uvicorn.Config(proxy, host="127.0.0.1", port=port, lifespan="off", log_config=None, access_log=False)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.02)
        yield proxy
    finally:
        server.should_exit = True
        thread.join()

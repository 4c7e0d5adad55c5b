"""Storage whose answers break off: a proxy in front of Azurite, which carries out whatever it is asked."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from enum import Enum

from aiohttp import ClientResponse, ClientSession, DummyCookieJar, web
from multidict import CIMultiDict
from yarl import URL

from local.azurite import connection_string
from tests.support.http_server import http_server


class Cut(Enum):
    """How far an answer gets."""

    NOTHING = "nothing of it"
    STATUS_LINE = "half of the status line"
    HEADERS = "half of the headers"
    BODY = "half of the body"
    UNFRAMED = "half of a body that ends with the connection"
    GARBLED = "something that is not HTTP"


@asynccontextmanager
async def cut_storage(azurite_port: int, next_cut: Callable[[], Cut | None]) -> AsyncIterator[str]:
    """The connection string of storage that does to each answer what `next_cut` says; None: nothing."""
    async with AsyncExitStack() as stack:
        options = {
            "cookie_jar": DummyCookieJar(),
            "auto_decompress": False,
            "skip_auto_headers": ("Content-Type", "Accept"),
        }
        session = await stack.enter_async_context(ClientSession(**options))  # type: ignore[arg-type]
        found = connection_string(azurite_port)
        for port in (azurite_port, azurite_port + 2):
            own = await stack.enter_async_context(_proxy(session, port, next_cut))
            found = found.replace(f"http://127.0.0.1:{port}/", f"{own}/")
        yield found


@asynccontextmanager
async def _proxy(session: ClientSession, port: int, next_cut: Callable[[], Cut | None]) -> AsyncIterator[str]:
    async def forward(request: web.Request) -> web.Response:
        headers = CIMultiDict(request.headers)
        headers.popall("Transfer-Encoding", None)
        url = URL(f"http://127.0.0.1:{port}{request.raw_path}", encoded=True)
        content = await request.read()
        async with session.request(request.method, url, headers=headers, data=content or None) as answer:
            body = await answer.read()
            headers = CIMultiDict(answer.headers)
        headers.popall("Transfer-Encoding", None)
        cut = next_cut()
        if cut is None:
            return web.Response(status=answer.status, headers=headers, body=body)
        assert request.transport is not None
        request.transport.write(_beginning(answer, headers, body, cut))
        request.transport.close()
        return web.Response()

    async with http_server("/{path:.*}", forward) as url:
        yield url


def _beginning(answer: ClientResponse, headers: CIMultiDict[str], body: bytes, cut: Cut) -> bytes:
    """What arrives of an answer."""
    status = f"HTTP/1.1 {answer.status} {answer.reason}\r\n".encode()
    headers.popall("Content-Length", None)
    if cut is Cut.UNFRAMED:
        headers["Connection"] = "close"
    else:
        headers["Content-Length"] = str(len(body) or 10)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    return {
        Cut.NOTHING: b"",
        Cut.STATUS_LINE: status[: len(status) // 2],
        Cut.HEADERS: status + lines[: len(lines) // 2],
        Cut.BODY: status + lines + b"\r\n" + body[: len(body) // 2],
        Cut.UNFRAMED: status + lines + b"\r\n" + body[: len(body) // 2],
        Cut.GARBLED: b"\x16\x03\x01 not HTTP\r\n\r\n",
    }[cut]

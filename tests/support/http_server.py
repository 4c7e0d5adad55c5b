"""An HTTP server of one handler, on a free port of this machine."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

_MAX_BODY_BYTES = 1024**3


@asynccontextmanager
async def http_server(
    path: str, handler: Callable[[web.Request], Awaitable[web.Response]], method: str = "*"
) -> AsyncIterator[str]:
    """The server's URL, while it hands requests for the path, which may have parameters, to the handler.

    It does so for one method, or for any.
    """
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()

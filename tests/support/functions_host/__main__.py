"""A stand-in for the Azure Functions host that serves the app on Microsoft's own code of a Python worker.

`python -m tests.support.functions_host PORT [FOLDER]` takes the app's settings from the environment. Microsoft's are
azure_functions_runtime, which indexes the functions, runs them and has an HTTP server of its own, and what the app is
deployed with; ours are the host's end of both, and the process around that package. The platform is missing: scaling,
triggers that fire by themselves, sign-in, keys, a front end with limits of its own.
"""

import asyncio
import logging
import os
import signal
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Final

from aiohttp import web

from local.routing import RouteError
from local.server import DEFAULT_BODY_BYTES
from tests.support.functions_host.front import Front
from tests.support.functions_host.worker_process import HostError, running

# Kestrel's limits of a request line, and of the headers.
_MAX_LINE_BYTES: Final = 8_192
_MAX_HEADERS_BYTES: Final = 32_768

_GRACE_SECONDS: Final = 1  # for requests under way when stopped

_logger = logging.getLogger("functions_host")


async def _serve(port: int, folder: Path) -> None:
    """Serve the app until a signal. Raises HostError or RouteError."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    limit = int(os.environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT") or DEFAULT_BODY_BYTES)
    async with running(folder) as worker:
        front = Front(worker, folder / "host.json", limit)
        server = web.Server(
            front.answer,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_HEADERS_BYTES,
        )
        runner = web.ServerRunner(server, shutdown_timeout=_GRACE_SECONDS)
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            _logger.info("Listening on port %d.", port)
            waiting = [asyncio.create_task(stopped.wait()), asyncio.create_task(worker.wait())]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not stopped.is_set():
                raise HostError("The worker ended.")
        finally:
            await runner.cleanup()
            await front.close()


def main() -> int:
    """Serve until SIGINT or SIGTERM; return 1 where the app cannot be served."""
    parser = ArgumentParser(prog="python -m tests.support.functions_host")
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), help="the app's, with its host.json")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    logging.getLogger("azure.functions").setLevel(logging.WARNING)  # what the worker's code says of each invocation
    try:
        asyncio.run(_serve(arguments.port, arguments.folder.resolve()))
    except (HostError, RouteError) as error:
        print(error, file=sys.stderr)  # noqa: T201 -- a command's word on why it fails
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

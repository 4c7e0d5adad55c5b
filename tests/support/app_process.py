"""`python -m tests.support.app_process PORT`: the app alone, on the storage of the environment, until killed.

`app_process` is such a process for a test.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.azurite import ROOT
from local.background import is_healthy
from local.routing import Route
from local.server import Handler, Host, route_prefix_of, routes_of, server_of

MAX_BODY_BYTES = 1024**3


class AppProcess:
    """The app in a separate process, on a port; `log` is where it prints."""

    def __init__(self, port: int, storage: str, log: Path) -> None:
        self.base_url = f"http://127.0.0.1:{port}/v2"
        self._log = log
        environment = {"STORAGE_CONNECTION_STRING": storage, "CREATE_STORAGE": "true", "ANONYMOUS_ACCESS": "true"}
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 -- our own arguments
                [sys.executable, "-m", "tests.support.app_process", str(port)],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    async def wait_until_healthy(self) -> None:
        async with asyncio.timeout(90):
            while not await asyncio.to_thread(is_healthy, self.base_url.removesuffix("/v2")):
                assert self._process.poll() is None, self._log.read_text(errors="replace")[-5000:]
                await asyncio.sleep(0.1)  # a process has no event for this

    def kill(self) -> None:
        """End it with SIGKILL: nothing more runs, not even its clean-up."""
        self._process.kill()
        self._process.wait()


@contextmanager
def app_process(port: int, storage: str, log: Path) -> Iterator[AppProcess]:
    process = AppProcess(port, storage, log)
    try:
        yield process
    finally:
        process.kill()


def _routes() -> dict[Route, Handler]:
    from function_app import app  # reads the environment

    return routes_of(app.get_functions(), route_prefix_of(ROOT / "host.json"))


if __name__ == "__main__":
    asyncio.run(server_of(Host(_routes(), MAX_BODY_BYTES), int(sys.argv[1])).serve())

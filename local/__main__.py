"""`python -m local`: Azurite and the app, served until interrupted. `python -m local azurite`: Azurite alone.

Environment: PORT (7071), the HTTP port; AZURITE_PORT (10000), the first of Azurite's three; DATA (.azurite), where it
keeps its data, or `memory`. The app's settings come from local.settings.json, as `func start` reads them; unless
CORS_ORIGINS says otherwise, pages of localhost may use it. SERVED_BY: the command of another server for the app, used
instead of this one, which finds those settings in its environment.
"""

import asyncio
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import uvicorn

from local import azurite, queues, timers
from local.app_settings import app_settings
from local.azurite import ROOT, LocalError
from local.ports import is_taken
from local.routing import RouteError
from local.server import DEFAULT_BODY_BYTES, Host, route_prefix_of, routes_of, server_of

DEFAULT_PORT: Final = 7071
"""The HTTP port where PORT is not set."""

_WATCH_SECONDS: Final = 1  # between checks that Azurite still runs
_STOP_SECONDS: Final = 10


def main(arguments: list[str]) -> int:
    """Run what the arguments name until SIGINT or SIGTERM, which both raise KeyboardInterrupt; return 1 on failure."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        port = azurite.port_of("PORT", DEFAULT_PORT)
        azurite_port = azurite.port_of("AZURITE_PORT", azurite.DEFAULT_PORT)
        data = os.environ.get("DATA") or str(ROOT / ".azurite")
        if arguments not in ([], ["azurite"]):
            raise LocalError("Run `python -m local` or `python -m local azurite`.")
        if not arguments and is_taken(port):
            raise LocalError(f"Port {port} is taken: choose another with PORT=<number>.")
        with azurite.running(azurite_port, None if data == "memory" else Path(data)) as storage:
            if arguments:
                _wait(storage)
                return 1
            os.environ.update(_settings(port, storage, os.environ))
            if command := os.environ.get("SERVED_BY"):
                _serve_by(command, port, storage)
            else:
                _serve(port, storage)
    except (LocalError, RouteError, timers.ScheduleError) as error:
        print(error, file=sys.stderr)
    return 1


def _wait(storage: azurite.Azurite) -> None:
    print(f"Azurite listens on ports {storage.port} to {storage.port + 2} (Ctrl-C stops)", flush=True)
    while storage.is_running:
        time.sleep(_WATCH_SECONDS)


def _serve(port: int, storage: azurite.Azurite) -> None:
    sys.path.insert(0, str(ROOT))
    from function_app import app  # reads the environment

    limit = int(os.environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT") or DEFAULT_BODY_BYTES)
    functions = app.get_functions()  # to be called once
    host_json = ROOT / "host.json"
    host = Host(routes_of(functions, route_prefix_of(host_json)), limit)
    queue_settings = queues.queue_settings_of(host_json)
    triggers = [
        *map(timers.run, timers.timers_of(functions)),
        *(queues.run(function, queue_settings, os.environ) for function in queues.queue_functions_of(functions)),
    ]
    asyncio.run(_run(server_of(host, port), triggers, storage))


def _serve_by(command: str, port: int, storage: azurite.Azurite) -> None:
    """Run the command, with {port} replaced by the port, until it or Azurite ends."""
    arguments = [word.replace("{port}", str(port)) for word in shlex.split(command)]
    try:
        process = subprocess.Popen(arguments, cwd=ROOT)  # noqa: S603 -- whoever sets it may run it
    except OSError as error:
        raise LocalError(f"SERVED_BY: {error}") from error
    try:
        while storage.is_running and process.poll() is None:
            time.sleep(_WATCH_SECONDS)
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


async def _run(server: uvicorn.Server, triggers: list[Coroutine[Any, Any, None]], storage: azurite.Azurite) -> None:
    from functions.edge.app import app_of_process

    beside = [_announce(server), _stop_without(storage, server), *triggers]
    tasks = [asyncio.create_task(coroutine) for coroutine in beside]
    try:
        await server.serve()
        # uvicorn raises again the signal that stopped it, which cancels this task at its next await: not below.
        await asyncio.sleep(0)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # a queue's run has its message to give back
        await app_of_process().close()


async def _announce(server: uvicorn.Server) -> None:
    while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0.05)
    port = server.config.port
    print(f"Serving http://localhost:{port}/v2 (Ctrl-C stops). Try: curl http://localhost:{port}/health", flush=True)
    print(f"To store something to look at, in a second window: {samples_command(port)}", flush=True)


async def _stop_without(storage: azurite.Azurite, server: uvicorn.Server) -> None:
    while storage.is_running:  # noqa: ASYNC110 -- a process has no event either
        await asyncio.sleep(_WATCH_SECONDS)
    server.should_exit = True


def samples_command(port: int) -> str:
    """What stores synthetic studies in the archive of the service at an HTTP port of this machine."""
    return "make samples" if port == DEFAULT_PORT else f"make samples PORT={port}"


def _settings(port: int, storage: azurite.Azurite, environment: Mapping[str, str]) -> dict[str, str]:
    """The app's settings where the environment does not set them; the storage is always the Azurite started here."""
    values = app_settings()
    values["PUBLIC_BASE_URL"] = f"http://localhost:{port}"
    values["CORS_ORIGINS"] = "http://localhost:*"
    unset = {name: value for name, value in values.items() if name not in environment}
    return {**unset, **azurite.settings_of(storage.connection_string)}


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(0)

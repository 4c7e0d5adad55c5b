"""Serves the app in a separate process, on free ports and with data in memory, for as long as it is needed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from local.azurite import ROOT, LocalError
from local.ports import free_ports, is_taken

_START_SECONDS: Final = 90
_STOP_SECONDS: Final = 30


@contextmanager
def served(log: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The base URL, without version, of the app on its own Azurite, with this process' environment and `environment`.

    What it prints goes to the file `log`. Starts when /health answers 200, and stops both processes at the end. Raises
    LocalError, with the log, when it does not come up.
    """
    port = free_ports(4)
    ports = {"PORT": str(port), "AZURITE_PORT": str(port + 1), "DATA": "memory"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local"],
            cwd=ROOT,
            env={**os.environ, **ports, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        base_url = f"http://127.0.0.1:{port}"
        _wait_until(lambda: is_taken(port) and is_healthy(base_url), process, log)
        yield base_url
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def is_healthy(base_url: str) -> bool:
    """Whether a server at the URL answers that it is healthy."""
    try:
        return httpx.get(f"{base_url}/health", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def _wait_until(is_up: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while not is_up():
        if process.poll() is not None or time.monotonic() > give_up:
            raise LocalError(f"The server did not come up. It said: {log.read_text()}")
        time.sleep(0.1)

"""What tests share: an Azurite, and the app served on it as `make run` serves it, both on free ports."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from local import azurite as local_azurite
from local.azurite import ROOT, Azurite
from shared.settings import Settings
from shared.storage.archive import Archive

__all__ = ["Azurite", "Server"]

_START_SECONDS = 90


@dataclass(frozen=True)
class Server:
    """A served app; `log` is what it has printed."""

    base_url: str
    log: Path


def free_ports(count: int) -> int:
    """The first of `count` adjacent ports that nothing listens at."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        if first + count < 65000 and not any(map(local_azurite.is_taken, range(first, first + count))):
            return first


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """An Azurite that keeps its data in memory."""
    with local_azurite.running(free_ports(3), None) as running:
        yield running


@pytest.fixture(scope="session")
def settings(azurite: Azurite) -> Settings:
    """Settings of an archive on the Azurite."""
    return Settings(storage_connection_string=azurite.connection_string, create_storage=True)


@pytest_asyncio.fixture(scope="session")
async def archive(settings: Settings) -> AsyncIterator[Archive]:
    """An archive on the Azurite; tests share it and keep apart by their UIDs."""
    opened = await Archive.open(settings)
    yield opened
    await opened.close()


@contextmanager
def serving(log: Path, **environment: str) -> Iterator[Server]:
    """The app, served as `make run` serves it, in a process of its own on an Azurite of its own."""
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
        _wait_until_healthy(process, f"http://127.0.0.1:{port}", log)
        yield Server(f"http://127.0.0.1:{port}", log)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app as `make run` serves it."""
    with serving(tmp_path_factory.mktemp("server") / "log") as running:
        yield running


def _wait_until_healthy(process: "subprocess.Popen[bytes]", base_url: str, log: Path) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        try:
            if httpx.get(f"{base_url}/health", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"The server did not come up: {log.read_text()}")

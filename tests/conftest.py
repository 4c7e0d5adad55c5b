"""What tests share: an Azurite, and the app served on it as `make run` serves it, both on free ports."""

import logging
import re
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from azure.functions.decorators.function_app import Function
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from local import azurite as local_azurite
from local.azurite import Azurite
from local.background import served
from local.ports import free_ports
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support import patient_values
from tests.support.raw_archive import RawArchive
from tests.support.raw_archive import opened as opened_raw

__all__ = ["Azurite", "Server"]

# How long an example takes says more about the machine than about the code.
hypothesis_settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("untimed")

SHOWN_LOG_BYTES = 20_000
LOG_SECONDS = 30


@dataclass(frozen=True)
class Server:
    """A served app; `log` is what it has printed."""

    base_url: str
    log: Path

    def wait_for_line(self, pattern: str) -> None:
        """Wait until a line of the log matches the expression: it may be printed after the answer."""
        give_up = time.monotonic() + LOG_SECONDS
        while not re.search(pattern, self.log.read_text(errors="replace")):
            assert time.monotonic() < give_up, f"No line matches {pattern}."
            time.sleep(0.05)


@pytest.fixture(scope="session")
def functions() -> list[Function]:
    """The functions that the app registers, which it returns only once."""
    from function_app import app

    return list(app.get_functions())


@pytest.fixture(scope="session")
def watch() -> Iterator[patient_values.Watch]:
    """Checks what the loggers of this process say, ours from INFO on, for patients' values."""
    handler, root = patient_values.Watch(), logging.getLogger()
    root.addHandler(handler)
    for name in ("dicomweb", "functions", "shared", "local", "uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)


@pytest.fixture(autouse=True)
def no_patients_value_is_logged(watch: patient_values.Watch) -> Iterator[None]:
    """No name or ID of a patient that tests store or search appears in a log."""
    yield
    leaks, watch.leaks = watch.leaks, []
    assert not leaks, leaks[0]


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
    """An archive on the Azurite, shared by tests that use different UIDs."""
    opened = await Archive.open(settings)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def own_azurite() -> Iterator[Azurite]:
    """An Azurite beside that of all tests."""
    with local_azurite.running(free_ports(3), None) as running:
        yield running


@pytest_asyncio.fixture(scope="session")
async def shared_raw(own_azurite: Azurite) -> AsyncIterator[RawArchive]:
    """The archive on it, for tests that look at all of an archive: each empties it first."""
    async with opened_raw(own_azurite.connection_string) as raw:
        yield raw


@pytest_asyncio.fixture
async def raw(shared_raw: RawArchive) -> RawArchive:
    """An empty archive."""
    await shared_raw.empty()
    return shared_raw


@contextmanager
def serving(log: Path, **environment: str) -> Iterator[Server]:
    """The app, served as `make run` serves it, in its own process on its own Azurite."""
    with served(log, environment) as base_url:
        yield Server(base_url, log)
    patient_values.check_file(log)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app as `make run` serves it."""
    with serving(tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of what the server printed with a failed test."""
    report = yield
    running = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(running, Server):
        report.sections.append(("The server printed", running.log.read_text(errors="replace")[-SHOWN_LOG_BYTES:]))
    return report

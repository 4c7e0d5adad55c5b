"""An archive for these tests alone, so that all of it can be examined after each crash."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from azure.storage.blob.aio import ContainerClient

from local import azurite as local_azurite
from local.azurite import Azurite
from local.ports import free_ports
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.crashes.world import World


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    with local_azurite.running(free_ports(3), None) as running:
        yield running


@pytest.fixture(scope="session")
def settings(azurite: Azurite) -> Settings:
    return Settings(storage_connection_string=azurite.connection_string, create_storage=True)


@pytest_asyncio.fixture(scope="session")
async def archive(settings: Settings) -> AsyncIterator[Archive]:
    opened = await Archive.open(settings)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(scope="session")
async def container(archive: Archive, settings: Settings) -> AsyncIterator[ContainerClient]:
    async with ContainerClient.from_connection_string(settings.storage_connection_string, "dicom") as client:
        yield client


@pytest_asyncio.fixture(scope="session")
async def stores(archive: Archive, settings: Settings) -> StoreService:
    return StoreService(archive, settings)


@pytest.fixture
def world(
    stores: StoreService, container: ContainerClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> World:
    return World(stores, container, settings, monkeypatch)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report how many crash points the passed tests have tried."""
    total = 0
    for report in terminalreporter.getreports("passed"):
        tried = dict(report.user_properties).get("crash points")
        if isinstance(tried, int) and report.when == "call":
            total += tried
            terminalreporter.write_line(f"{report.location[2]}: {tried} crash points")
    if total:
        terminalreporter.write_line(f"{total} crash points in all")

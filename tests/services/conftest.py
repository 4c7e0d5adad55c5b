from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from azure.storage.blob.aio import ContainerClient

from local import azurite
from local.ports import free_ports
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.raw_archive import RawArchive, opened


@pytest_asyncio.fixture(scope="session")
async def container(archive: Archive, settings: Settings) -> AsyncIterator[ContainerClient]:
    """The blob container itself, to look at what is really there."""
    async with ContainerClient.from_connection_string(settings.storage_connection_string, "dicom") as client:
        yield client


@pytest_asyncio.fixture(scope="session")
async def stores(archive: Archive, settings: Settings) -> StoreService:
    """The store service of a process."""
    return StoreService(archive, settings)


@pytest_asyncio.fixture(autouse=True)
async def clean_journal(archive: Archive) -> AsyncIterator[None]:
    """Leave no open journal entry for the next test."""
    yield
    async for entry in archive.journal.read():
        await archive.journal.mark_done(entry)


@pytest.fixture(scope="session")
def own_azurite() -> Iterator[azurite.Azurite]:
    """An Azurite beside that of all tests."""
    with azurite.running(free_ports(3), None) as running:
        yield running


@pytest_asyncio.fixture(scope="session")
async def shared_raw(own_azurite: azurite.Azurite) -> AsyncIterator[RawArchive]:
    """The archive on it, which is emptied for each test."""
    async with opened(own_azurite.connection_string) as raw:
        yield raw


@pytest_asyncio.fixture
async def raw(shared_raw: RawArchive) -> RawArchive:
    """An empty archive."""
    await shared_raw.empty()
    return shared_raw

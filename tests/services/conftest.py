from collections.abc import AsyncIterator

import pytest_asyncio
from azure.storage.blob.aio import ContainerClient

from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive


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
async def clean_journal(archive: Archive) -> None:
    """No open journal entry is left of the tests before, whatever they tested."""
    async for entry in archive.journal.read():
        await archive.journal.mark_done(entry)

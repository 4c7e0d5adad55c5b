from collections.abc import AsyncIterator

import pytest_asyncio

from shared.settings import Settings
from shared.storage.archive import Archive
from tests.conftest import Azurite


@pytest_asyncio.fixture(scope="session")
async def archive(azurite: Azurite) -> AsyncIterator[Archive]:
    opened = await Archive.open(Settings(storage_connection_string=azurite.connection_string, create_storage=True))
    yield opened
    await opened.close()

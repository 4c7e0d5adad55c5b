from collections.abc import AsyncIterator

import pytest_asyncio

from local import azurite
from tests.support.backups import Backup, backup_of
from tests.support.raw_archive import RawArchive


@pytest_asyncio.fixture
async def backup(raw: RawArchive, own_azurite: azurite.Azurite) -> AsyncIterator[Backup]:
    """An empty backup of that archive."""
    async with backup_of(raw, own_azurite.connection_string) as backup:
        yield backup

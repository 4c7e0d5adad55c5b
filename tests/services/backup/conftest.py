from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from local import azurite
from local.ports import free_ports
from tests.support.backups import Backup, backup_of
from tests.support.raw_archive import RawArchive, opened


@pytest.fixture(scope="session")
def own_azurite() -> Iterator[azurite.Azurite]:
    with azurite.running(free_ports(3), None) as running:
        yield running


@pytest_asyncio.fixture(scope="session")
async def shared_raw(own_azurite: azurite.Azurite) -> AsyncIterator[RawArchive]:
    async with opened(own_azurite.connection_string) as raw:
        yield raw


@pytest_asyncio.fixture
async def raw(shared_raw: RawArchive) -> RawArchive:
    """An empty archive."""
    await shared_raw.empty()
    return shared_raw


@pytest_asyncio.fixture
async def backup(raw: RawArchive, own_azurite: azurite.Azurite) -> AsyncIterator[Backup]:
    """An empty backup of that archive."""
    async with backup_of(raw, own_azurite.connection_string) as backup:
        yield backup

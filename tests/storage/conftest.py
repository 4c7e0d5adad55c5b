from collections.abc import AsyncIterator

import pytest_asyncio

from shared.settings import Settings
from tests.support.raw_archive import RawArchive, opened


@pytest_asyncio.fixture(scope="session")
async def raw(settings: Settings) -> AsyncIterator[RawArchive]:
    """The archive that all tests share, with the SDKs' clients beside it."""
    async with opened(settings.storage_connection_string) as raw:
        yield raw

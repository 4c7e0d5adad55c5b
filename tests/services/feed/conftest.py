from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.feeds import archive_apart


@pytest_asyncio.fixture
async def archive(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Archive]:
    """An archive whose feed holds nothing yet."""
    async with archive_apart(settings, monkeypatch) as opened:
        yield opened

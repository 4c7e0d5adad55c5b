from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.feeds import archive_apart
from tests.support.operation_messages import Messages, messages_of


@pytest_asyncio.fixture
async def archive(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Archive]:
    """An archive without tags."""
    async with archive_apart(settings, monkeypatch) as opened:
        yield opened


@pytest_asyncio.fixture(autouse=True)
async def messages(settings: Settings) -> AsyncIterator[Messages]:
    """The messages of the archive's operations, which nobody takes."""
    async with messages_of(settings) as found:
        yield found

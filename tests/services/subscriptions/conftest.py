from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from shared.services.feed.backfill import prepare
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.feeds import archive_apart
from tests.support.subscribers import Deliveries, Receiver, receiving


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings under which a receiver on this machine may be told."""
    return replace(settings, subscription_hosts=("127.0.0.1",))


@pytest_asyncio.fixture
async def archive(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Archive]:
    """An archive without changes and subscriptions."""
    async with archive_apart(settings, monkeypatch) as opened:
        await prepare(opened, seconds=30)
        yield opened


@pytest.fixture
def deliveries(archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Deliveries:
    """Deliveries of that archive, by hand."""
    by_hand = Deliveries(archive, settings)
    monkeypatch.setattr(archive.wakes, "_queues", by_hand)
    return by_hand


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from azure.functions.decorators.function_app import Function

from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.feeds import archive_apart
from tests.support.in_process import app_client
from tests.support.query_tags import ROOT


@pytest_asyncio.fixture
async def archive(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Archive]:
    """An archive without tags."""
    async with archive_apart(settings, monkeypatch) as opened:
        yield opened


@pytest_asyncio.fixture
async def client(
    functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    async with app_client(functions, archive, monkeypatch, public_base_url=ROOT) as opened:
        yield opened

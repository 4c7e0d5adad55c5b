"""/health and /health/live: what they say while storage answers, is down or hangs, and what asking costs."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio
from azure.functions.decorators.function_app import Function

from functions.edge import storage_health
from local.ports import free_ports
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.transport import WatchedTransport
from shared.version import VERSION
from tests.support.in_process import app_client
from tests.support.storage_operations import Counting
from tests.support.storage_policies import archive_through


@pytest.fixture
def hanging_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest_asyncio.fixture
async def counting() -> Counting:
    return Counting()


@pytest_asyncio.fixture
async def client(
    counting: Counting,
    functions: list[Function],
    settings: Settings,
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        archive_through(counting, monkeypatch, settings) as counted,
        app_client(functions, counted, monkeypatch) as client,
    ):
        client.base_url = httpx.URL("http://localhost:7071")
        yield client


async def test_many_requests_cost_two_operations(client: httpx.AsyncClient, counting: Counting) -> None:
    answers = await asyncio.gather(*(client.get("/health") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].json() == {"status": "healthy", "version": VERSION}
    assert counting.operations.total() == 2


async def test_storage_is_asked_again_after_a_while(
    client: httpx.AsyncClient, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_health, "_KEPT_SECONDS", 0)
    for _ in range(2):
        await client.get("/health")
    assert counting.operations.total() == 4


async def test_liveness_does_not_ask_storage(client: httpx.AsyncClient, counting: Counting) -> None:
    answer = await client.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive", "version": VERSION})
    assert (await client.head("/health/live")).status_code == 200
    assert not counting.operations


@pytest.mark.parametrize("is_hanging", [True, False])
async def test_storage_that_does_not_answer_in_time(
    functions: list[Function],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    hanging_port: int,
    is_hanging: bool,
) -> None:
    monkeypatch.setattr(storage_health, "_CHECK_SECONDS", 0.5)
    endpoint = f"http://127.0.0.1:{hanging_port if is_hanging else free_ports(1)}/nobody"
    settings = Settings(
        storage_connection_string=f"AccountName=nobody;AccountKey=a2V5;BlobEndpoint={endpoint};TableEndpoint={endpoint}"
    )
    async with (
        archive_through(WatchedTransport(), monkeypatch, settings) as unreachable,
        app_client(functions, unreachable, monkeypatch) as client,
        asyncio.timeout(30),  # the SDK alone would wait for minutes
    ):
        client.base_url = httpx.URL("http://localhost:7071")
        answer = await client.get("/health")
        assert (answer.status_code, answer.json()) == (503, {"status": "unhealthy", "version": VERSION})
        assert (await client.get("/health/live")).status_code == 200
    assert "Not healthy: " in caplog.text
    assert str(hanging_port) not in answer.text

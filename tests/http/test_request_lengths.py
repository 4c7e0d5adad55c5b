"""What is parsed of a request has a limit, the same on every route: what just fits is read, and one more is 400."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from azure.functions.decorators.function_app import Function

from functions.edge.request import MAX_HEADER_LENGTH, PARSED_HEADERS
from shared.storage.archive import Archive
from tests.support.app_routes import OPEN, requests_of
from tests.support.in_process import app_client

VALUES = {"content-type": "application/dicom; x=", "accept": "*/*; x=", "accept-encoding": "gzip;x="}


@pytest_asyncio.fixture
async def client(
    functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    async with app_client(functions, archive, monkeypatch, trust_forwarded=True) as client:
        yield client


def is_too_long(response: httpx.Response) -> bool:
    return response.status_code == 400 and "is longer than" in response.text


# The host sets these itself.
@pytest.mark.parametrize("name", [name for name in PARSED_HEADERS if name != "host" and "forwarded" not in name])
async def test_a_header_at_its_limit(client: httpx.AsyncClient, name: str) -> None:
    start = VALUES.get(name, "")
    longest = start + "x" * (MAX_HEADER_LENGTH - len(start))
    method = "POST" if name == "content-type" else "GET"
    for value, expected in ((longest, False), (f"{longest}x", True)):
        response = await client.request(method, "/studies", headers={name: value})
        assert is_too_long(response) is expected, response.text


async def test_a_header_that_is_repeated_counts_as_one(client: httpx.AsyncClient) -> None:
    lines = [("If-None-Match", '"' + "x" * 4000 + '"')] * 3
    assert is_too_long(await client.get("/studies", headers=lines))
    assert not is_too_long(await client.get("/studies", headers=lines[:2]))


async def test_it_holds_on_every_route(client: httpx.AsyncClient, functions: list[Function]) -> None:
    for method, path in requests_of(functions):
        if path in OPEN and "api." not in path:
            continue
        url = f"http://localhost:7071{path}"
        response = await client.request(method, url, headers={"Accept": "x" * (MAX_HEADER_LENGTH + 1)})
        assert response.status_code == 400, (method, path)
        response = await client.request(method, f"{url}?accept={'x' * 8192}")
        assert response.status_code == 400, (method, path)


@pytest.mark.parametrize("is_query", [False, True])
@pytest.mark.parametrize("member", ["a/b;q=0.1", "x", "a/b;c=d;e=f"])
async def test_only_so_many_media_ranges_are_compared(client: httpx.AsyncClient, member: str, is_query: bool) -> None:
    async def ask(count: int) -> httpx.Response:
        accept = ",".join(["*/*", *[member] * (count - 1)])
        if is_query:
            return await client.get("/studies?limit=1", params={"accept": accept, "limit": "1"})
        return await client.get("/studies?limit=1", headers={"Accept": accept})

    assert (await ask(100)).status_code in (200, 204)
    refused = await ask(101)
    assert (refused.status_code, "More than 100 media ranges" in refused.text) == (400, True)

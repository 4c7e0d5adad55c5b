"""A client that sends too slowly is given up; one that we make wait is not."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import httpx
import pytest
from azure.functions.decorators.function_app import Function

from functions.edge import app
from functions.edge.steady_receiving import steady
from shared.dicom.identifiers import StudyKey
from shared.errors import RequestTimeout
from shared.storage.archive import Archive
from tests.support.in_process import app_client
from tests.support.large_headers import large_header
from tests.support.served_instances import dataset, new_uid, part10

KIB = 1024
DICOM = {"Content-Type": "application/dicom"}


class Clock:
    """A loop's time, which passes only when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._passed = 0.0
        loop = asyncio.get_running_loop()
        real = loop.time
        monkeypatch.setattr(loop, "time", lambda: real() + self._passed)

    def advance(self, seconds: float) -> None:
        self._passed += seconds


async def sent(clock: Clock, *chunks: tuple[float, int]) -> AsyncIterator[bytes]:
    """Chunks of a size, each some seconds after the one before was taken."""
    for seconds, size in chunks:
        clock.advance(seconds)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        yield bytes(size)


@pytest.mark.parametrize(
    "chunks",
    [
        [(59, 1)],
        [(59, 256 * KIB), (59, 1)],
        [(20, 128 * KIB), (20, 128 * KIB), (59, 10)],
        [(1, 5000)] * 500,
    ],
)
async def test_a_client_that_goes_on_sending_is_heard(
    monkeypatch: pytest.MonkeyPatch, chunks: list[tuple[float, int]]
) -> None:
    clock = Clock(monkeypatch)
    received = [len(chunk) async for chunk in steady(sent(clock, *chunks), 60)]
    assert received == [size for _, size in chunks]


@pytest.mark.parametrize(
    ("chunks", "heard"),
    [
        ([(61, 1)], 0),
        ([(1, 1)] * 100, 60),
        ([(30, 128 * KIB), (31, 128 * KIB)], 1),
        ([(59, 256 * KIB), (61, 1)], 1),
        ([(20, 64 * KIB)] * 10, 3),
    ],
)
async def test_a_client_that_sends_too_slowly_is_given_up(
    monkeypatch: pytest.MonkeyPatch, chunks: list[tuple[float, int]], heard: int
) -> None:
    clock = Clock(monkeypatch)
    chunk_count = 0
    with pytest.raises(RequestTimeout, match="In 60 seconds less than 262144 bytes"):  # noqa: PT012 -- it raises midway
        async for _ in steady(sent(clock, *chunks), 60):
            chunk_count += 1
    assert chunk_count in (heard - 1, heard)


async def test_a_client_that_we_make_wait_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    count = 0
    async for _ in steady(sent(clock, *[(1, 10)] * 50), 60):
        count += 1
        clock.advance(1000)
        await asyncio.sleep(0)
    assert count == 50


async def in_chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 64 * KIB):
        yield content[start : start + 64 * KIB]


async def stalling(content: bytes, stalled: asyncio.Event) -> AsyncIterator[bytes]:
    async for chunk in in_chunks(content):
        yield chunk
    stalled.set()
    await asyncio.Event().wait()


def held_bytes() -> int:
    """What stores of the process hold."""
    assert app.of_process is not None
    service = app.of_process._store_service
    assert service is not None
    pressure = service.pressure
    return pressure.headers.taken_bytes + pressure.received.taken_bytes + pressure.arriving_bytes


@pytest.mark.parametrize(
    "content", [b"", part10(dataset())[:-8], large_header(2_400_000)[:-8]], ids=["nothing", "a file", "a large header"]
)
async def test_an_upload_that_stalls_is_answered_and_leaves_nothing(
    functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    stalled = asyncio.Event()
    async with app_client(functions, archive, monkeypatch, max_stalled_seconds=1) as client:
        response = await client.post("/studies", content=stalling(content, stalled), headers=DICOM)
        assert response.status_code == 408
        assert response.headers["Content-Type"] == "application/problem+json"
        assert "262144 bytes" in response.json()["detail"]
        assert held_bytes() == 0


async def test_a_request_that_stalls_after_an_instance_takes_it_back(
    functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, stalled = new_uid(), asyncio.Event()
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    body = head + part10(dataset(StudyInstanceUID=study)) + b"\r\n" + head
    async with app_client(functions, archive, monkeypatch, max_stalled_seconds=1) as client:
        headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
        response = await client.post("/studies", content=stalling(body, stalled), headers=headers)
        assert response.status_code == 408
        assert (await client.get(f"/studies/{study}")).status_code == 404
    assert not [entry async for entry in archive.journal.read() if study in entry.resource]
    assert not [name async for name in archive.blobs.list("") if study in name]
    assert not await archive.catalog.has_rows(StudyKey("", study))


async def test_others_store_large_headers_while_one_stalls(
    functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled = asyncio.Event()
    async with app_client(functions, archive, monkeypatch, max_stalled_seconds=30) as client:
        content = stalling(large_header(2_400_000)[:2_400_000], stalled)
        attack = asyncio.create_task(client.post("/studies", content=content, headers=DICOM))
        await asyncio.wait_for(stalled.wait(), 20)
        async with asyncio.timeout(10):
            for _ in range(3):
                file = in_chunks(large_header(2_400_000, 1000))
                response: httpx.Response = await client.post("/studies", content=file, headers=DICOM)
                assert response.status_code == 200
        assert not attack.done()
        attack.cancel()
        await asyncio.gather(attack, return_exceptions=True)


@pytest.mark.parametrize("seed", range(3))
async def test_many_uploads_that_grow_stall_and_leave_all_end(
    functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = Random(seed)
    files = [large_header(size, value) for size in (10_000, 200_000, 800_000) for value in (8, 60, 2000)]

    async def sending(content: bytes, fate: str) -> AsyncIterator[bytes]:
        end = len(content) if fate == "whole" else random.randrange(len(content))
        for start in range(0, end, 64 * KIB):
            yield content[start : min(start + 64 * KIB, end)]
            await asyncio.sleep(random.choice((0, 0, 0.01)))
        if fate == "stalls":
            await asyncio.Event().wait()

    async with app_client(functions, archive, monkeypatch, max_stalled_seconds=5, max_caller_requests=100) as client:

        async def upload(fate: str) -> tuple[str, int]:
            headers = {"Content-Type": "application/dicom"}
            response = await client.post("/studies", content=sending(random.choice(files), fate), headers=headers)
            return fate, response.status_code

        fates = random.choices(("whole", "stalls", "cut"), (2, 1, 1), k=24)
        async with asyncio.timeout(60):
            answers = await asyncio.gather(*map(upload, fates))
        # What is stored already is a conflict; what is cut before its Pixel Data may be a file without any.
        allowed = {"whole": {200, 409, 503}, "stalls": {408, 503}, "cut": {200, 409, 503}}
        assert all(status in allowed[fate] for fate, status in answers), answers
        assert held_bytes() == 0

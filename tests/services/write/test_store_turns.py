"""A store of very many small things lets others have their turns, the more the more there are: counted, not timed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from shared.dicom.dicom_file import DicomFileLimits
from shared.multipart import MultipartDecoder, decode_events
from shared.services.turns import Turns
from shared.services.write.back_pressure import BackPressure
from shared.services.write.store import StoreService
from shared.services.write.upload import InstanceUpload
from shared.storage.archive import Archive
from tests.support.answers import answer_work
from tests.support.served_instances import dataset, part10_in

JPEG = "1.2.840.10008.1.2.4.50"
ITEM = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"
END = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock finds that a turn is over."""
    looks = 0.0
    real = asyncio.BaseEventLoop.time

    def time(self: asyncio.BaseEventLoop) -> float:
        nonlocal looks
        looks += 0.006
        return real(self) + looks

    monkeypatch.setattr(asyncio.BaseEventLoop, "time", time)


@asynccontextmanager
async def counting() -> AsyncIterator[Callable[[], int]]:
    """How many turns others have had."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(count())
    yield lambda: turns
    task.cancel()


async def test_a_turn_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    turns = Turns()
    async with counting() as had:
        for _ in range(100):
            now += 0.001
            await turns.next()
    assert 15 <= had() <= 20


@pytest.mark.parametrize("factor", [1, 2, 4])
async def test_a_chunk_of_many_fragments(archive: Archive, slow_clock: None, factor: int) -> None:
    fragments = 20_000 * factor
    image = dataset()
    image["PixelData"]._value = ITEM * (1 + fragments) + END
    image["PixelData"].is_undefined_length = True
    file = part10_in(JPEG, image)
    start = file.index(ITEM)
    upload = InstanceUpload(archive.blobs, BackPressure(), DicomFileLimits(), "", "1")
    await upload.receive(file[:start])
    async with counting() as had:
        await upload.receive(file[start:])
    steps = len(file[start:]) // (32 * 1024)
    assert steps <= had() <= steps + 3
    await upload.abandon()


@pytest.mark.parametrize("factor", [1, 2, 4])
async def test_a_chunk_of_many_parts(archive: Archive, stores: StoreService, slow_clock: None, factor: int) -> None:
    parts = 500 * factor
    message = b"--b\r\n\r\n\r\n" * parts + b"--b--"

    async def chunks() -> AsyncIterator[bytes]:
        yield message

    events = decode_events(chunks(), MultipartDecoder("b"))
    async with counting() as had:
        outcomes = await stores.store(events, answer_work(), partition="", study_instance_uid=None, api_version="v2")
    assert len(outcomes) == parts
    assert had() >= 2 * parts  # each begins and ends

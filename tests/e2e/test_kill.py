"""The app is killed during stores and deletes, again and again; no answer that a client got becomes untrue."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from local import azurite
from local.ports import free_ports
from shared.services.repair.maintenance import replay_journal
from tests.support.app_process import app_process
from tests.support.messages import MULTIPART_DICOM, multipart
from tests.support.raw_archive import RawArchive, opened
from tests.support.served_instances import dataset, new_uid, part10, path_of

KILLS = 20
LATER = timedelta(hours=2)
LARGE_BYTES = (8 * 1024**2 + 1000, 9 * 1024**2)  # of a second block
ANY_SYNTAX = {"Accept": "application/dicom; transfer-syntax=*"}


@dataclass
class Told:
    """What clients were told, by the paths of instances and series."""

    stored: dict[str, bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)


class Clients:
    def __init__(self, seed: int) -> None:
        self.told = Told()
        self._random = random.Random(seed)
        self._studies = [new_uid() for _ in range(3)]
        self._large = [self._random.randbytes(size) for size in LARGE_BYTES]

    async def use(self, base_url: str) -> None:
        """Send a few stores at once, each of a new series of a shared study, beside a delete of an older series."""
        async with httpx.AsyncClient(base_url=base_url, timeout=60) as client:
            requests = [self._store_in_turn(client, *large) for large in ([[], self._large[:1]], [[], self._large[1:]])]
            requests += [self._store_in_turn(client, [], []) for _ in range(2)]
            if self.told.stored:
                path = self._random.choice(sorted(self.told.stored))
                requests.append(self._delete(client, path.partition("/instances/")[0]))
            results = await asyncio.gather(*requests, return_exceptions=True)
        for result in results:
            if result is not None and not isinstance(result, httpx.TransportError):  # the death of the other side
                raise result

    async def _store_in_turn(self, client: httpx.AsyncClient, *large: list[bytes]) -> None:
        for pixel_data in large:
            await self._store(client, pixel_data)

    async def _store(self, client: httpx.AsyncClient, large: list[bytes]) -> None:
        uids = {"StudyInstanceUID": self._random.choice(self._studies), "SeriesInstanceUID": new_uid()}
        pixels = [bytes(16), bytes(16), *large, bytes(16)]
        images = [dataset(**uids, PixelData=pixel_data) for pixel_data in pixels]
        files = {image.SOPInstanceUID: part10(image) for image in images}
        body, headers = multipart(files.values()), {"Content-Type": MULTIPART_DICOM}
        response = await client.post("/studies", content=body, headers=headers)
        assert response.status_code in (200, 202), response.text
        paths = {image.SOPInstanceUID: path_of(image) for image in images}
        for item in response.json()["00081199"]["Value"]:
            uid = item["00081155"]["Value"][0]
            self.told.stored[paths[uid]] = files[uid]

    async def _delete(self, client: httpx.AsyncClient, series: str) -> None:
        """Delete a series, which may be there or not from now on, unless the answer comes."""
        for path in [path for path in self.told.stored if path.startswith(f"{series}/")]:
            del self.told.stored[path]
        assert (await client.delete(series)).status_code == 204
        self.told.deleted.append(series)


@pytest.fixture
def own_azurite() -> Iterator[azurite.Azurite]:
    with azurite.running(free_ports(3), None) as running:
        yield running


async def kill_at(moment: float, clients: Clients, port: int, storage: str, log: Path) -> float:
    """Serve the clients until that many seconds into their requests; return how long the requests took."""
    with app_process(port, storage, log) as process:
        await process.wait_until_healthy()
        started = time.perf_counter()
        using = asyncio.create_task(clients.use(process.base_url))
        await asyncio.wait([using], timeout=moment)
        process.kill()
        await using
        return time.perf_counter() - started


async def settle(raw: RawArchive) -> None:
    """Do what maintenance does, two hours later; nothing differs after it."""
    later = datetime.now(UTC) + LATER
    await replay_journal(raw.archive, raw.settings, now=later)
    assert await raw.differences(now=later, deep=True) == []


async def test_nothing_is_lost_and_nothing_left(own_azurite: azurite.Azurite, tmp_path: Path) -> None:
    clients, moments, log = Clients(seed=1), random.Random(2), tmp_path / "log"
    port, storage = free_ports(1), own_azurite.connection_string
    undisturbed = await kill_at(60, clients, port, storage, log)
    stored_undisturbed = len(clients.told.stored)
    assert stored_undisturbed == 26
    for number in range(KILLS):
        await kill_at((number + moments.random()) / KILLS * undisturbed, clients, port, storage, log)
    async with opened(storage) as raw:
        assert [entry async for entry in raw.archive.journal.read()]  # some died midway
        await settle(raw)
        assert [entry async for entry in raw.archive.journal.read()] == []
    with app_process(port, storage, log) as process:
        await process.wait_until_healthy()
        async with httpx.AsyncClient(base_url=process.base_url, timeout=60) as client:
            for path, file in clients.told.stored.items():
                response = await client.get(path, headers=ANY_SYNTAX)
                assert (response.status_code, response.content == file) == (200, True), path
            for series in clients.told.deleted:
                assert (await client.get(f"{series}/metadata")).status_code == 404
    assert len(clients.told.stored) > stored_undisturbed
    assert clients.told.deleted

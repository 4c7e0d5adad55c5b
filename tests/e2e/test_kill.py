"""The app is killed during stores and deletes, again and again; no answer that a client got becomes untrue.

It runs in two processes, which are killed in turn. Readers of the change feed ask both.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import azurite
from local.ports import free_ports
from shared.services.feed.drain import drain
from shared.services.repair.maintenance import replay_journal
from tests.support.app_process import AppProcess
from tests.support.changes import changes_in_feed, check_changes
from tests.support.messages import MULTIPART_DICOM, multipart
from tests.support.raw_archive import RawArchive, opened
from tests.support.served_instances import dataset, new_uid, part10, path_of

KILLS = [10, pytest.param(20, marks=pytest.mark.long)]
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

    async def use(self, base_urls: Sequence[str]) -> None:
        """Send a few stores at once, each of a new series of a shared study, beside a delete of an older series."""
        async with (
            httpx.AsyncClient(base_url=base_urls[0], timeout=60) as one,
            httpx.AsyncClient(base_url=base_urls[1], timeout=60) as other,
        ):
            requests = [
                self._store_in_turn(one, [], self._large[:1]),
                self._store_in_turn(other, [], self._large[1:]),
                *(self._store_in_turn(client, [], []) for client in (one, other)),
            ]
            if self.told.stored:
                path = self._random.choice(sorted(self.told.stored))
                client = self._random.choice((one, other))
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


Change = dict[str, Any]


class Readers:
    """A reader of the feed by sequence number, and one by windows of time that are over: what each has seen."""

    def __init__(self) -> None:
        self.by_sequence: list[Change] = []
        self.by_window: list[Change] = []
        self.end = datetime.now(UTC) - timedelta(hours=1)

    async def read(self, base_urls: Sequence[str]) -> None:
        """Read until cancelled, now from one process and now from the other."""
        async with httpx.AsyncClient(timeout=60) as client:
            while True:
                for url in base_urls:
                    try:
                        await self.follow(client, url)
                        await self.read_window(client, url)
                    except httpx.TransportError:  # it was killed
                        pass
                    await asyncio.sleep(0.3)

    async def follow(self, client: httpx.AsyncClient, url: str) -> None:
        """Read what comes after the last change seen."""
        after = self.by_sequence[-1]["sequence"] if self.by_sequence else 0
        self.by_sequence += (await _changes(client, url, after=after))[0]

    async def read_window(self, client: httpx.AsyncClient, url: str) -> None:
        """Read the time from the end of the last window until now."""
        end = datetime.now(UTC)
        changes, following = await _changes(client, url, startTime=self.end.isoformat(), endTime=end.isoformat())
        while following:
            more, following = await _changes(client, following)
            changes += more
        self.by_window += changes
        self.end = end


async def _changes(client: httpx.AsyncClient, url: str, **parameters: Any) -> tuple[list[Change], str]:
    """A page of changes, and the URL of the next one."""
    if parameters:
        url, parameters = f"{url}/changefeed", {"includeMetadata": "false", **parameters}
    response = await client.get(url, params=parameters or None)
    assert response.status_code == 200, response.text
    return response.json(), response.links.get("next", {}).get("url", "")


@dataclass
class Fleet:
    """Processes that serve one archive."""

    ports: list[int]
    storage: str
    log: Path
    processes: list[AppProcess] = field(default_factory=list)

    @property
    def base_urls(self) -> list[str]:
        return [process.base_url for process in self.processes]

    async def start(self, number: int) -> None:
        """Start a process, perhaps in place of one that was killed."""
        self.processes[number : number + 1] = [AppProcess(self.ports[number], self.storage, self.log)]
        await self.processes[number].wait_until_healthy()

    async def serve(self, moment: float, clients: Clients, readers: Readers, killed: int | None = None) -> float:
        """Serve, and kill a process that many seconds into the requests; return how long these took."""
        started = time.perf_counter()
        using = asyncio.create_task(clients.use(self.base_urls))
        reading = asyncio.create_task(readers.read(self.base_urls))
        await asyncio.wait([using, reading], timeout=moment, return_when=asyncio.FIRST_COMPLETED)
        if killed is not None:
            self.processes[killed].kill()
        await using
        took = time.perf_counter() - started
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return took


@asynccontextmanager
async def fleet_of_two(storage: str, log: Path) -> AsyncIterator[Fleet]:
    fleet = Fleet([free_ports(1), free_ports(1)], storage, log)
    try:
        for number in range(2):
            await fleet.start(number)
        yield fleet
    finally:
        for process in fleet.processes:
            process.kill()


async def settle(raw: RawArchive) -> None:
    """Do what maintenance does, two hours later; nothing differs after it."""
    later = datetime.now(UTC) + LATER
    await replay_journal(raw.archive, raw.settings, now=later)
    assert await raw.differences(now=later, deep=True) == []


@pytest.mark.parametrize("kills", KILLS)
async def test_nothing_is_lost_and_nothing_left(own_azurite: azurite.Azurite, tmp_path: Path, kills: int) -> None:
    clients, readers, moments = Clients(seed=1), Readers(), random.Random(2)
    storage = own_azurite.connection_string
    async with fleet_of_two(storage, tmp_path / "log") as fleet, httpx.AsyncClient(timeout=60) as client:
        undisturbed = await fleet.serve(60, clients, readers)
        stored_undisturbed = len(clients.told.stored)
        assert stored_undisturbed == 26
        for number in range(kills):
            await fleet.serve((number + moments.random()) / kills * undisturbed, clients, readers, killed=number % 2)
            await fleet.start(number % 2)
        async with opened(storage) as raw:
            assert [entry async for entry in raw.archive.journal.read()]  # some died midway
            await settle(raw)
            assert [entry async for entry in raw.archive.journal.read()] == []
            assert await drain(raw.archive, seconds=60)
            await check_changes(raw.archive, await changes_in_feed(raw.archive))
        for path, file in clients.told.stored.items():
            response = await client.get(f"{fleet.base_urls[0]}{path}", headers=ANY_SYNTAX)
            assert (response.status_code, response.content == file) == (200, True), path
        for series in clients.told.deleted:
            assert (await client.get(f"{fleet.base_urls[0]}{series}/metadata")).status_code == 404
        await check_readers(client, fleet.base_urls[0], readers)
    assert len(clients.told.stored) > stored_undisturbed
    assert clients.told.deleted


async def check_readers(client: httpx.AsyncClient, url: str, readers: Readers) -> None:
    """What they were told stands in the feed still, in that order and without anything between."""
    feed, following = await _changes(client, url, after=0, limit=200)
    while following:
        more, following = await _changes(client, following)
        feed += more
    places = [_place(change) for change in feed]
    for seen in (readers.by_sequence, readers.by_window):
        assert len(seen) > len(feed) / 2
        assert [_place(change) for change in seen] == places[: len(seen)]
    assert all(datetime.fromisoformat(change["timestamp"]) >= readers.end for change in feed[len(readers.by_window) :])


def _place(change: Change) -> tuple[int, str, str]:
    return change["sequence"], change["sopInstanceUid"], change["action"]

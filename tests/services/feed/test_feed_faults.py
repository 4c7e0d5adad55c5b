"""Draining and reading while storage fails: what a drain says is true, and what readers were told stays so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

import pytest
import pytest_asyncio
from azure.core.exceptions import AzureError

from shared.archive.change import StudyChanges
from shared.errors import Unavailable
from shared.services.feed.backfill import prepare
from shared.services.feed.drain import drain
from shared.services.feed.read import read_page
from shared.services.repair.feed_order import broken_places
from shared.settings import Settings
from shared.storage import feed_keys
from shared.storage.archive import Archive
from shared.web.change_feed_query import ChangeFeedQuery
from tests.support.default_partition import study_key
from tests.support.feeds import check_feed, commit_of, feed_of, leave, ready, waiting
from tests.support.served_instances import new_uid
from tests.support.storage_policies import Fault, Faults, archive_through, fault_at, refusing_server, some_faults


@pytest_asyncio.fixture
async def refusing_url() -> AsyncIterator[str]:
    async with refusing_server() as url:
        yield url


async def check_drained(archive: Archive, commits: list[StudyChanges]) -> None:
    assert await drain(archive, seconds=30)
    check_feed(await feed_of(archive), commits)
    assert await ready(archive) == []
    for study in {commit.study for commit in commits}:
        assert await waiting(archive, study) == []
    assert [place async for place in broken_places(archive)] == []


@pytest.mark.parametrize("retries", [4, 0])
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
async def test_a_drain_whose_operations_fail(
    archive: Archive,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    refusing_url: str,
    fault: Fault,
    retries: int,
) -> None:
    monkeypatch.setattr(feed_keys, "PARTITION_BITS", 8)
    await prepare(archive, seconds=30)
    commits: list[StudyChanges] = []
    for operation in count(1):
        left = [commit_of(count=40), commit_of()]
        commits += left
        for commit in left:
            await leave(archive, commit)
        faults = Faults(fault_at(operation, fault), refusing_url, delay_seconds=0.02)
        async with archive_through(faults, monkeypatch, settings, retries=retries) as failing:
            if await drain(failing, seconds=30):
                check_feed(await feed_of(archive), commits)
        await check_drained(archive, commits)
        if not faults.seen:
            break
    assert operation > 8


async def test_what_readers_were_told_stays_so(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch, refusing_url: str
) -> None:
    """Three processes read and drain at once, one operation in twelve of theirs fails, and commits go on."""
    monkeypatch.setattr(feed_keys, "PARTITION_BITS", 8)
    await prepare(archive, seconds=30)
    random = Random(7)
    commits: list[StudyChanges] = []
    windows: list[tuple[datetime, datetime, list[int]]] = []
    told: list[list[int]] = []

    async def request(study_number: int) -> None:
        study = study_key(new_uid())
        for revision in range(1, 31):
            commit = commit_of(study, revision, random.randint(1, 20 + study_number))
            await leave(archive, commit)
            commits.append(commit)
            await asyncio.sleep(random.uniform(0, 0.2))

    async def follow(process: Archive) -> None:
        after, seen = 0, list[int]()
        while requests or not seen:
            expected = len(commits)
            query = ChangeFeedQuery(200, after=after)
            try:
                page = await read_page(process, query)
            except (AzureError, Unavailable):
                continue
            numbers = [entry.sequence for entry in page.entries]
            assert not numbers or numbers[0] > after
            seen += numbers
            after = max([after, *numbers])
            if page.is_complete and page.after is None:
                changes = sum(len(commit.changes) for commit in commits[:expected])
                assert len(seen) >= changes
        told.append(seen)

    async def poll(process: Archive) -> None:
        start = datetime.now(UTC)
        while requests:
            await asyncio.sleep(0.01)
            end = datetime.now(UTC) + timedelta(seconds=random.choice([0, 0.3]))  # perhaps by a clock that is ahead
            if end <= start:
                continue
            query, seen = ChangeFeedQuery(200, since=start, until=end), list[int]()
            try:
                page = await read_page(process, query)
                while page.after is not None:
                    seen += [entry.sequence for entry in page.entries]
                    page = await read_page(process, replace(query, since=None, after=page.after))
            except (AzureError, Unavailable):
                continue
            seen += [entry.sequence for entry in page.entries]
            windows.append((start, end, seen))
            start = end

    requests = {asyncio.create_task(request(number)) for number in range(4)}
    for one in requests:
        one.add_done_callback(requests.discard)
    async with AsyncExitStack() as stack:
        storages = [Faults(some_faults(Random(seed), 0.08), refusing_url, delay_seconds=0.05) for seed in range(3)]
        processes = [
            await stack.enter_async_context(archive_through(faults, monkeypatch, settings)) for faults in storages
        ]
        async with asyncio.TaskGroup() as running:
            for process in processes:
                running.create_task(follow(process))
                running.create_task(poll(process))
    assert {fault for faults in storages for fault in faults.seen} == set(Fault)
    await check_drained(archive, commits)
    feed = await feed_of(archive)
    numbers = [entry.sequence for entry in feed]
    for seen in told:
        assert seen == numbers[: len(seen)]
    assert sum(len(seen) > 0 for *_, seen in windows) > 2
    for start, end, seen in windows:
        assert seen == [entry.sequence for entry in feed if start <= entry.stamp < end]

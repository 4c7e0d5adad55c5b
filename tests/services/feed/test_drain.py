"""Draining: what is ready comes into the feed once, in order, whoever else drains, and whatever fails."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceResponseError

from shared.archive.change import StudyChanges
from shared.dicom.identifiers import StudyKey
from shared.services.feed.drain import Drained, drain
from shared.settings import Settings
from shared.storage import feed_keys
from shared.storage.archive import Archive
from shared.storage.feed import Feed
from shared.storage.feed_rows import Head
from shared.storage.outbox import Outbox
from tests.support.default_partition import study_key
from tests.support.feeds import check_feed, commit_of, feed_of, leave, ready, waiting
from tests.support.served_instances import new_uid


async def drained(archive: Archive, *commits: StudyChanges) -> None:
    """Drain, and see that these commits are in the feed, and nothing is left of them."""
    assert await drain(archive, seconds=30)
    check_feed(await feed_of(archive), commits)
    for commit in commits:
        assert await waiting(archive, commit.study) == []
    head = await archive.feed.read_head()
    assert head is not None
    assert head.cleaned == head.last


async def test_nothing_to_drain(archive: Archive) -> None:
    assert await drain(archive, seconds=5)
    assert await archive.feed.read_head() is None


async def test_commits_of_some_studies(archive: Archive) -> None:
    study = study_key(new_uid())
    commits = [commit_of(study, 1, 3), commit_of(study, 2, 97), commit_of(count=1), commit_of(count=100)]
    await leave(archive, *commits[:2])
    await leave(archive, commits[2])
    await leave(archive, commits[3])
    counts = Drained()
    assert await drain(archive, seconds=30, drained=counts)
    assert counts.changes == 201
    await drained(archive, *commits)
    assert await ready(archive) == []


async def test_a_request_that_goes_on_is_drained_and_keeps_its_entry(archive: Archive) -> None:
    first = commit_of()
    entry = await leave(archive, first, is_done=False)
    await drained(archive, first)
    assert await ready(archive) == [entry.request_id]
    second = commit_of(first.study, 2)
    await leave(archive, second)
    await drained(archive, first, second)
    await archive.journal.mark_done(entry)
    assert await drain(archive, seconds=5)
    assert await ready(archive) == []


async def test_how_long_the_oldest_that_is_done_has_waited(archive: Archive) -> None:
    counts = Drained()
    assert await drain(archive, seconds=5, drained=counts)
    assert counts.waiting_seconds == 0
    going_on = await leave(archive, commit_of(), is_done=False)
    await asyncio.sleep(1)
    assert await drain(archive, seconds=5, drained=counts)
    assert counts.waiting_seconds == 0  # it may wait for long, and what it changed not at all
    await leave(archive, commit_of())
    await asyncio.sleep(1)
    await leave(archive, commit_of())
    assert await drain(archive, seconds=5, drained=counts)
    assert 0.9 < counts.waiting_seconds < 5
    await archive.journal.mark_done(going_on)
    younger = Drained()
    assert await drain(archive, seconds=5, drained=younger)
    assert younger.waiting_seconds < 0.9


async def test_a_request_without_changes_only_loses_its_entry(archive: Archive) -> None:
    entry = await leave(archive, commit_of())
    await drain(archive, seconds=30)
    await archive.journal.insert(entry)
    await archive.journal.mark_done(entry)
    assert await drain(archive, seconds=30)
    assert await ready(archive) == []
    assert len(await feed_of(archive)) == 1


async def test_more_than_a_batch_takes(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.services.feed.drain.MAX_APPENDED_CHANGES", 250)
    study = study_key(new_uid())
    commits = [commit_of(study, revision, 97) for revision in range(1, 8)]
    others = [commit_of(count=30) for _ in range(5)]
    await leave(archive, *commits)
    for commit in others:
        await leave(archive, commit)
    await drained(archive, *commits, *others)


async def test_more_studies_than_are_looked_at_at_once(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.services.feed.drain._STUDIES", 3)
    commits = [commit_of() for _ in range(8)]
    for commit in commits:
        await leave(archive, commit)
    await drained(archive, *commits)
    assert await ready(archive) == []


async def test_partitions_are_filled_and_followed(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_keys, "PARTITION_BITS", 7)
    study = study_key(new_uid())
    commits = [commit_of(study, revision, 50) for revision in range(1, 7)]
    for commit in commits:
        await leave(archive, commit)
    await drained(archive, *commits)
    sequences = [entry.sequence for entry in await feed_of(archive)]
    assert sequences == [*range(1, 101), *range(128, 228), *range(256, 356)]
    newest = await archive.feed.read_head()
    assert newest is not None
    assert (newest.partition, newest.next, newest.is_closed) == (2, 356, False)
    closed = await archive.feed.read_head_of(1)
    assert (closed.next, closed.last, closed.is_closed) == (228, 227, True)
    assert closed.floor == newest.first_floor


async def test_a_partition_that_was_closed_and_not_followed(archive: Archive) -> None:
    first, second = commit_of(), commit_of()
    await leave(archive, first)
    assert await drain(archive, seconds=30)
    head = await archive.feed.read_head()
    assert head is not None
    await archive.feed._merge(head, {"closed": True})
    await leave(archive, second)
    await drained(archive, first, second)
    assert [entry.sequence for entry in await feed_of(archive)] == [1, 1 << 20]


async def test_a_drainer_that_died_before_it_removed_what_it_appended(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = [commit_of(count=2), commit_of(count=2)]
    await leave(archive, commits[0])

    async def die(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr("shared.services.feed.drain._clean", die)
        assert not await drain(archive, seconds=30)
    assert len(await feed_of(archive)) == 2
    assert await waiting(archive, commits[0].study) == [1]
    # Another study leads to the feed, and so to what the dead one left.
    await leave(archive, commits[1])
    await drained(archive, *commits)


@pytest.mark.parametrize("is_carried_out", [True, False])
async def test_an_append_without_an_answer(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, is_carried_out: bool
) -> None:
    commits = [commit_of(count=3), commit_of(count=4)]
    for commit in commits:
        await leave(archive, commit)
    table = archive.feed._table
    send, sent = table.submit_transaction, []

    async def lose(operations: Any, **options: Any) -> Any:
        sent.append(operations)
        if len(sent) > 1:
            return await send(operations, **options)
        if is_carried_out:
            await send(operations, **options)
        raise ServiceResponseError("no answer")

    monkeypatch.setattr(table, "submit_transaction", lose)
    await drained(archive, *commits)
    assert len(sent) == (1 if is_carried_out else 2)


async def test_readers_that_keep_raising_the_floor(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """They delay a drain by two operations each: the outbox is read once, and the head notes what is removed."""
    first, second = commit_of(), commit_of()
    await leave(archive, first)
    await leave(archive, second)
    floor = datetime.now(UTC)
    read: list[StudyKey] = []

    def raising(name: str) -> None:
        send, left = getattr(archive.feed, name), [None] * 3

        async def raise_and_send(_: Feed, head: Head, *given: Any) -> Any:
            nonlocal floor
            if left:
                left.pop()
                floor += timedelta(hours=1)
                await archive.feed.raise_floor(await archive.feed.read_open_head(), floor)
            return await send(head, *given)

        monkeypatch.setattr(Feed, name, raise_and_send)

    find = archive.outbox.read

    def counted(_: Outbox, study: StudyKey) -> AsyncGenerator[StudyChanges, None]:
        read.append(study)
        return find(study)

    monkeypatch.setattr(Outbox, "read", counted)
    raising("append")
    raising("note_cleaned")
    assert await drain(archive, seconds=30)
    assert sorted(read) == sorted([first.study, second.study])
    head = await archive.feed.read_open_head()
    assert (head.floor, head.cleaned) == (floor, head.last)
    check_feed(await feed_of(archive), [first, second])


async def test_many_drainers_at_once(archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with a lock of its own, as in other processes, while requests go on."""
    monkeypatch.setattr(feed_keys, "PARTITION_BITS", 8)
    studies = [study_key(new_uid()) for _ in range(4)]
    commits: list[StudyChanges] = []

    async def request(study: Any) -> None:
        for revision in range(1, 9):
            commit = commit_of(study, revision, 7)
            commits.append(commit)
            await leave(archive, commit)

    async def keep_draining() -> None:
        process = Archive(*(getattr(archive, name) for name in Archive.__slots__[:9]))
        while requests:
            await drain(process, seconds=30)

    requests = {asyncio.create_task(request(study)) for study in studies}
    for one in requests:
        one.add_done_callback(requests.discard)
    await asyncio.gather(*(keep_draining() for _ in range(3)))
    await drained(archive, *commits)
    assert await ready(archive) == []


async def test_time_that_does_not_suffice(archive: Archive) -> None:
    commit = commit_of()
    await leave(archive, commit)
    assert not await drain(archive, seconds=0)
    async with archive.drain_lock:
        assert not await drain(archive, seconds=0.05)
    await drained(archive, commit)


async def test_what_is_ready_when_a_drain_begins_is_in_the_feed_after_it(archive: Archive) -> None:
    """Also for the requests of a process that wait for each other."""
    study = study_key(new_uid())
    for revision in range(1, 15):
        await leave(archive, commit_of(study, revision))
        results = await asyncio.gather(*(drain(archive, seconds=30) for _ in range(3)))
        assert results == [True, True, True]
        assert len(await feed_of(archive)) == revision

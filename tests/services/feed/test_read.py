"""Reading: by sequence number, by rows of a window of time, across partitions, and what a window promises."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from shared.archive.change import Action, StudyChanges
from shared.errors import Unavailable
from shared.services.feed import drain as draining
from shared.services.feed import read as reading
from shared.services.feed.drain import drain
from shared.services.feed.read import read_latest, read_page
from shared.storage import feed as feed_table
from shared.storage import feed_keys
from shared.storage.archive import Archive
from shared.storage.feed import HeadMoved
from shared.storage.feed_rows import Block, FeedEntry, Head, block_of
from shared.web.change_feed_query import ChangeFeedQuery
from tests.support.default_partition import study_key
from tests.support.feeds import CT, commit_of, feed_of, leave
from tests.support.served_instances import new_uid

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECOND, HOUR, TICK = timedelta(seconds=1), timedelta(hours=1), timedelta(microseconds=1)
SetClock = Callable[[datetime], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Sets the clock of those who drain and read."""

    def set_clock(now: datetime) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                return now

        monkeypatch.setattr(draining, "datetime", Clock)
        monkeypatch.setattr(reading, "datetime", Clock)

    return set_clock


def numbers(entries: Sequence[FeedEntry]) -> list[int]:
    return [entry.sequence for entry in entries]


async def page(archive: Archive, query: ChangeFeedQuery) -> list[int]:
    found = await read_page(archive, query)
    assert found.is_complete
    return numbers(found.entries)


async def appended(archive: Archive, *commits: StudyChanges) -> None:
    for commit in commits:
        await leave(archive, commit)
        assert await drain(archive, seconds=30)


async def test_an_empty_feed(archive: Archive) -> None:
    assert await page(archive, ChangeFeedQuery(10)) == []
    assert await page(archive, ChangeFeedQuery(10, after=0, is_of_numbers=True)) == []
    assert await page(archive, ChangeFeedQuery(10, since=NOON)) == []
    assert await page(archive, ChangeFeedQuery(10, since=NOON, until=NOON + SECOND)) == []
    assert await page(archive, ChangeFeedQuery(10, offset=5)) == []
    assert await read_latest(archive) == (None, True)


async def test_what_waits_is_drained_first(archive: Archive) -> None:
    await leave(archive, commit_of(count=3))
    assert await page(archive, ChangeFeedQuery(10, after=0)) == [1, 2, 3]
    await leave(archive, commit_of())
    latest, _ = await read_latest(archive)
    assert latest is not None
    assert latest.sequence == 4


async def test_a_drain_that_is_not_complete(archive: Archive) -> None:
    await appended(archive, commit_of())
    await page(archive, ChangeFeedQuery(1))
    await leave(archive, commit_of())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_DRAIN_SECONDS", 0)
        found = await read_page(archive, ChangeFeedQuery(10))
        assert (numbers(found.entries), found.is_complete) == ([1], False)
    assert await page(archive, ChangeFeedQuery(10)) == [1, 2]


async def test_by_sequence_number(archive: Archive) -> None:
    await appended(archive, commit_of(count=5), commit_of(count=150), commit_of(count=90), commit_of(count=1))
    for after, limit in ((0, 10), (3, 4), (4, 200), (155, 100), (245, 5), (246, 5), (2**63 - 1, 5)):
        found = await read_page(archive, ChangeFeedQuery(limit, after=after))
        expected = [number for number in range(1, 247) if after < number <= after + limit]
        assert numbers(found.entries) == expected
        assert found.after == (expected[-1] if expected and expected[-1] < 246 else None)


async def test_by_sequence_number_across_partitions(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_keys, "PARTITION_BITS", 7)
    await appended(archive, *(commit_of(count=50) for _ in range(6)))
    everything = numbers(await feed_of(archive))
    assert everything == [*range(1, 101), *range(128, 228), *range(256, 356)]
    read: list[int] = []
    after: int | None = 0
    while after is not None:
        found = await read_page(archive, ChangeFeedQuery(33, after=after))
        read += numbers(found.entries)
        after = found.after
    assert read == everything
    # v1: a window of numbers, unless there are none in it
    assert await page(archive, ChangeFeedQuery(10, after=95, is_of_numbers=True)) == [96, 97, 98, 99, 100]
    assert await page(archive, ChangeFeedQuery(40, after=95, is_of_numbers=True)) == [*range(96, 101), *range(128, 136)]
    assert await page(archive, ChangeFeedQuery(10, after=100, is_of_numbers=True)) == [*range(128, 138)]
    latest, _ = await read_latest(archive)
    assert latest is not None
    assert latest.sequence == 355


async def test_the_latest_change_before_a_partition_that_is_still_empty(archive: Archive) -> None:
    await appended(archive, commit_of(count=2))
    head = await archive.feed.read_open_head()
    await archive.feed.close(head)
    latest, _ = await read_latest(archive)
    assert latest is not None
    assert latest.sequence == 2
    assert await page(archive, ChangeFeedQuery(5)) == [1, 2]


@pytest.mark.parametrize("bits", [20, 7])
async def test_windows_of_time_and_rows(
    archive: Archive, clock: SetClock, monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    """Every window, and every part of it, is what filtering the whole feed gives; commits hours and ticks apart."""
    monkeypatch.setattr(feed_keys, "PARTITION_BITS", bits)
    times = [NOON, NOON + TICK, NOON + HOUR - 2 * TICK, NOON + HOUR + SECOND, NOON + 5 * HOUR, NOON + 5 * HOUR]
    for now in times:
        clock(now)
        await appended(archive, commit_of(count=40))
    clock(NOON + 24 * HOUR)
    feed = await feed_of(archive)
    assert len({entry.sequence >> bits for entry in feed}) == (1 if bits == 20 else 2)
    for one, other in pairwise(feed):
        assert one.stamp < other.stamp
    edges = [
        None,
        datetime(1, 1, 1, tzinfo=UTC),
        NOON - HOUR,
        NOON,
        feed[41].stamp,
        NOON + HOUR,
        NOON + HOUR + SECOND,
        NOON + 2 * HOUR,
        feed[-1].stamp,
        feed[-1].stamp + TICK,
        NOON + 30 * HOUR,
    ]
    for since in edges:
        for until in edges:
            if since is not None and until is not None and until <= since:
                continue
            expected = [
                entry.sequence
                for entry in feed
                if (since is None or entry.stamp >= since) and (until is None or entry.stamp < until)
            ]
            query = ChangeFeedQuery(200, since=since, until=until)
            assert await page(archive, query) == expected[:200], (since, until)
            for offset in (1, 60, 100, 239, 240, 2**63 - 1):
                rows = await page(archive, replace(query, offset=offset, limit=25))
                assert rows == expected[offset : offset + 25], (since, until, offset)


async def test_where_a_window_goes_on(archive: Archive, clock: SetClock) -> None:
    clock(NOON)
    await appended(archive, commit_of(count=4))
    clock(NOON + SECOND)
    await appended(archive, commit_of(count=4))
    window = ChangeFeedQuery(3, since=NOON, until=NOON + SECOND)
    first = await read_page(archive, window)
    assert (numbers(first.entries), first.after) == ([1, 2, 3], 3)
    second = await read_page(archive, replace(window, since=None, after=3))
    assert (numbers(second.entries), second.after) == ([4], None)


async def test_nothing_appears_in_a_window_that_is_over(archive: Archive, clock: SetClock) -> None:
    clock(NOON)
    await appended(archive, commit_of())
    window = ChangeFeedQuery(10, since=NOON, until=NOON + 10 * SECOND)
    clock(NOON + 5 * SECOND)  # it ends 5 seconds from now, by this clock; by another's it is over
    assert await page(archive, window) == [1]
    await leave(archive, commit_of())
    assert await page(archive, window) == [1]
    entries = await feed_of(archive)
    assert entries[1].stamp == NOON + 10 * SECOND


async def test_a_window_that_ends_later_is_open(archive: Archive, clock: SetClock) -> None:
    clock(NOON)
    await appended(archive, commit_of())
    window = ChangeFeedQuery(10, since=NOON, until=NOON + 10 * SECOND)
    assert await page(archive, window) == [1]
    await leave(archive, commit_of())
    assert await page(archive, window) == [1, 2]


async def test_an_append_under_way_is_stamped_anew_after_a_window_was_closed(
    archive: Archive, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock(NOON)
    await appended(archive, commit_of())
    await leave(archive, commit_of())
    window = ChangeFeedQuery(10, since=NOON, until=NOON + 3 * SECOND)
    send = archive.feed.append
    seen: list[list[int]] = []

    async def append(*given: object) -> object:
        if not seen:  # it has read the head; now another request reads
            with monkeypatch.context() as patch:
                patch.setattr(reading, "drain", nothing)
                seen.append(await page(archive, window))
        return await send(*given)  # type: ignore[arg-type]

    async def nothing(*_: object, **__: object) -> bool:
        return True

    monkeypatch.setattr(type(archive.feed), "append", lambda _, *given: append(*given))
    assert await drain(archive, seconds=30)
    assert seen == [[1]]
    assert await page(archive, window) == [1]
    assert [entry.stamp for entry in await feed_of(archive)] == [NOON, NOON + 3 * SECOND]


async def test_a_head_that_never_stands_still(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    async def moved(*_: object) -> None:
        raise HeadMoved

    monkeypatch.setattr(type(archive.feed), "raise_floor", moved)
    with pytest.raises(Unavailable):
        await page(archive, ChangeFeedQuery(10, until=NOON))


async def test_a_window_that_is_closed_while_a_partition_begins(
    archive: Archive, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another appends to the next partition in the meantime: the time of what follows is never set back."""
    clock(NOON)
    await appended(archive, commit_of())
    head = await archive.feed.read_open_head()
    await archive.feed.close(head)
    clock(NOON + HOUR)
    await appended(archive, commit_of())
    monkeypatch.setattr(reading, "drained_head", lambda _: _answer((replace(head, is_closed=True), True)))
    assert await page(archive, ChangeFeedQuery(10, since=NOON, until=NOON + SECOND)) == [1]
    assert (await archive.feed.read_open_head()).floor == NOON + HOUR + TICK


async def _answer(value: tuple[Head, bool]) -> tuple[Head, bool]:
    return value


async def test_a_window_is_read_in_no_more_blocks_than_its_page_needs(
    archive: Archive, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock(NOON)
    await appended(archive, *(commit_of(count=100) for _ in range(12)))
    blocks: list[int] = []

    def counted(entity: Mapping[str, Any]) -> Block:
        blocks.append(1)
        return block_of(entity)

    monkeypatch.setattr(feed_table, "block_of", counted)
    assert len(await page(archive, ChangeFeedQuery(150, since=NOON))) == 150
    assert len(blocks) <= 1 + 3


async def test_filters(archive: Archive) -> None:
    study = study_key(new_uid())
    created = commit_of(study, 1, 6)
    changes = list(created.changes)
    changes[1] = replace(changes[1], sop_class_uid="1.2.3")
    created = replace(created, changes=tuple(changes))
    deleted = StudyChanges(study, 2, tuple(replace(change, action=Action.DELETE) for change in created.changes[:3]))
    await leave(archive, created, deleted)
    assert await page(archive, ChangeFeedQuery(10, action="delete")) == [7, 8, 9]
    assert await page(archive, ChangeFeedQuery(10, after=7, action="delete")) == [8, 9]
    assert await page(archive, ChangeFeedQuery(10, sop_class_uid="1.2.3")) == [2, 8]
    assert await page(archive, ChangeFeedQuery(10, sop_class_uid=CT, action="delete")) == [7, 9]
    assert await page(archive, ChangeFeedQuery(2, sop_class_uid=CT, since=NOON)) == [1, 3]
    assert await page(archive, ChangeFeedQuery(10, partition_name="Microsoft.Default")) == [*range(1, 10)]
    assert await page(archive, ChangeFeedQuery(10, partition_name="other")) == []
    first = await read_page(archive, ChangeFeedQuery(1, action="delete"))
    assert (numbers(first.entries), first.after) == ([7], 7)


async def test_a_filter_looks_through_a_bounded_number_of_changes(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MAX_SCANNED", 50)
    await appended(archive, commit_of(count=97), commit_of(count=97))
    found = await read_page(archive, ChangeFeedQuery(5, action="delete"))
    assert (found.entries, found.after) == ([], 50)
    found = await read_page(archive, ChangeFeedQuery(5, action="delete", after=150))
    assert (found.entries, found.after) == ([], None)


async def test_requests_that_begin_after_a_commit_have_it(archive: Archive) -> None:
    """While others drain and read, by sequence number and in an open window."""
    study = study_key(new_uid())
    later = datetime.now(UTC) + HOUR
    for revision in range(1, 13):
        await leave(archive, commit_of(study, revision))
        pages = await asyncio.gather(
            *(page(archive, ChangeFeedQuery(200, after=0)) for _ in range(3)),
            *(page(archive, ChangeFeedQuery(200, since=NOON, until=later)) for _ in range(2)),
        )
        assert pages == [[*range(1, revision + 1)]] * 5

"""Reading the feed: pages of changes, by sequence number or within a window of time.

Whoever reads drains first, so that a request which begins after a store's answer has its changes. Nothing is read past
the head that is read then: what is in the feed up to it never changes. For a window of time that is over, the head's
floor is raised to its end, so that no later change can fall into it.

Storage operations, where nothing is to be drained: 3 by sequence number, 6 for a window of time; 1 more for each
million of changes that are skipped.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.errors import Unavailable
from shared.services.feed.backfill import prepare
from shared.services.feed.drain import drain
from shared.storage import feed_keys
from shared.storage.archive import Archive
from shared.storage.feed import HeadMoved
from shared.storage.feed_rows import FeedEntry, Head
from shared.web.change_feed_query import ChangeFeedQuery

_DRAIN_SECONDS: Final = 2
_CLOCKS_DIFFER: Final = timedelta(seconds=5)  # at most, so a window that ends later is not over everywhere
_ATTEMPTS: Final = 20
_SCANNED_AT_ONCE: Final = 2000  # changes that an operation looks through, where some are skipped
_MAX_SCANNED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Page:
    """Changes in their order.

    `after` is the sequence number after which others may follow that are asked for; None where none do.
    `is_complete`: the feed had all that was ready when the request began.
    """

    entries: list[FeedEntry]
    after: int | None
    is_complete: bool


async def read_page(archive: Archive, query: ChangeFeedQuery) -> Page:
    """The changes that a query asks for. Raises Unavailable where the feed does not have all of the archive yet."""
    head, is_complete = await drained_head(archive)
    if query.until is not None and query.until <= datetime.now(UTC) + _CLOCKS_DIFFER:
        head = await _closed_until(archive, head, query.until)
    entries: list[FeedEntry] = []
    looked_at: int | None = None
    scanned, is_past = 0, False
    async with aclosing(_entries(archive, head, query)) as found:
        async for entry in found:
            if query.until is not None and entry.stamp >= query.until:
                is_past = True
                break
            looked_at, scanned = entry.sequence, scanned + 1
            if _is_asked(entry, query):
                entries.append(entry)
            if len(entries) == query.limit or scanned == _MAX_SCANNED:
                break
    if query.is_of_numbers and query.after is not None:
        last = query.after + query.limit
        entries = [entry for entry in entries if entry.sequence <= last] or entries
    return Page(entries, None if is_past or looked_at == head.last else looked_at, is_complete)


async def read_latest(archive: Archive) -> tuple[FeedEntry | None, bool]:
    """The latest change, None where there is none, and whether it is known to be; see `read_page`."""
    head, is_complete = await drained_head(archive)
    latest = None
    if head.last:
        async for block in archive.feed.read_blocks(head.last - 1, head.last, 1):
            *_, latest = block.entries()
    return latest, is_complete


async def drained_head(archive: Archive) -> tuple[Head, bool]:
    """The newest head after draining, and whether nothing is left of what was ready.

    Raises Unavailable where the feed does not have all of the archive yet.
    """
    is_complete = await drain(archive, seconds=_DRAIN_SECONDS)
    head = await archive.feed.read_head()
    if head is None or not head.is_whole:
        if not await prepare(archive, seconds=_DRAIN_SECONDS):
            raise Unavailable(
                "The change feed is still being filled with what the archive held before; try again later."
            )
        is_complete = await drain(archive, seconds=_DRAIN_SECONDS)
        head = await archive.feed.read_open_head()
    return head, is_complete


async def _closed_until(archive: Archive, head: Head, until: datetime) -> Head:
    """The newest head once no later change can have a stamp before `until`."""
    for _ in range(_ATTEMPTS):
        if head.is_closed:
            head = await archive.feed.read_open_head()
        if head.floor >= until:  # a floor is never lowered
            return head
        try:
            return await archive.feed.raise_floor(head, until)
        except HeadMoved:
            head = await archive.feed.read_open_head()
    raise Unavailable("Others kept changing the change feed; try again.")


def _is_asked(entry: FeedEntry, query: ChangeFeedQuery) -> bool:
    change = entry.change
    return (
        query.action in (None, change.action.value)
        and query.sop_class_uid in (None, change.sop_class_uid)
        and query.partition_name in (None, change.identifiers.study.partition)
    )


async def _entries(archive: Archive, head: Head, query: ChangeFeedQuery) -> AsyncGenerator[FeedEntry, None]:
    """What follows the place where the query begins, up to the head."""
    sequence = await _before(archive, head, query) if query.after is None else query.after
    changes = _SCANNED_AT_ONCE if query.is_filtered else query.limit
    async with aclosing(archive.feed.read_blocks(sequence, head.last, changes)) as blocks:
        async for block in blocks:
            for entry in block.entries():
                if entry.sequence > sequence:
                    yield entry


async def _before(archive: Archive, head: Head, query: ChangeFeedQuery) -> int:
    """The sequence number after which a window of time begins, and what is skipped of it ends: counted, not read."""
    following, offset = feed_keys.first_of(0), query.offset
    if query.since is not None:
        first = await _first_from(archive, head, max(query.since, feed_keys.EPOCH))
        if first is None:
            return head.last
        following = first.sequence
    while (partition := feed_keys.partition_of(following)) < head.partition:
        left = (await archive.feed.read_head_of(partition)).next - following
        if offset < left:
            break
        offset -= left
        following = feed_keys.first_of(partition + 1)
    return following + offset - 1


async def _first_from(archive: Archive, head: Head, since: datetime) -> FeedEntry | None:
    """The first change from a time on, up to the head."""
    begin = await _head_at(archive, head, since)
    for partition in range(begin.partition, head.partition + 1):
        async with aclosing(archive.feed.read_blocks_from(partition, since, head.last)) as blocks:
            async for block in blocks:
                for entry in block.entries():
                    if entry.stamp >= since:
                        return entry
    return None


async def _head_at(archive: Archive, head: Head, since: datetime) -> Head:
    """The head of the partition in which the changes from a time on begin."""
    if since >= head.first_floor:
        return head
    first, newest = 0, head.partition
    found = head
    while first < newest:  # the partition is one of these, without the last
        middle = (first + newest) // 2
        one = await archive.feed.read_head_of(middle)
        if one.first_floor <= since:
            first, found = middle + 1, one
        else:
            newest = middle
    return found

"""Readers of the change feed, each with what it has seen, and whether that is what happened."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from shared.archive.change import Action
from shared.storage.archive import Archive
from shared.storage.feed_rows import FeedEntry
from tests.simulation.history import Delete, Event, Store, Told
from tests.simulation.virtual_clock import START
from tests.support.archive_model import Uids
from tests.support.changes import changes_in_feed, changes_in_outbox, check_changes


@dataclass
class SequenceReader:
    """One that asks for what comes after the last change that it has seen."""

    seen: list[FeedEntry] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The sequence number of that change."""
        return self.seen[-1].sequence if self.seen else 0


@dataclass
class WindowReader:
    """One that asks for one window of time after another, each up to the present; `end` is that of the last one."""

    seen: list[FeedEntry] = field(default_factory=list)
    end: datetime = START - timedelta(days=1)  # some clocks are slow


def uids_of(entry: FeedEntry) -> Uids:
    """Which instance was changed."""
    one = entry.change.identifiers
    return one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid


def check_fresh(seen: Iterable[FeedEntry], events: Sequence[Event]) -> None:
    """Check that a reader has seen what had been answered when it asked: `events` were over by then."""
    counts = {action: Counter[Uids]() for action in Action}
    for entry in seen:
        counts[entry.change.action][uids_of(entry)] += 1
    stores = [event for event in events if isinstance(event, Store) and event.told is Told.DONE]
    for uids, count in Counter(store.instance.uids for store in stores).items():
        assert counts[Action.CREATE][uids] >= count, f"Stored {count} times, and the feed says otherwise: {uids}"
    for event in events:
        if isinstance(event, Delete) and event.told is Told.DONE:
            gone = {one.instance.uids for one in stores if one.ended < event.began}
            for uids in gone:
                if uids[: len(event.uids)] == event.uids:
                    assert counts[Action.DELETE][uids], f"Deleted, and the feed does not say so: {uids}"


async def check_feed(
    archive: Archive, by_sequence: Iterable[SequenceReader], by_window: Iterable[WindowReader]
) -> None:
    """Check that the feed has all that was done, once and in order, and that its readers have seen it so."""
    assert [entry async for entry in archive.journal.read_ready()] == []
    assert await changes_in_outbox(archive) == {}
    head = await archive.feed.read_head()
    assert head is not None
    assert head.is_whole
    await check_changes(archive, await changes_in_feed(archive))
    feed = [entry async for block in archive.feed.read_blocks(0, head.last, 100) for entry in block.entries()]
    for earlier, later in pairwise(feed):
        assert earlier.sequence < later.sequence, (earlier, later)
        assert earlier.stamp < later.stamp, (earlier, later)
    for reader in by_sequence:
        assert reader.seen == [entry for entry in feed if entry.sequence <= reader.last]
    for window in by_window:
        assert window.seen == [entry for entry in feed if entry.stamp < window.end]

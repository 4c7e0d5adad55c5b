"""Readers of the change feed, each with what it has seen, and whether that is what happened."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from shared.archive.change import Action
from shared.storage.feed_rows import FeedEntry
from tests.simulation.history import Delete, Event, Store, Told
from tests.simulation.virtual_clock import START
from tests.support.archive_model import Uids


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
    end: datetime = START


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


def check_order(feed: Sequence[FeedEntry]) -> None:
    """Check that sequence numbers and stamps rise."""
    for earlier, later in pairwise(feed):
        assert earlier.sequence < later.sequence, (earlier, later)
        assert earlier.stamp < later.stamp, (earlier, later)


def check_sequence_reader(reader: SequenceReader, feed: Sequence[FeedEntry]) -> None:
    """Check that a reader has seen the beginning of the feed, all of it, and nothing else."""
    assert reader.seen == [entry for entry in feed if entry.sequence <= reader.last]


def check_window_reader(reader: WindowReader, feed: Sequence[FeedEntry]) -> None:
    """Check that a reader has seen all changes before the end of its last window, and nothing else."""
    assert reader.seen == [entry for entry in feed if entry.stamp < reader.end]


def check_present(feed: Iterable[FeedEntry], versions: dict[Uids, str]) -> None:
    """Check that the feed leads to what is there: the blob version of each instance."""
    there: dict[Uids, str] = {}
    for entry in feed:
        uids, version = uids_of(entry), entry.change.blob_version
        if entry.change.action is Action.CREATE:
            assert uids not in there, f"Created twice: {entry}"
            there[uids] = version
        else:
            assert there.pop(uids, None) == version, f"Deleted without being there: {entry}"
    assert there == versions

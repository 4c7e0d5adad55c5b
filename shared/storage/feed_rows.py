"""Rows of the change feed as table entities: heads, blocks of changes, and marks of hours. Pure."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from shared.archive.change import Change, StudyChanges
from shared.dicom.identifiers import StudyKey
from shared.storage import feed_keys
from shared.storage.outbox import json_of, study_changes
from shared.storage.properties import int64, packed, unpacked

MAX_BLOCK_CHANGES: Final = 200
"""The most changes of a block. A commit has at most 100: it is one batch."""

UNREADABLE: Final = (KeyError, TypeError, ValueError, AttributeError, zlib.error)
"""What reading a row that is damaged may raise."""

_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Head:
    """What a partition of the feed, by its number, had come to when it was read; only the newest one's ever changes.

    `next` is the sequence number of the next change, `last` that of the last one in the feed, 0 if there is none. The
    changes up to `cleaned` are no longer in the outbox. No later change has a stamp before `floor`; `first_floor` is
    what that was when the partition began. `hour` is the last one that has a mark in the partition. `is_closed`: the
    partition is complete, and what follows stands in the next one. `is_whole`: the feed has all that the archive held
    before there was a feed, or it is on its way.
    """

    partition: int
    next: int
    last: int
    cleaned: int
    floor: datetime
    first_floor: datetime
    hour: datetime
    is_closed: bool
    is_whole: bool
    etag: str = ""

    @property
    def room(self) -> int:
        """How many more changes fit the partition."""
        return feed_keys.first_of(self.partition + 1) - self.next


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A change in the feed: its sequence number, and the time at which it was appended."""

    sequence: int
    stamp: datetime
    change: Change


@dataclass(frozen=True, slots=True)
class Block:
    """The changes of a few commits, each whole: numbered from `first` on, stamped a microsecond apart."""

    first: int
    first_stamp: datetime
    commits: tuple[StudyChanges, ...]

    @property
    def count(self) -> int:
        """How many changes there are."""
        return sum(len(commit.changes) for commit in self.commits)

    @property
    def last(self) -> int:
        """The sequence number of the last change."""
        return self.first + self.count - 1

    @property
    def last_stamp(self) -> datetime:
        """The time of the last change."""
        return self.first_stamp + (self.count - 1) * _TICK

    def entries(self) -> Iterator[FeedEntry]:
        """The changes, in their order."""
        changes = (change for commit in self.commits for change in commit.changes)
        for index, change in enumerate(changes):
            yield FeedEntry(self.first + index, self.first_stamp + index * _TICK, change)


def first_head() -> Head:
    """The head of a feed without changes."""
    epoch = feed_keys.EPOCH
    return Head(0, feed_keys.first_of(0), 0, 0, epoch, epoch, epoch, is_closed=False, is_whole=False)


def following(closed: Head) -> Head:
    """The head of the partition after one that is closed, as it begins."""
    partition = closed.partition + 1
    return Head(
        partition,
        feed_keys.first_of(partition),
        closed.last,
        closed.cleaned,
        closed.floor,
        first_floor=closed.floor,
        hour=feed_keys.EPOCH,
        is_closed=False,
        is_whole=closed.is_whole,
    )


def blocks_of(head: Head, commits: Iterable[StudyChanges], now: datetime) -> list[Block]:
    """The blocks in which commits, in this order, are to be appended at `now`.

    Raises ValueError for a commit that has no change, or more than a block.
    """
    blocks: list[Block] = []
    first, stamp = head.next, max(now, head.floor)
    gathered: list[StudyChanges] = []

    def finish() -> None:
        nonlocal first, stamp
        blocks.append(Block(first, stamp, tuple(gathered)))
        first, stamp = blocks[-1].last + 1, blocks[-1].last_stamp + _TICK
        gathered.clear()

    for commit in commits:
        if not 0 < len(commit.changes) <= MAX_BLOCK_CHANGES:
            raise ValueError(f"a commit of {len(commit.changes)} changes fits no block")
        if sum(len(one.changes) for one in [*gathered, commit]) > MAX_BLOCK_CHANGES:
            finish()
        gathered.append(commit)
    if gathered:
        finish()
    return blocks


def after(head: Head, blocks: Sequence[Block]) -> tuple[Head, list[dict[str, Any]]]:
    """The head once these blocks are appended, and the marks of the hours that begin with them."""
    marks = []
    hour = head.hour
    for block in blocks:
        for stamp in (block.first_stamp, block.last_stamp):  # an hour may begin within a block
            if feed_keys.hour_of(stamp) > hour:
                hour = feed_keys.hour_of(stamp)
                marks.append(mark_entity(head.partition, hour, block.first))
    end = blocks[-1]
    return replace(head, next=end.last + 1, last=end.last, floor=end.last_stamp + _TICK, hour=hour), marks


def head_key(partition: int) -> dict[str, str]:
    """The keys of a partition's head."""
    return {"PartitionKey": feed_keys.partition_key(partition), "RowKey": feed_keys.HEAD_ROW}


def head_entity(head: Head) -> dict[str, Any]:
    """All of a head's row."""
    return {
        **head_key(head.partition),
        "next": int64(head.next),
        "last": int64(head.last),
        "cleaned": int64(head.cleaned),
        "floor": head.floor,
        "first_floor": head.first_floor,
        "hour": head.hour,
        "closed": head.is_closed,
        "is_whole": head.is_whole,
    }


def head_of(entity: Any) -> Head:
    """The head whose row this is, as it was read from the table."""
    return Head(
        feed_keys.partition_of_key(entity["PartitionKey"]),
        entity["next"].value,
        entity["last"].value,
        entity["cleaned"].value,
        entity["floor"],
        entity["first_floor"],
        entity["hour"],
        entity["closed"],
        entity["is_whole"],
        entity.metadata["etag"],
    )


def block_entity(block: Block) -> dict[str, Any]:
    """The row of a block."""
    commits = [
        [commit.study.partition, commit.study.study_instance_uid, commit.revision, json_of(commit)]
        for commit in block.commits
    ]
    return {
        "PartitionKey": feed_keys.partition_key(feed_keys.partition_of(block.last)),
        "RowKey": feed_keys.block_row(block.last),
        "first": int64(block.first),
        "first_stamp": block.first_stamp,
        "last_stamp": block.last_stamp,
        **packed("commits", commits),
    }


def block_of(entity: Mapping[str, Any]) -> Block:
    """The block whose row this is."""
    commits = tuple(
        study_changes(StudyKey(partition, study), revision, found)
        for partition, study, revision, found in unpacked(entity, "commits")
    )
    return Block(entity["first"].value, entity["first_stamp"], commits)


def mark_entity(partition: int, hour: datetime, sequence: int) -> dict[str, Any]:
    """The mark of an hour: the sequence number, of a partition, where reading of that hour begins."""
    key = {"PartitionKey": feed_keys.partition_key(partition), "RowKey": feed_keys.hour_row(hour)}
    return {**key, "sequence": int64(sequence)}

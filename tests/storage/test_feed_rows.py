"""The feed's keys and rows: their order, how commits are packed, and that the largest batch fits."""

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.archive.change import Action, Change, StudyChanges
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey
from shared.storage import feed_keys
from shared.storage.feed import MAX_APPENDED_CHANGES
from shared.storage.feed_rows import (
    MAX_BLOCK_CHANGES,
    after,
    block_entity,
    block_of,
    blocks_of,
    first_head,
    following,
)
from tests.support.feeds import commit_of

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
SEQUENCES = st.integers(1, 2**63 - 1)
MAX_BATCH_BYTES = 4 * 1024**2
MAX_BATCH_ROWS = 100


@pytest.mark.property
@given(SEQUENCES, SEQUENCES)
def test_later_partitions_sort_first_and_later_blocks_last(one: int, other: int) -> None:
    partitions = [feed_keys.partition_of(sequence) for sequence in (one, other)]
    first, second = map(feed_keys.partition_key, partitions)
    assert (first < second) == (partitions[0] > partitions[1])
    assert feed_keys.partition_of_key(first) == partitions[0]
    assert (feed_keys.block_row(one) < feed_keys.block_row(other)) == (one < other)
    assert feed_keys.first_of(partitions[0]) <= one < feed_keys.first_of(partitions[0] + 1)


@pytest.mark.property
@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_rows_of_a_partition_begin_with_the_head_then_marks_the_latest_first(moment: datetime) -> None:
    hour = feed_keys.hour_of(moment)
    assert hour <= moment < hour + timedelta(hours=1)
    rows = [feed_keys.HEAD_ROW, feed_keys.hour_row(hour), feed_keys.hour_rows_end(), feed_keys.block_row(1)]
    assert rows == sorted(rows)
    if hour > feed_keys.EPOCH:
        assert feed_keys.hour_row(hour) < feed_keys.hour_row(hour - timedelta(hours=1))
    assert feed_keys.partition_key(0) < feed_keys.PREPARING[0]


@pytest.mark.property
@given(st.lists(st.integers(1, MAX_BLOCK_CHANGES), min_size=1, max_size=30))
def test_blocks_hold_whole_commits_without_gaps(sizes: list[int]) -> None:
    commits = [commit_of(count=size) for size in sizes]
    head = first_head()
    blocks = blocks_of(head, commits, NOON)
    assert [commit for block in blocks for commit in block.commits] == commits
    assert all(block.count <= MAX_BLOCK_CHANGES for block in blocks)
    entries = [entry for block in blocks for entry in block.entries()]
    assert [entry.sequence for entry in entries] == [*range(1, sum(sizes) + 1)]
    assert [entry.stamp for entry in entries] == [NOON + index * TICK for index in range(sum(sizes))]
    for block in blocks:
        assert block_of(block_entity(block)) == block
    moved, _ = after(head, blocks)
    assert (moved.next, moved.last, moved.floor) == (sum(sizes) + 1, sum(sizes), entries[-1].stamp + TICK)


def test_stamps_begin_at_the_floor_where_that_is_later() -> None:
    moved, _ = after(first_head(), blocks_of(first_head(), [commit_of(count=3)], NOON))
    (block,) = blocks_of(moved, [commit_of()], NOON - timedelta(hours=1))
    assert block.first_stamp == NOON + 3 * TICK


@pytest.mark.parametrize("size", [0, MAX_BLOCK_CHANGES + 1])
def test_a_commit_that_fits_no_block(size: int) -> None:
    with pytest.raises(ValueError, match="fits no block"):
        blocks_of(first_head(), [commit_of(count=size)], NOON)


def test_each_hour_is_marked_once_where_it_begins() -> None:
    head, marked = first_head(), []
    for now in (NOON - 5 * TICK, NOON, NOON + timedelta(minutes=59), NOON + timedelta(hours=3)):
        head, marks = after(head, blocks_of(head, [commit_of(count=10)], now))
        marked += [(mark["RowKey"], mark["sequence"].value) for mark in marks]
    hours = [NOON - timedelta(hours=1), NOON, NOON + timedelta(hours=3)]
    # The first block reaches from one hour into the next.
    assert marked == list(zip(map(feed_keys.hour_row, hours), [1, 1, 31], strict=True))


def test_the_next_partition_begins_where_the_last_one_ended() -> None:
    head, _ = after(first_head(), blocks_of(first_head(), [commit_of()], NOON))
    begun = following(head)
    assert (begun.partition, begun.next, begun.last) == (1, 1 << feed_keys.PARTITION_BITS, 1)
    assert begun.floor == begun.first_floor == head.floor
    assert begun.room == 1 << feed_keys.PARTITION_BITS
    assert head.room == (1 << feed_keys.PARTITION_BITS) - 2


@pytest.mark.parametrize("size", [1, 97, 101, 200])
def test_the_largest_batch_fits(size: int) -> None:
    """With UIDs as long as they may be, none of which is like another, and hours that begin within it."""
    random = Random(size)

    def uid() -> str:
        return "".join(random.choices("0123456789", k=64))

    def commit() -> StudyChanges:
        study = StudyKey("p" * 64, uid())
        changes = (
            Change(Action.CREATE, InstanceIdentifiers(study, uid(), uid()), random.randbytes(19).hex(), uid(), "A" * 16)
            for _ in range(size)
        )
        return StudyChanges(study, 2**60, tuple(changes))

    commits = [commit() for _ in range(MAX_APPENDED_CHANGES // size)]
    blocks = blocks_of(first_head(), commits, NOON - TICK)
    _, marks = after(first_head(), blocks)
    assert len(marks) == 2
    assert 1 + len(marks) + len(blocks) <= MAX_BATCH_ROWS
    assert sum(map(batch_bytes, [*marks, *map(block_entity, blocks)])) < MAX_BATCH_BYTES / 2


def batch_bytes(entity: dict[str, Any]) -> int:
    """How long a row is in a batch: its values in base64, and a kilobyte of headers and names."""
    return 1024 + sum(
        len(value) * 4 // 3 if isinstance(value, bytes) else len(json.dumps(str(value))) for value in entity.values()
    )

"""The keys of the change feed's rows, and which sequence numbers stand together in a table partition. Pure.

A table partition holds the changes of a fixed range of sequence numbers, and those of the newest range sort first. In
it the head comes before the marks of hours, newest first, and these before the blocks of changes, in their order.
"""

from datetime import UTC, datetime
from typing import Final

PARTITION_BITS: Final = 20
"""A table partition of the feed holds the sequence numbers that are the same without so many of their last bits."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Before every time in the feed."""

HEAD_ROW: Final = "head"
PREPARING: Final = ("preparing", "cursor")
"""Partition key and row key of how far the first filling of the feed has come."""

_LAST_PARTITION: Final = 2**43 - 1
_LAST_HOUR: Final = 10**8 - 1


def partition_of(sequence: int) -> int:
    """The number of the partition that a sequence number belongs to."""
    return sequence >> PARTITION_BITS


def first_of(partition: int) -> int:
    """The first sequence number of a partition; there is no 0."""
    return max(partition << PARTITION_BITS, 1)


def partition_key(partition: int) -> str:
    """The partition key of a partition, given by its number."""
    return f"{_LAST_PARTITION - partition:013d}"


def partition_of_key(key: str) -> int:
    """The number of the partition that has this partition key."""
    return _LAST_PARTITION - int(key)


def hour_of(moment: datetime) -> datetime:
    """The beginning of the hour in which a moment lies."""
    return moment.replace(minute=0, second=0, microsecond=0)


def hour_row(hour: datetime) -> str:
    """Row key of the mark of an hour, given by its beginning; marks of later hours sort before it."""
    return f"hour:{_LAST_HOUR - int((hour - EPOCH).total_seconds()) // 3600:08d}"


def hour_rows_end() -> str:
    """The first row key past those of all marks."""
    return "hour;"


def block_row(last: int) -> str:
    """Row key of the block of changes whose last sequence number this is."""
    return f"sequence:{last:019d}"


def last_of_block_row(row_key: str) -> int:
    """The last sequence number of a block, from its row key."""
    return int(row_key.partition(":")[2])

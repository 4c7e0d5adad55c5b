"""Whether the change feed is as it was appended: every number in use, each commit once, stamps and revisions rising."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any

from shared.archive.change import StudyChanges
from shared.storage import feed_keys
from shared.storage.archive import Archive
from shared.storage.feed_rows import UNREADABLE, Block, Head, block_of, head_of


class _Broken(Exception):
    """Something is wrong in a partition of the feed; the message says what."""


async def broken_places(archive: Archive) -> AsyncIterator[str]:
    """Where the feed is not as it should be, at most one place in each of its partitions. It may grow meanwhile."""
    newest = await archive.feed.read_head()
    order = _Order()
    for partition in range(newest.partition + 1 if newest else 0):
        try:
            await order.check(archive, partition)
        except (_Broken, *UNREADABLE) as error:
            what = error if isinstance(error, _Broken) else "a row cannot be read"
            yield f"change feed, sequence number {order.next}: {what}"
            order.last = order.floor = None


class _Order:
    """How far the feed has been looked through: the next sequence number, the last one, and the earliest next stamp.

    The latter two are None where they are not known.
    """

    def __init__(self) -> None:
        self.next = 0
        self.last: int | None = 0
        self.floor: datetime | None = feed_keys.EPOCH
        self._revisions: dict[bytes, int] = {}

    async def check(self, archive: Archive, partition: int) -> None:
        """Look through the next partition. Raises _Broken, and what reading a damaged row raises."""
        self.next = feed_keys.first_of(partition)
        head: Head | None = None
        marks: dict[str, int] = {}
        expected: dict[str, int] = {}
        async for entity in archive.feed.read_rows(partition):
            row_key = entity["RowKey"]
            if row_key == feed_keys.HEAD_ROW:
                head = head_of(entity)
                self._check(self.floor in (None, head.first_floor), "the partition begins at another time")
                self.floor = head.first_floor
            elif row_key < feed_keys.hour_rows_end():
                marks[row_key] = entity["sequence"].value
            else:
                block = block_of(entity)
                if head is not None and block.first >= head.next:  # it has been appended since
                    break
                self._add(entity, block)
                for stamp in (block.first_stamp, block.last_stamp):
                    expected.setdefault(feed_keys.hour_row(feed_keys.hour_of(stamp)), block.first)
        self._check(head is not None, "the head is missing")
        if head is not None:
            self._check(self.next == head.next and self.last in (None, head.last), "the head says otherwise")
            self._check(self.floor is not None and self.floor <= head.floor, "the head's time is too early")
            self._check({**marks, **expected} == marks, "the mark of an hour is wrong")
            self.floor, self.last = head.floor, head.last

    def _add(self, entity: Mapping[str, Any], block: Block) -> None:
        self._check(block.first == self.next, "changes are missing, or there twice")
        self._check(feed_keys.block_row(block.last) == entity["RowKey"], "a row has another number")
        is_later = self.floor is None or block.first_stamp >= self.floor
        self._check(is_later and entity["last_stamp"] == block.last_stamp, "times do not rise")
        for commit in block.commits:
            self._check_revision(commit)
        self.next, self.last, self.floor = block.last + 1, block.last, block.last_stamp

    def _check_revision(self, commit: StudyChanges) -> None:
        study = blake2b(commit.study.path.encode(), digest_size=8).digest()
        self._check(self._revisions.get(study, -1) < commit.revision, "a commit is there twice, or out of order")
        self._revisions[study] = commit.revision

    def _check(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            raise _Broken(otherwise)

"""The change feed: all changes of the archive in one order, in blocks behind a head that says where the next one goes.

The head stands in the table partition of the blocks, and the batch that appends changes it under its ETag: of two that
append at once only one succeeds, and no change ever appears before one that is in the feed. A reader that raises the
head's floor keeps later changes out of a window of time in the same way.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.archive.change import StudyChanges
from shared.dicom.identifiers import StudyKey
from shared.errors import Unavailable
from shared.storage import feed_keys
from shared.storage.availability import is_unavailable
from shared.storage.conditions import MOVED, under
from shared.storage.feed_rows import (
    MAX_BLOCK_CHANGES,
    Block,
    Head,
    after,
    block_entity,
    block_of,
    blocks_of,
    first_head,
    following,
    head_entity,
    head_key,
    head_of,
)
from shared.storage.properties import PAGE_ROWS, int64

MAX_APPENDED_CHANGES: Final = 4000
"""The most changes that are appended at once: some 40 rows, and half a megabyte where no two UIDs are alike."""


_NO_TABLE: Final = "The archive has no table for the change feed: whoever runs the service has to provision it again."


class HeadMoved(Exception):
    """The head may have changed since it was read, or may still: read it again."""


class Feed:
    """The table of the change feed."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def read_head(self) -> Head | None:
        """The head of the newest partition, in one operation; None where there is no feed yet.

        Raises Unavailable where there is no table for it: deploying a release does not make it, provisioning does.
        """
        query, parameters = "RowKey eq @head", {"head": feed_keys.HEAD_ROW}
        try:
            async for entity in self._table.query_entities(query, parameters=parameters, results_per_page=1):
                return head_of(entity)
        except ResourceNotFoundError:
            raise Unavailable(_NO_TABLE) from None
        return None

    async def read_last(self) -> int:
        """The sequence number of the last change; 0 where there is none."""
        head = await self.read_head()
        return head.last if head else 0

    async def read_open_head(self) -> Head:
        """The head behind which changes are appended; begins the feed, or the next partition, where it is missing."""
        while True:
            head = await self.read_head()
            if head is not None and not head.is_closed:
                return head
            with suppress(ResourceExistsError):
                await self._table.create_entity(head_entity(following(head) if head else first_head()))

    async def read_head_of(self, partition: int) -> Head:
        """The head of a partition up to the newest one."""
        key = head_key(partition)
        return head_of(await self._table.get_entity(key["PartitionKey"], key["RowKey"]))

    async def append(self, head: Head, commits: Sequence[StudyChanges], now: datetime) -> Head:
        """Append commits, in this order, behind an open head that has room for them; return what becomes of it.

        Their stamps begin at `now`, or at the head's floor if that is later. Raises HeadMoved where nothing was
        appended, and where it is not known.
        """
        blocks = blocks_of(head, commits, now)
        moved, marks = after(head, blocks)
        operations: list[Any] = [
            ("update", head_entity(moved), {"mode": UpdateMode.MERGE, **under(head.etag)}),
            *(("create", mark) for mark in marks),
            *(("create", block_entity(block)) for block in blocks),
        ]
        try:
            results = await self._table.submit_transaction(operations, retry_total=0)
        except Exception as error:
            if is_unavailable(error) or (isinstance(error, HttpResponseError) and error.status_code in MOVED):
                raise HeadMoved from error
            raise
        return replace(moved, etag=results[0]["etag"])

    async def close(self, head: Head) -> None:
        """Close the newest partition and begin the next one. Raises HeadMoved where another has changed the head."""
        await self._merge(head, {"closed": True})
        with suppress(ResourceExistsError):
            await self._table.create_entity(head_entity(following(head)))

    async def note_cleaned(self, head: Head) -> None:
        """Note that what is in the feed has left the outbox. Raises HeadMoved where another has changed the head."""
        await self._merge(head, {"cleaned": int64(head.last)})

    async def raise_floor(self, head: Head, floor: datetime) -> Head:
        """Keep changes that are appended later from stamps before `floor`; return what becomes of the head.

        Raises HeadMoved where another has changed the head.
        """
        return replace(head, floor=floor, etag=await self._merge(head, {"floor": floor}))

    async def note_whole(self, head: Head) -> None:
        """Note that the feed has all that the archive held before. Raises HeadMoved as `close` does."""
        await self._merge(head, {"is_whole": True})

    async def read_blocks(self, sequence: int, last: int, changes: int) -> AsyncGenerator[Block, None]:
        """The blocks that hold what follows a sequence number, up to `last`, in their order.

        An operation reads what so many `changes` need, and little more. `last` is the head's.
        """
        while sequence < last:
            partition = feed_keys.partition_of(sequence + 1)
            before = sequence
            up_to = min(last, sequence + changes + MAX_BLOCK_CHANGES)
            async for block in self._blocks(partition, sequence, up_to):
                sequence = block.last
                yield block
            if sequence == before:  # all numbers of a partition are in use up to its last, so it ends here
                sequence = feed_keys.first_of(partition + 1) - 1

    async def read_blocks_from(self, partition: int, since: datetime, last: int) -> AsyncGenerator[Block, None]:
        """The blocks of a partition, up to the sequence number `last`, that have changes from a time on.

        One an operation, after one for the mark of the hour. The first may end just before that time: Azurite compares
        milliseconds.
        """
        begin = await self._read_mark(partition, feed_keys.hour_of(since))
        async for block in self._blocks(partition, begin - 1, last, since):
            yield block

    async def read_commits(self, sequence: int, last: int) -> set[tuple[StudyKey, int]]:
        """Study and revision of each commit in the feed after a sequence number, up to `last`, the head's."""
        return {
            (commit.study, commit.revision)
            async for block in self.read_blocks(sequence, last, MAX_APPENDED_CHANGES)
            for commit in block.commits
        }

    async def read_rows(self, partition: int) -> AsyncIterator[Mapping[str, Any]]:
        """Every row of a partition as it is: its head, marks and blocks; 1,000 an operation."""
        query, parameters = "PartitionKey eq @partition", {"partition": feed_keys.partition_key(partition)}
        async for entity in self._table.query_entities(query, parameters=parameters, results_per_page=PAGE_ROWS):
            yield entity

    async def read_cursor(self) -> str:
        """How far the first filling has come; nothing at its beginning, or where there is none."""
        try:
            return str((await self._table.get_entity(*feed_keys.PREPARING))["cursor"])
        except ResourceNotFoundError:
            return ""

    async def write_cursor(self, cursor: str) -> None:
        """Note how far the first filling has come."""
        partition_key, row_key = feed_keys.PREPARING
        await self._table.upsert_entity({"PartitionKey": partition_key, "RowKey": row_key, "cursor": cursor})

    async def remove_cursor(self) -> None:
        """Forget how far the first filling has come."""
        await self._table.delete_entity(*feed_keys.PREPARING)

    async def _merge(self, head: Head, changed: Mapping[str, Any]) -> str:
        """Change something of a head; return its new ETag."""
        entity = {**head_key(head.partition), **changed}
        try:
            result = await self._table.update_entity(entity, mode=UpdateMode.MERGE, **under(head.etag))
        except HttpResponseError as error:
            if error.status_code in MOVED:
                raise HeadMoved from error
            raise
        return str(result["etag"])

    async def _read_mark(self, partition: int, hour: datetime) -> int:
        """The sequence number where reading of an hour begins, or of the last one before it that has a mark."""
        parameters = {"partition": feed_keys.partition_key(partition), "first": feed_keys.hour_row(hour)}
        async for entity in self._table.query_entities(
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @end",
            parameters={**parameters, "end": feed_keys.hour_rows_end()},
            results_per_page=1,
        ):
            return int(entity["sequence"].value)
        return feed_keys.first_of(partition)

    async def _blocks(
        self, partition: int, sequence: int, up_to: int, since: datetime | None = None
    ) -> AsyncIterator[Block]:
        """The blocks of a partition whose last sequence number is after `sequence`, and at most `up_to`.

        1,000 an operation; with `since` those that end at that time or later, one an operation.
        """
        query = "PartitionKey eq @partition and RowKey gt @after and RowKey le @last"
        parameters: dict[str, Any] = {
            "partition": feed_keys.partition_key(partition),
            "after": feed_keys.block_row(sequence),
            "last": feed_keys.block_row(up_to),
        }
        page_rows = PAGE_ROWS
        if since is not None:
            query, parameters["since"], page_rows = f"{query} and last_stamp ge @since", since, 1
        async for entity in self._table.query_entities(query, parameters=parameters, results_per_page=page_rows):
            yield block_of(entity)

"""The requests in flight that change the archive: what a maintenance run has to look at when a process died."""

from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.storage import keys


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A request: what it does, since when, and to which resources, as paths below the service's URL.

    Every blob that a store writes has a version that begins with `request_id`, so its studies are enough to find them.
    """

    request_id: str
    transaction: Literal["store", "delete"]
    started: datetime
    resources: AbstractSet[str]


class Journal:
    """The table of requests in flight."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def write(self, entry: JournalEntry) -> None:
        """Note a request, or its resources anew. Returns once that is durable."""
        await self._table.upsert_entity(
            {
                "PartitionKey": keys.journal_shard(entry.request_id),
                "RowKey": entry.request_id,
                "transaction": entry.transaction,
                "started": entry.started,
                "resources": " ".join(sorted(entry.resources)),
            },
            mode=UpdateMode.REPLACE,
        )

    async def read(self) -> AsyncIterator[JournalEntry]:
        """Every request in flight, or left behind by a process that died."""
        async for entity in self._table.list_entities():
            yield JournalEntry(
                entity["RowKey"], entity["transaction"], entity["started"], frozenset(entity["resources"].split())
            )

    async def remove(self, request_id: str) -> None:
        """Forget a request: all it began is done."""
        await self._table.delete_entity(keys.journal_shard(request_id), request_id)

"""The requests in flight that change the archive: where maintenance looks for what a dead process left behind."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.archive.terms import Term
from shared.storage import keys
from shared.storage.parallel import in_parallel
from shared.storage.properties import packed, unpacked


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One resource that a request is changing, by its path below the service's URL; a store's or restore's is a study.

    Every blob that a store writes has a blob version that begins with `request_id`, so its studies are enough to find
    its blobs; a restore brings old blob versions back. `terms` are those whose postings may be left behind in the
    index, `created` the times when the study they name was first stored, or was to be; terms of single instances follow
    from the blobs that are left. `is_over`: the request has ended and left the rest to maintenance.
    """

    request_id: str
    transaction: Literal["store", "delete", "restore"]
    started: datetime
    resource: str
    created: frozenset[datetime] = frozenset()
    terms: frozenset[Term] = frozenset()
    is_over: bool = False

    def may_be_alive(self, last_alive: datetime) -> bool:
        """Whether the request may still be at work, given that none that began before `last_alive` is."""
        return not self.is_over and self.started >= last_alive


class Journal:
    """The table of requests in flight; a request has an entry for each resource."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def write(self, entry: JournalEntry) -> None:
        """Write an entry. Returns once it is durable."""
        await self._table.upsert_entity(
            {
                **_key(entry.request_id, entry.resource),
                "transaction": entry.transaction,
                "started": entry.started,
                "is_over": entry.is_over,
                **packed("created", sorted(time.isoformat() for time in entry.created)),
                **packed("terms", sorted(entry.terms)),
            },
            mode=UpdateMode.REPLACE,
        )

    async def read(self) -> AsyncIterator[JournalEntry]:
        """Every entry: those of requests in flight, and those left behind by dead processes."""
        async for entity in self._table.list_entities():
            request_id, resource = keys.entry_of_journal_row(entity["RowKey"])
            yield JournalEntry(
                request_id,
                entity["transaction"],
                entity["started"],
                resource,
                frozenset(map(datetime.fromisoformat, unpacked(entity, "created"))),
                frozenset(Term(*term) for term in unpacked(entity, "terms")),
                entity.get("is_over", False),
            )

    async def remove(self, request_id: str, resources: Iterable[str]) -> None:
        """Remove entries of a request: all that it began with these resources is done."""
        keys_of_entries = (_key(request_id, resource) for resource in resources)
        await in_parallel(self._table.delete_entity(key["PartitionKey"], key["RowKey"]) for key in keys_of_entries)


def _key(request_id: str, resource: str) -> dict[str, str]:
    return {"PartitionKey": keys.journal_shard(request_id), "RowKey": keys.journal_row(request_id, resource)}

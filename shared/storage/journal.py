"""The requests that change the archive: where maintenance looks for what a dead process left behind.

An entry for which nothing is left to be done is `done`: it stays until the changes of its study, to which it leads,
are in the change feed. One that has committed something and goes on is `changed`. `done` is never taken back, `changed`
only by `done`, and an entry is inserted once: a write that storage carries out late brings none back to life.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, cast

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.archive.terms import Term
from shared.dicom.identifiers import ResourceIdentifiers, StudyKey
from shared.storage import keys
from shared.storage.properties import packed, unpacked
from shared.storage.removal import remove_rows

_MANY_TERMS: Final = 1000  # which take 20 ms


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One resource that a request is changing, by its path below the service's URL: a study, or what a delete removes.

    An `index` only names terms of single instances, beside the entry of whoever writes or removes their postings.

    Every blob that a store writes has a blob version that begins with `request_id`, so its studies are enough to find
    its blobs; a restore brings old blob versions back. `terms` are those whose postings may be left behind in the
    index, `created` the times when the study they name was first stored, or was to be; the terms of an instance's UID
    follow from the blobs that are left. `is_over`: the request has ended and left the rest to maintenance. `generation`
    is that of the extended query tags by which the request indexes, or an earlier one.
    """

    request_id: str
    transaction: Literal["store", "delete", "restore", "announce", "index"]
    started: datetime
    resource: str
    created: frozenset[datetime] = frozenset()
    terms: frozenset[Term] = frozenset()
    is_over: bool = False
    generation: int = 0

    def indexes_before(self, generation: int) -> bool:
        """Whether the request may write values of extended query tags by an earlier generation of them than this."""
        return self.generation < generation and (self.transaction in ("store", "restore") or self.generation > 0)

    def may_be_alive(self, last_alive: datetime) -> bool:
        """Whether the request may still be at work, given that none that began before `last_alive` is."""
        return not self.is_over and self.started >= last_alive


@dataclass(frozen=True, slots=True)
class ReadyEntry:
    """A request whose changes are to be drained: one that is done, or else has marked that it has changed something.

    `written` is when storage last wrote the entry: of one that is done, when it was marked so.
    """

    request_id: str
    resource: str
    is_done: bool
    written: datetime


class Journal:
    """The table of requests; a request has an entry for each resource."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def insert(self, entry: JournalEntry, *, is_changed: bool = False) -> None:
        """Write an entry that is new, perhaps `changed` from its beginning. Returns once it is durable."""
        entity = await _made(entry)
        with suppress(ResourceExistsError):  # the answer to a first attempt was lost
            await self._table.create_entity({**entity, "changed": is_changed, "done": False})

    async def update(self, entry: JournalEntry) -> None:
        """Write what has changed of an entry; its marks stay. Raises ResourceNotFoundError where it has gone."""
        await self._table.update_entity(await _made(entry), mode=UpdateMode.MERGE)

    async def mark_changed(self, entry: JournalEntry) -> None:
        """Note that the request has committed something, and goes on."""
        await self._mark(entry, {"changed": True})

    async def mark_over(self, entry: JournalEntry) -> None:
        """Note that the request has ended and left the rest to maintenance, unless the entry has gone since."""
        with suppress(ResourceNotFoundError):
            await self._mark(entry, {"is_over": True})

    async def mark_done(self, entry: JournalEntry) -> None:
        """Note that nothing is left to be done for this entry, unless it has gone because it was noted before.

        What it says goes, patients' values with it: it only leads to its study from now on.
        """
        with suppress(ResourceNotFoundError):
            await self._mark(entry, {"done": True}, UpdateMode.REPLACE)

    async def read(self) -> AsyncIterator[JournalEntry]:
        """The entries that are not done: of requests in flight, and what dead processes have left behind."""
        async for entity in self._table.query_entities("done eq false"):
            request_id, resource = keys.entry_of_journal_row(entity["RowKey"])
            yield JournalEntry(
                request_id,
                entity["transaction"],
                entity["started"],
                resource,
                frozenset(map(datetime.fromisoformat, unpacked(entity, "created"))),
                frozenset(Term(*term) for term in unpacked(entity, "terms")),
                entity.get("is_over", False),
                entity.get("generation", 0),
            )

    async def read_resources(self) -> AsyncIterator[str]:
        """The resource of every entry, done or not, 1,000 an operation."""
        async for entity in self._table.list_entities(select=["RowKey"]):
            yield keys.entry_of_journal_row(entity["RowKey"])[1]

    async def read_ready(self) -> AsyncIterator[ReadyEntry]:
        """The entries that are done or changed, 1,000 an operation."""
        async for entity in self._table.query_entities(
            "done eq true or changed eq true", select=["PartitionKey", "RowKey", "Timestamp", "done"]
        ):
            request_id, resource = keys.entry_of_journal_row(entity["RowKey"])
            written = cast("datetime", entity.metadata["timestamp"])  # it is selected
            yield ReadyEntry(request_id, resource, entity["done"], written)

    async def remove(self, entries: Iterable[ReadyEntry]) -> None:
        """Remove entries that are done, wherever they still are."""
        keys_of_entries = (_key(entry.request_id, entry.resource) for entry in entries)
        await remove_rows(self._table, ((key["PartitionKey"], key["RowKey"]) for key in keys_of_entries))

    async def give_marks(self) -> None:
        """Give the marks to entries of releases that had none, which nothing else reads; looks through all entries."""
        async for entity in self._table.list_entities(select=["PartitionKey", "RowKey", "done"]):
            if entity.get("done") is None:
                key = {"PartitionKey": entity["PartitionKey"], "RowKey": entity["RowKey"]}
                with suppress(ResourceNotFoundError):
                    await self._table.update_entity({**key, "changed": False, "done": False}, mode=UpdateMode.MERGE)

    async def _mark(self, entry: JournalEntry, marks: Mapping[str, bool], mode: UpdateMode = UpdateMode.MERGE) -> None:
        await self._table.update_entity({**_key(entry.request_id, entry.resource), **marks}, mode=mode)


def study_of(entry: JournalEntry | ReadyEntry) -> StudyKey:
    """The study that a request changes."""
    return ResourceIdentifiers.of_path(entry.resource).study


async def _made(entry: JournalEntry) -> dict[str, Any]:
    """The entry as a row; where it names many terms, without keeping others waiting."""
    return await asyncio.to_thread(_entity, entry) if len(entry.terms) > _MANY_TERMS else _entity(entry)


def _entity(entry: JournalEntry) -> dict[str, Any]:
    return {
        **_key(entry.request_id, entry.resource),
        "transaction": entry.transaction,
        "started": entry.started,
        "is_over": entry.is_over,
        **packed("created", sorted(time.isoformat() for time in entry.created)),
        **({"generation": entry.generation} if entry.generation else {}),
        **packed("terms", [term.members for term in sorted(entry.terms)]),
    }


def _key(request_id: str, resource: str) -> dict[str, str]:
    return {"PartitionKey": keys.journal_shard(request_id), "RowKey": keys.journal_row(request_id, resource)}

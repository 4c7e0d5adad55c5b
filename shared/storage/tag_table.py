"""The extended query tags: a row for the set of them, and a row for each instance that a tag could not index.

The set is changed under its row's ETag. A process that stores may go by what it has read up to TAG_CACHE_SECONDS
before; whoever works on all instances for a new generation begins later than that.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from math import ceil
from time import monotonic
from typing import Any, Final

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.archive.extended_tags import NO_TAGS, ExtendedTag, QueryStatus, RemovedTag, TagSet, TagStatus
from shared.dicom.attributes import Level
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.errors import Unavailable
from shared.storage import keys
from shared.storage.conditions import MOVED, under
from shared.storage.parallel import in_parallel
from shared.storage.properties import PAGE_ROWS, packed, unpacked
from shared.storage.removal import remove_rows

TAG_CACHE_SECONDS: Final = 10.0
"""For how long a process that stores goes by a set that it has read: so one read in this time, whatever it stores."""

UNSEEN_SECONDS: Final = ceil(TAG_CACHE_SECONDS) + 1
"""How much later than a change of the set an operation begins: no process goes by the set before any more."""

_SET: Final = {"PartitionKey": "tags", "RowKey": "set"}
_BATCH_ROWS: Final = 100
_NO_TABLE: Final = "The archive has no table for tags: whoever runs the service has to provision it again."


class TagsChanged(Exception):
    """Another has changed the set since it was read: read it again."""


@dataclass(frozen=True, slots=True)
class StoredTags:
    """The set as it was read; `etag` is None where there is no row yet."""

    tags: TagSet
    etag: str | None


@dataclass(frozen=True, slots=True)
class TagError:
    """Why a tag does not index an instance, in a sentence without values, and when that was found."""

    instance: InstanceIdentifiers
    created: datetime
    sentence: str


class Tags:
    """The table of extended query tags."""

    def __init__(self, table: TableClient) -> None:
        self._table = table
        self._known = NO_TAGS
        self._known_since = float("-inf")
        self._reading = asyncio.Lock()

    async def read(self) -> StoredTags:
        """The set as it stands. 1 storage operation. An archive without the table has none."""
        begun, found = monotonic(), StoredTags(NO_TAGS, None)
        with suppress(ResourceNotFoundError):  # a query, since mostly there is no row, and an error costs more
            async for entity in self._table.query_entities("PartitionKey eq @PartitionKey", parameters=_SET):
                found = StoredTags(_set_of(unpacked(entity, "set")), str(entity.metadata["etag"]))
        self._known, self._known_since = found.tags, begun
        return found

    async def recent(self) -> TagSet:
        """The set as it stood at most TAG_CACHE_SECONDS ago. Mostly no storage operation, for all who ask at once 1."""
        async with self._reading:
            is_recent = monotonic() - self._known_since <= TAG_CACHE_SECONDS
            return self._known if is_recent else (await self.read()).tags

    async def replace(self, before: StoredTags, after: TagSet) -> StoredTags:
        """Put another set in the place of the one that was read, and return it.

        Raises TagsChanged where that has changed since, Unavailable where there is no table.
        """
        entity = {**_SET, **packed("set", asdict(after))}
        try:
            if before.etag is None:
                await self._table.create_entity(entity)
            else:
                await self._table.update_entity(entity, mode=UpdateMode.REPLACE, **under(before.etag))
        except ResourceNotFoundError:
            if before.etag is None:
                raise Unavailable(_NO_TABLE) from None
            raise TagsChanged from None
        except HttpResponseError as error:
            if error.status_code in MOVED:
                raise TagsChanged from error
            raise
        return await self.read()

    async def change(self, changed: Callable[[TagSet], TagSet]) -> TagSet:
        """Change the set as it stands; return it as it is then. `changed` may be called again.

        1 storage operation where it returns the same set, else 3, and more where others change it. Raises what
        `changed` raises, and Unavailable where there is no table.
        """
        while True:
            before = await self.read()
            after = changed(before.tags)
            if after == before.tags:
                return after
            try:
                await self.replace(before, after)
            except TagsChanged:
                continue
            return after

    async def add_errors(self, number: int, errors: Iterable[TagError]) -> None:
        """Note errors of the tag of a number: one for each instance, the last one."""
        entities = [_error_entity(number, error) for error in errors]

        async def write(some: Sequence[Mapping[str, Any]]) -> None:
            options = {"mode": UpdateMode.REPLACE}
            await self._table.submit_transaction([("upsert", entity, options) for entity in some])

        await in_parallel(write(entities[start:][:_BATCH_ROWS]) for start in range(0, len(entities), _BATCH_ROWS))

    async def read_errors(self, number: int) -> AsyncIterator[TagError]:
        """The errors of the tag of a number, in the order of the instances' paths, 1,000 an operation."""
        async for entity in self._error_rows(number):
            instance = ResourceIdentifiers.of_path(keys.unescape(entity["RowKey"])).instance
            if instance is not None:
                yield TagError(instance, entity["created"], entity["sentence"])

    async def remove_errors(self, number: int) -> None:
        """Forget the errors of the tag of a number."""
        rows = [(row["PartitionKey"], row["RowKey"]) async for row in self._error_rows(number)]
        await remove_rows(self._table, rows)

    def _error_rows(self, number: int) -> AsyncIterator[Mapping[str, Any]]:
        rows: AsyncIterator[Mapping[str, Any]] = self._table.query_entities(
            "PartitionKey eq @partition", parameters={"partition": _errors_of(number)}, results_per_page=PAGE_ROWS
        )
        return rows


def _errors_of(number: int) -> str:
    return f"errors:{number}"


def _error_entity(number: int, error: TagError) -> dict[str, Any]:
    row_key = keys.escape(error.instance.path)
    return {
        "PartitionKey": _errors_of(number),
        "RowKey": row_key,
        "created": error.created,
        "sentence": error.sentence,
    }


def _set_of(found: Mapping[str, Any]) -> TagSet:
    tags = tuple(_tag_of(one) for one in found["tags"])
    return TagSet(found["generation"], found["next_number"], tags, tuple(RemovedTag(**one) for one in found["removed"]))


def _tag_of(found: Mapping[str, Any]) -> ExtendedTag:
    return ExtendedTag(
        found["number"],
        tuple(found["path"]),
        found["vr"],
        found["private_creator"],
        Level(found["level"]),
        TagStatus(found["status"]),
        QueryStatus(found["query_status"]),
        found["operation_id"],
        found["error_count"],
    )

"""The index: posting lists of studies by searchable attribute and value.

A posting only proposes a study; whoever reads it matches the study's own rows. So a posting too many costs a read and
one too few would hide a study: postings are written before the catalog says that the study has the term, and removed
only after it no longer does, and then only if nobody has written them anew in between.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.records import EVERY_STUDY, Term
from shared.storage import keys
from shared.storage.parallel import in_parallel


@dataclass(frozen=True, slots=True)
class Posting:
    """A study proposed by the index; `row_key` sorts newest stored study first.

    That of a single instance says in which series it is.
    """

    row_key: str
    study_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class PostingMark:
    """A posting as it stood at some time, for `remove_marked`."""

    term: Term
    etag: str


class Terms:
    """The table of postings."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def add(self, study_instance_uid: str, created: datetime, terms: Iterable[Term]) -> None:
        """Write a study's postings."""

        async def write(term: Term) -> None:
            partition_key, row_key = _key(study_instance_uid, created, term)
            entity = {"PartitionKey": partition_key, "RowKey": row_key}
            await self._table.upsert_entity(entity, mode=UpdateMode.REPLACE)

        await in_parallel(map(write, terms))

    async def read(self, terms: Iterable[Term]) -> AsyncIterator[Posting]:
        """The postings of several terms of one attribute, each study once, newest first."""
        streams = [self._partition(keys.term(term)) for term in terms]
        if len(streams) == 1:
            async for posting in streams[0]:
                yield posting
            return
        found: dict[str, Posting] = {}
        for stream in streams:
            async for posting in stream:
                found[posting.row_key] = posting
        for posting in sorted(found.values(), key=lambda posting: posting.row_key):
            yield posting

    async def read_range(self, keyword: str, first: str, last: str) -> AsyncIterator[Posting]:
        """The postings of all values of an attribute from `first` to `last`, either may be empty, newest first."""
        query = "PartitionKey ge @first and PartitionKey le @last"
        # "~" follows every character of a date.
        parameters = {"first": keys.term(Term(keyword, first)), "last": keys.term(Term(keyword, last or "~"))}
        found = [_posting(entity) async for entity in self._query(query, parameters)]
        seen: set[str] = set()
        for posting in sorted(found, key=lambda posting: posting.row_key):
            if posting.row_key not in seen:
                seen.add(posting.row_key)
                yield posting

    async def read_all(self) -> AsyncIterator[Posting]:
        """The postings of every study, newest first."""
        async for posting in self._partition(keys.term(EVERY_STUDY)):
            yield posting

    async def read_every_term(self) -> AsyncIterator[tuple[Term, Posting]]:
        """Every posting there is with its term, whose value is cut if it is long; 1,000 an operation."""
        async for entity in self._table.list_entities(select=["PartitionKey", "RowKey"]):
            posting = _posting(entity)
            yield Term(*keys.term_of(entity["PartitionKey"]), posting.series_instance_uid), posting

    async def existing(self, study_instance_uid: str, created: datetime, terms: Iterable[Term]) -> frozenset[Term]:
        """Those of `terms` that the study has a posting of."""

        async def look(term: Term) -> Term | None:
            try:
                await self._table.get_entity(*_key(study_instance_uid, created, term), select=["RowKey"])
            except ResourceNotFoundError:
                return None
            return term

        return frozenset(term for term in await in_parallel(map(look, terms)) if term is not None)

    async def mark(self, study_instance_uid: str, created: datetime, terms: Iterable[Term]) -> list[PostingMark]:
        """Note how the study's postings of `terms` stand now; those that do not exist are left out."""

        async def note(term: Term) -> PostingMark | None:
            try:
                entity = await self._table.get_entity(*_key(study_instance_uid, created, term), select=["PartitionKey"])
            except ResourceNotFoundError:
                return None
            return PostingMark(term, str(entity.metadata["etag"]))

        return [mark for mark in await in_parallel(note(term) for term in terms) if mark is not None]

    async def remove_marked(
        self, study_instance_uid: str, created: datetime, marks: Iterable[PostingMark]
    ) -> frozenset[Term]:
        """Remove postings that nobody has written since they were marked; the terms of those that were, and stay."""

        async def remove(mark: PostingMark) -> Term | None:
            try:
                await self._table.delete_entity(
                    *_key(study_instance_uid, created, mark.term),
                    etag=mark.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
            except ResourceModifiedError:
                return mark.term
            return None

        return frozenset(term for term in await in_parallel(map(remove, marks)) if term is not None)

    async def remove(self, study_instance_uid: str, created: datetime, terms: Iterable[Term]) -> None:
        """Remove the postings of a study that is gone: `created` makes them its own, so nobody writes them anew."""
        await in_parallel(self._table.delete_entity(*_key(study_instance_uid, created, term)) for term in terms)

    async def _partition(self, partition_key: str) -> AsyncIterator[Posting]:
        async for entity in self._query("PartitionKey eq @term", {"term": partition_key}):
            yield _posting(entity)

    def _query(self, query: str, parameters: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
        return self._table.query_entities(query, parameters=parameters, select=["RowKey"])


def _key(study_instance_uid: str, created: datetime, term: Term) -> tuple[str, str]:
    """Partition and row key of a posting."""
    return keys.term(term), keys.posting(created, study_instance_uid, term)


def _posting(entity: dict[str, Any]) -> Posting:
    row_key = entity["RowKey"]
    return Posting(row_key, *keys.uids_of_posting(row_key))

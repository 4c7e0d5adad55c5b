"""The index: lists of studies by searchable attribute and value.

A posting only proposes a study; whoever reads it matches the study's own rows. So a surplus posting costs a read, and a
missing one would hide a study: postings are written before the catalog says that the study has the term, and removed
only after it no longer does, and then only if nobody has written them again in between. All rows of a posting change in
one batch, so its first row stands for all of them.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, Self

from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.archive.terms import EVERY_STUDY, Span, Term, lists_of
from shared.dicom.identifiers import StudyKey
from shared.storage.conditions import under
from shared.storage.parallel import in_parallel
from shared.storage.posting_keys import (
    Posting,
    PostingKey,
    PostingRange,
    key_of,
    posting_of,
    ranges_of,
    rows_of,
    rows_of_list,
    rows_of_span,
    term_of,
)
from shared.storage.posting_lists import PostingList, PostingLists, query_postings
from shared.storage.properties import PAGE_ROWS

_BATCH_ROWS: Final = 100


@dataclass(frozen=True, slots=True)
class PostingMark:
    """A posting as it stood at some time, for `remove_marked`; `etag` None: however it stands."""

    term: Term
    etag: str | None = None


class Postings:
    """The table of postings."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def add(self, study_key: StudyKey, created: datetime, terms: Iterable[Term]) -> None:
        """Write a study's postings, those of a table partition in one batch or a few."""

        async def write(places: Sequence[_Place]) -> None:
            entities = [entity for place in places for entity in place.entities]
            options = {"mode": UpdateMode.REPLACE}
            if len(entities) == 1:
                await self._table.upsert_entity(entities[0], **options)
            else:
                await self._table.submit_transaction([("upsert", entity, options) for entity in entities])

        await in_parallel(map(write, _batches(created, study_key, map(PostingMark, terms))))

    def lists(
        self,
        partition: str,
        keyword: str,
        lists: Iterable[str],
        *,
        page_rows: int = PAGE_ROWS,
        found: Sequence[Posting] = (),
    ) -> PostingLists:
        """A data partition's postings in some lists of an attribute, and those that were `found`, newest first.

        Nothing is read yet; the first page of each list has `page_rows`.
        """
        places = (rows_of_list(partition, keyword, name) for name in lists)
        return PostingLists([PostingList(self._table, *place, page_rows) for place in places], found)

    async def read_term(self, partition: str, term: Term) -> AsyncIterator[Posting]:
        """A data partition's postings of one term, newest study first; of an instance's term, those of any series."""
        postings = self.lists(partition, term.keyword, lists_of(term)[:1])
        while (posting := await postings.first()) is not None:
            postings.take()
            yield posting

    async def read_spans(self, partition: str, keyword: str, spans: Sequence[Span], most: int) -> list[Posting] | None:
        """A data partition's postings of all values in the spans, newest study first; None if more than `most`."""
        found = []
        for span in spans:
            async for posting in self._rows(*rows_of_span(partition, keyword, span), most + 1):
                found.append(posting)
                if len(found) > most:
                    return None
        return sorted(found, key=lambda posting: posting.order)

    async def read_studies(self, partition: str, after: str = "") -> AsyncIterator[Posting]:
        """A data partition's studies, newest first, after the row key of one of these postings; 1,000 an operation."""
        partition_key, first, end = rows_of_list(partition, EVERY_STUDY.keyword, *lists_of(EVERY_STUDY))
        async for posting in self._rows(partition_key, f"{after}!" if after else first, end, PAGE_ROWS):
            yield posting

    async def read_every_term(
        self, after: PostingKey | None = None, up_to: PostingKey | None = None, *, tags: Iterable[str] = ()
    ) -> AsyncIterator[tuple[Term, Posting]]:
        """Every posting between two keys, with its term, whose value is cut if it is long; 1,000 an operation.

        In the order of their keys, of which `up_to` is included. Of extended query tags whose names are not in `tags`,
        storage also looks at the rows in lists of beginnings, which tell of nothing else.
        """
        for between in ranges_of(after, up_to, tags):
            query, parameters = _query(between)
            async for entity in self._table.query_entities(
                query, parameters=parameters, select=["PartitionKey", "RowKey"]
            ):
                posting = posting_of(entity["PartitionKey"], entity["RowKey"])
                term = term_of(posting)
                if term is not None:
                    yield term, posting

    async def existing(self, study_key: StudyKey, created: datetime, terms: Iterable[Term]) -> frozenset[Term]:
        """Those of `terms` for which the study has a posting."""

        async def look(term: Term) -> Term | None:
            try:
                await self._table.get_entity(*key_of(created, study_key, term), select=["RowKey"])
            except ResourceNotFoundError:
                return None
            return term

        return frozenset(term for term in await in_parallel(map(look, terms)) if term is not None)

    async def mark(self, study_key: StudyKey, created: datetime, terms: Iterable[Term]) -> list[PostingMark]:
        """Marks of the study's postings of `terms` as they stand now; those that do not exist are left out."""

        async def note(term: Term) -> PostingMark | None:
            try:
                key = key_of(created, study_key, term)
                entity = await self._table.get_entity(*key, select=["PartitionKey"])
            except ResourceNotFoundError:
                return None
            return PostingMark(term, str(entity.metadata["etag"]))

        return [mark for mark in await in_parallel(note(term) for term in terms) if mark is not None]

    async def remove_marked(
        self, study_key: StudyKey, created: datetime, marks: Iterable[PostingMark]
    ) -> frozenset[Term]:
        """Remove the postings that nobody has written since they were marked; return the terms of the others."""
        return frozenset().union(*await in_parallel(map(self._remove, _batches(created, study_key, marks))))

    async def remove(self, study_key: StudyKey, created: datetime, terms: Iterable[Term]) -> None:
        """Remove the postings of a study that is gone: nobody writes postings with its `created` again."""
        await self.remove_marked(study_key, created, map(PostingMark, terms))

    async def _remove(self, places: Sequence["_Place"]) -> frozenset[Term]:
        """Remove the existing postings of one table partition; return the terms of those changed since their mark.

        Where one of them makes the batch fail, each is removed separately.
        """
        operations = [operation for place in places for operation in place.removal()]
        try:
            if len(operations) == 1:
                ((_, entity, condition),) = operations
                await self._table.delete_entity(entity, **condition)
            else:
                await self._table.submit_transaction(operations)
        except (ResourceModifiedError, TableTransactionError) as error:
            if error.status_code not in (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.NOT_FOUND):
                raise
            if len(places) > 1:
                return frozenset().union(*await in_parallel(self._remove([place]) for place in places))
            if error.status_code == HTTPStatus.PRECONDITION_FAILED:
                return frozenset({places[0].mark.term})
        return frozenset()

    async def _rows(self, partition_key: str, first: str, end: str, page_rows: int) -> AsyncIterator[Posting]:
        async for entity in query_postings(self._table, partition_key, first, end, page_rows):
            yield posting_of(entity["PartitionKey"], entity["RowKey"])


@dataclass(frozen=True, slots=True)
class _Place:
    """A posting and its place: its rows, of which the first stands for all."""

    mark: PostingMark
    partition_key: str
    row_keys: Sequence[str]

    @classmethod
    def of(cls, created: datetime, study_key: StudyKey, mark: PostingMark) -> Self:
        return cls(mark, *rows_of(created, study_key, mark.term))

    @property
    def entities(self) -> list[dict[str, str]]:
        return [{"PartitionKey": self.partition_key, "RowKey": row_key} for row_key in self.row_keys]

    def removal(self) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
        etag = self.mark.etag
        condition = under(etag) if etag else {}
        for entity in self.entities:
            yield "delete", entity, condition
            condition = {}


def _query(between: PostingRange) -> tuple[str, dict[str, str]]:
    """The filter of a range's rows, and its parameters."""
    name = "PartitionKey" if between.partition_key is None else "RowKey"
    asked = {"partition": between.partition_key, "before": between.before, "up_to": between.up_to}
    parameters = {"after": between.after, **{key: value for key, value in asked.items() if value is not None}}
    conditions = {"partition": "PartitionKey eq @partition", "after": f"{name} gt @after"}
    conditions |= {"before": f"{name} lt @before", "up_to": f"{name} le @up_to"}
    return " and ".join(conditions[key] for key in conditions if key in parameters), parameters


def _batches(created: datetime, study_key: StudyKey, marks: Iterable[PostingMark]) -> Iterator[list[_Place]]:
    """Postings grouped by table partition, as many together as a batch has room for, each posting once.

    The places of an attribute are made when its turn comes: those of 96 instances' tags take the better part of a
    second.
    """
    by_keyword: dict[str, list[PostingMark]] = {}
    for mark in marks:
        by_keyword.setdefault(mark.term.keyword, []).append(mark)
    for some in by_keyword.values():
        partitions: dict[str, dict[str, _Place]] = {}
        for place in (_Place.of(created, study_key, mark) for mark in some):
            partitions.setdefault(place.partition_key, {})[place.row_keys[0]] = place
        for of_partition in partitions.values():
            yield from _full_batches(of_partition.values())


def _full_batches(places: Iterable[_Place]) -> Iterator[list[_Place]]:
    group: list[_Place] = []
    rows = 0
    for place in places:
        rows += len(place.row_keys)
        if rows > _BATCH_ROWS:
            yield group
            group, rows = [], len(place.row_keys)
        group.append(place)
    yield group

"""The truth about what is stored: a table partition for each study, changed only by batches under the study's lock.

The lock is the study row's ETag: every batch (an entity group transaction) replaces that row under the ETag it has read
(or creates it), so two batches that meet on one study cannot both succeed, and counts stay exact. A series row changes
only in such a batch.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from azure.core.async_paging import AsyncItemPaged
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.data.tables import TableTransactionError
from azure.data.tables.aio import TableClient

from shared.archive.instance import InstanceFacts, InstanceMetadata, InstanceWithFrames, NewInstance
from shared.archive.study import SeriesRecord, StudyRecord
from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, ResourceIdentifiers, StudyKey
from shared.storage import keys
from shared.storage.availability import is_unavailable, was_refused
from shared.storage.catalog_batches import (
    Operation,
    announced_with,
    announcement_operations,
    commit_operations,
    next_revision,
)
from shared.storage.catalog_rows import (
    FACTS,
    FACTS_AND_FRAMES,
    FACTS_AND_METADATA,
    METADATA,
    NOTHING_ANNOUNCED,
    OUTLINE,
    StudyRevision,
    Tombstone,
    instance_facts,
    instance_facts_and_metadata,
    instance_metadata,
    instance_row_key,
    instance_with_frames,
    is_tombstone,
    series_record,
    study_or_tombstone,
    study_record,
)
from shared.storage.properties import PAGE_ROWS


class StudyChanged(Exception):
    """Another batch has changed the study since it was read: read it again."""


class CommitRefused(StudyChanged):
    """Storage was overloaded or unreachable, and nothing has changed; `cause` is the SDK's error."""

    def __init__(self, cause: AzureError) -> None:
        super().__init__()
        self.cause = cause


class CommitUnanswered(StudyChanged):
    """Storage failed, and may have carried out the batch, or may yet; `cause` is the SDK's error."""

    def __init__(self, cause: AzureError) -> None:
        super().__init__()
        self.cause = cause


class InstanceExists(Exception):
    """At least one of the instances to be added is in the catalog already; nothing was changed."""


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """A row as it is stored, and its ETag."""

    entity: Mapping[str, Any]
    etag: str


@dataclass(frozen=True, slots=True)
class StudyRows:
    """What there is of a study: whether it `is_there`, and the revisions of changes that wait for the feed."""

    study: StudyKey
    is_there: bool
    changes: Sequence[int]


class Catalog:
    """The table of studies, series and instances."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def read_study(self, study_key: StudyKey) -> StudyRevision | None:
        """A study with all its series, in one query; None when there is no such study."""
        study, _ = await self.read_summary(study_key)
        return study

    async def read_before(self, study_key: StudyKey) -> StudyRevision | Tombstone | None:
        """What a commit goes on from: a study as `read_study` returns it, or what is left of one that has gone."""
        before, _ = await self._read_before(study_key)
        return before

    async def read_outline(self, study_key: StudyKey) -> StudyRecord | None:
        """A study with all its series as searches need it: without `posted`, which is longer than all the rest."""
        series: dict[str, SeriesRecord] = {}
        async for entity in self._rows(study_key, *keys.summary_rows(), OUTLINE):
            if entity["RowKey"] == keys.STUDY_ROW:
                return None if is_tombstone(entity) else study_record(study_key, entity, series, frozenset())
            record = series_record(entity)
            series[record.series_instance_uid] = record
        return None

    async def read_summary(self, study_key: StudyKey) -> tuple[StudyRevision | None, Mapping[str, SeriesRecord]]:
        """A study as `read_study` returns it, and the series that have a row, even where the study has none."""
        before, series = await self._read_before(study_key)
        return before if isinstance(before, StudyRevision) else None, series

    async def _read_before(
        self, study_key: StudyKey
    ) -> tuple[StudyRevision | Tombstone | None, Mapping[str, SeriesRecord]]:
        """A study's row and those of its series, as they stood at one moment: a page is, several pages may not be.

        Of several, the row that is the lock comes last, perhaps from after a batch that the first ones do not show yet.
        So they are read until it stays the same from one time to the next.
        """
        etag: str | None = ""
        while True:
            found, series, is_one_page = await self._read_summary_rows(study_key)
            before_etag, etag = etag, found.etag if found else None
            if is_one_page or etag == before_etag:
                return found, series

    async def _read_summary_rows(
        self, study_key: StudyKey
    ) -> tuple[StudyRevision | Tombstone | None, Mapping[str, SeriesRecord], bool]:
        """What `_read_before` returns, as storage sends it, and whether that is one page."""
        series: dict[str, SeriesRecord] = {}
        count = 0
        found: StudyRevision | Tombstone | None = None
        async for page in self._rows(study_key, *keys.summary_rows()).by_page():
            count += 1
            async for entity in page:
                if entity["RowKey"] == keys.STUDY_ROW:
                    found = study_or_tombstone(study_key, entity, entity.metadata["etag"], series)
                else:
                    record = series_record(entity)
                    series[record.series_instance_uid] = record
        return found, series, count == 1

    async def has_rows(self, study_key: StudyKey) -> bool:
        """Whether there is a row of any kind of the study, readable or not; changes and a tombstone are none."""
        first, end = keys.study_rows()
        async for entity in self._rows(study_key, first, end, ["RowKey", "gone"], page_rows=1):
            return not is_tombstone(entity)
        return False

    async def read_study_rows(self, after: StudyKey | None = None) -> AsyncIterator[StudyRows]:
        """What there is of every study that has a row of any kind, in key order; reads all rows, 1,000 an operation.

        With `after`, only of those that follow that one.
        """
        partition, is_there, changes = None, False, list[int]()
        async for entity in self._table.query_entities(
            "PartitionKey gt @after",
            parameters={"after": keys.study_partition(after) if after else ""},
            select=["PartitionKey", "RowKey", "gone"],
        ):
            if entity["PartitionKey"] != partition:
                if partition is not None:
                    yield StudyRows(keys.study_of_partition(partition), is_there, changes)
                partition, is_there, changes = entity["PartitionKey"], False, []
            if keys.is_change_row(entity["RowKey"]):
                changes.append(keys.revision_of_change_row(entity["RowKey"]))
            else:
                is_there = is_there or not is_tombstone(entity)
        if partition is not None:
            yield StudyRows(keys.study_of_partition(partition), is_there, changes)

    async def read_revisions(self) -> AsyncIterator[tuple[StudyKey, str]]:
        """Every study that has a row of its own, in key order, with its ETag, which every commit changes.

        Storage looks through all rows and sends these: 1,000 an operation.
        """
        async for entity in self._table.query_entities(
            "RowKey eq @row", parameters={"row": keys.STUDY_ROW}, select=["PartitionKey", "Timestamp", "gone"]
        ):
            if not is_tombstone(entity):
                yield keys.study_of_partition(entity["PartitionKey"]), str(entity.metadata["etag"])

    async def read_unannounced_page(self, after: str) -> tuple[list[StudyKey], str | None]:
        """A page of the studies whose row a release before the change feed wrote, in key order; one operation.

        Looks at up to 1,000 studies whose partition keys are greater than `after`; also returns what is `after` for the
        next page, None at the end.
        """
        pages: Any = self._table.query_entities(
            "RowKey eq @row and PartitionKey gt @after",
            parameters={"row": keys.STUDY_ROW, "after": after},
            select=["PartitionKey", "revision"],
            results_per_page=PAGE_ROWS,
        ).by_page()
        async for page in pages:
            rows = [entity async for entity in page]
            unannounced = [row for row in rows if row.get("revision") is None]
            if rows:  # storage may send a page without rows, where it has looked for long
                is_last = pages.continuation_token is None
                studies = [keys.study_of_partition(row["PartitionKey"]) for row in unannounced]
                return studies, None if is_last else rows[-1]["PartitionKey"]
        return [], None

    async def read_rows(self, study_key: StudyKey) -> AsyncIterator[CatalogRow]:
        """All rows of a study as they are, in key order, its own last, without its changes; 1,000 an operation."""
        async for entity in self._rows(study_key, *keys.study_rows()):
            if not is_tombstone(entity):
                yield CatalogRow(entity, entity.metadata["etag"])

    async def read_instance(self, identifiers: InstanceIdentifiers) -> InstanceFacts | None:
        """An instance; None when there is no such instance."""
        entity = await self._instance(identifiers, FACTS)
        return instance_facts(identifiers.study, entity) if entity is not None else None

    async def read_instance_with_frames(self, identifiers: InstanceIdentifiers) -> InstanceWithFrames | None:
        """An instance with its frame table; None when there is no such instance."""
        entity = await self._instance(identifiers, FACTS_AND_FRAMES)
        return instance_with_frames(identifiers.study, entity) if entity is not None else None

    async def read_instance_metadata(self, identifiers: InstanceIdentifiers) -> InstanceMetadata | None:
        """The metadata of an instance; None when there is no such instance."""
        entity = await self._instance(identifiers, METADATA)
        return instance_metadata(identifiers.study, entity) if entity is not None else None

    async def read_etag(self, resource: ResourceIdentifiers) -> str | None:
        """The ETag of a study's or series' row, new with every batch that changes it; None when there is no row."""
        series = resource.series_instance_uid
        row_key = keys.STUDY_ROW if series is None else keys.series_row(series)
        try:
            partition_key = keys.study_partition(resource.study)
            entity = await self._table.get_entity(partition_key, row_key, select=["RowKey", "gone"])
        except ResourceNotFoundError:
            return None
        return None if is_tombstone(entity) else str(entity.metadata["etag"])

    async def read_instances(
        self, study_key: StudyKey, series_instance_uid: str | None = None
    ) -> AsyncIterator[InstanceFacts]:
        """The instances of a study or of one series, by series and instance UID, 1,000 an operation."""
        async for entity in self._instances(study_key, series_instance_uid, FACTS):
            yield instance_facts(study_key, entity)

    async def read_instances_after(self, study_key: StudyKey, row_key: str) -> AsyncGenerator[InstanceFacts, None]:
        """The instances of a study whose row keys are greater than an instance's, "" for all, 1,000 an operation."""
        first, end = keys.instance_rows()
        async for entity in self._rows(study_key, keys.first_row_after(row_key) if row_key else first, end, FACTS):
            yield instance_facts(study_key, entity)

    async def read_instances_with_frames(
        self, study_key: StudyKey, series_instance_uid: str | None = None, *, page_rows: int = PAGE_ROWS
    ) -> AsyncIterator[InstanceWithFrames]:
        """The same instances with their frame tables, `page_rows` an operation."""
        async for entity in self._instances(study_key, series_instance_uid, FACTS_AND_FRAMES, page_rows):
            yield instance_with_frames(study_key, entity)

    async def read_metadata(
        self,
        study_key: StudyKey,
        series_instance_uid: str | None = None,
        *,
        after: str = "",
        page_rows: int = PAGE_ROWS,
    ) -> AsyncIterator[InstanceMetadata]:
        """The metadata of the same instances, without the facts, which take half the time.

        Only of those whose row keys are greater than `after`, the row key of an instance or "".
        """
        first, end = keys.instance_rows(series_instance_uid)
        async for entity in self._rows(study_key, max(first, keys.first_row_after(after)), end, METADATA, page_rows):
            yield instance_metadata(study_key, entity)

    async def read_instances_and_metadata(
        self, study_key: StudyKey, after: str = "", *, page_rows: int = PAGE_ROWS
    ) -> AsyncGenerator[tuple[InstanceFacts, InstanceMetadata], None]:
        """The instances of a study after a row key, "" for all, each with its metadata, `page_rows` an operation."""
        first, end = keys.instance_rows()
        first = keys.first_row_after(after) if after else first
        async for entity in self._rows(study_key, first, end, FACTS_AND_METADATA, page_rows):
            yield instance_facts_and_metadata(study_key, entity)

    async def commit(
        self,
        before: StudyRevision | Tombstone | None,
        after: StudyRecord | None,
        *,
        added: Sequence[NewInstance] = (),
        removed: Sequence[InstanceFacts] = (),
        tagged: Sequence[InstanceFacts] = (),
        first_revision: int = 1,
    ) -> StudyRevision | None:
        """Take a study from one revision to the next, all or nothing, in one batch, with what the feed has to know.

        `tagged` are instances that are there and have other values of extended query tags from now on, which the feed
        does not tell.

        `before` None: the study is new, and begins at `first_revision`; `after` None: its last instances go. Returns
        the new revision, None if it goes. Raises StudyChanged or InstanceExists; then nothing has changed, except
        perhaps after CommitUnanswered. Raises ValueError where `before` is unannounced and instances come or go.
        """
        revision = next_revision(before, first_revision)
        results = await self._submit(commit_operations(before, after, revision, added, removed, tagged))
        announced = before.announced if isinstance(before, StudyRevision) else NOTHING_ANNOUNCED
        return StudyRevision(after, results[0]["etag"], revision, announced) if after else None

    async def announce(self, before: StudyRevision, instances: Sequence[InstanceFacts], *, is_last: bool) -> None:
        """Let changes say that an unannounced study holds the instances that come next; `is_last`: these are all.

        In one batch, which also notes how far this leads. Raises StudyChanged as `commit` does.
        """
        announced = announced_with(before, instances)
        # Of 9,603 instances: 0.1 seconds.
        operations = await asyncio.to_thread(announcement_operations, before, instances, announced, is_last=is_last)
        await self._submit(operations)

    async def _submit(self, operations: Sequence[Operation]) -> Sequence[Mapping[str, Any]]:
        try:
            # Without the SDK's retries: a batch that was carried out, and undone by another, must not be sent again.
            results: Sequence[Mapping[str, Any]] = await self._table.submit_transaction(operations, retry_total=0)
        except TableTransactionError as error:
            if error.status_code == HTTPStatus.CONFLICT and _is_of_instance(operations[error.index]):
                raise InstanceExists from error
            if error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
                raise StudyChanged from error
            raise _unavailable(error) from error
        except AzureError as error:
            raise _unavailable(error) from error
        return results

    async def check(self) -> None:
        """Ask for a row that does not exist; raises the SDK's error when storage does not answer."""
        async for _ in self._rows(StudyKey(DEFAULT_PARTITION, ""), "", ""):
            return

    async def _instance(self, identifiers: InstanceIdentifiers, select: list[str]) -> Mapping[str, Any] | None:
        key = instance_row_key(identifiers)
        try:
            entity: Mapping[str, Any] = await self._table.get_entity(key["PartitionKey"], key["RowKey"], select=select)
        except ResourceNotFoundError:
            return None
        return entity

    def _instances(
        self, study_key: StudyKey, series_instance_uid: str | None, select: list[str], page_rows: int = PAGE_ROWS
    ) -> AsyncIterator[Any]:
        return self._rows(study_key, *keys.instance_rows(series_instance_uid), select, page_rows)

    def _rows(
        self, study_key: StudyKey, first: str, end: str, select: list[str] | None = None, page_rows: int = PAGE_ROWS
    ) -> AsyncItemPaged[Any]:
        return self._table.query_entities(
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @end",
            parameters={"partition": keys.study_partition(study_key), "first": first, "end": end},
            select=select,
            results_per_page=page_rows,
        )


def _unavailable(error: AzureError) -> Exception:
    """The exception that says what an error of a batch means."""
    if was_refused(error):
        return CommitRefused(error)
    return CommitUnanswered(error) if is_unavailable(error) else error


def _is_of_instance(operation: Operation) -> bool:
    return keys.is_instance_row(operation[1]["RowKey"])

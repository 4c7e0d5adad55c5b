"""The truth about what is stored: a table partition for each study, changed only by batches under the study's lock.

The lock is the study row's ETag: every batch (an entity group transaction) replaces that row under the ETag it has read
(or creates it), so two batches that meet on one study cannot both succeed, and counts stay exact. A series row changes
only in such a batch.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.archive.instance import InstanceFacts, InstanceMetadata, InstanceWithFrames, NewInstance
from shared.archive.study import SeriesRecord, StudyRecord
from shared.archive.terms import Term
from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, ResourceIdentifiers, StudyKey
from shared.storage import keys
from shared.storage.availability import is_unavailable, was_refused
from shared.storage.catalog_rows import (
    FACTS,
    FACTS_AND_FRAMES,
    FACTS_AND_METADATA,
    METADATA,
    OUTLINE,
    instance_entity,
    instance_facts,
    instance_facts_and_metadata,
    instance_metadata,
    instance_row_key,
    instance_with_frames,
    series_entity,
    series_record,
    series_row_key,
    study_entity,
    study_record,
    study_row_key,
)
from shared.storage.properties import PAGE_ROWS, unpacked

_BATCH_ROWS: Final = 100
_BATCH_VALUE_BYTES: Final = 2 * 1024**2  # a batch holds 4 MiB, with values in base64


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
class StudyRevision:
    """A study's record as it stood under the lock `etag`."""

    record: StudyRecord
    etag: str


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """A row as it is stored, and its ETag."""

    entity: Mapping[str, Any]
    etag: str


def fits_batch(instances: Sequence[NewInstance]) -> bool:
    """Whether one batch has room to enter all of these instances of one study."""
    rows = _rows_of([instance.facts.identifiers for instance in instances])
    return rows <= _BATCH_ROWS and value_bytes(instances) <= _BATCH_VALUE_BYTES


def fills_batch(instances: Sequence[NewInstance]) -> bool:
    """Whether one batch might have no room to enter another instance besides these, all of one study."""
    identifiers = [instance.facts.identifiers for instance in instances]
    return fills_removal_batch(identifiers) or value_bytes(instances) > _BATCH_VALUE_BYTES


def fills_removal_batch(instances: Sequence[InstanceIdentifiers]) -> bool:
    """Whether one batch might have no room to remove another instance besides these, all of one study."""
    # The next instance may bring its series' row.
    return _rows_of(instances) + 2 > _BATCH_ROWS


def value_bytes(instances: Iterable[NewInstance]) -> int:
    """Size of what the rows of these instances hold besides the facts."""
    return sum(len(instance.metadata) + len(instance.frames) for instance in instances)


def _rows_of(instances: Sequence[InstanceIdentifiers]) -> int:
    """How many rows change with these instances of one study, including the study's and their series' rows."""
    return 1 + len({identifiers.series_instance_uid for identifiers in instances}) + len(instances)


class Catalog:
    """The table of studies, series and instances."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def read_study(self, study_key: StudyKey) -> StudyRevision | None:
        """A study with all its series, in one query; None when there is no such study."""
        study, _ = await self.read_summary(study_key)
        return study

    async def read_outline(self, study_key: StudyKey) -> StudyRecord | None:
        """A study with all its series as searches need it: without `posted`, which is longer than all the rest."""
        series: dict[str, SeriesRecord] = {}
        async for entity in self._rows(study_key, *keys.summary_rows(), OUTLINE):
            if entity["RowKey"] == keys.STUDY_ROW:
                return study_record(study_key, entity, series, frozenset())
            record = series_record(entity)
            series[record.series_instance_uid] = record
        return None

    async def read_summary(self, study_key: StudyKey) -> tuple[StudyRevision | None, Mapping[str, SeriesRecord]]:
        """A study as `read_study` returns it, and the series that have a row, even where the study has none."""
        first, end = keys.summary_rows()
        series: dict[str, SeriesRecord] = {}
        async for entity in self._rows(study_key, first, end):
            if entity["RowKey"] == keys.STUDY_ROW:
                posted = frozenset(Term(*term) for term in unpacked(entity, "posted"))
                record = study_record(study_key, entity, series, posted)
                return StudyRevision(record, entity.metadata["etag"]), series
            one = series_record(entity)
            series[one.series_instance_uid] = one
        return None, series

    async def has_rows(self, study_key: StudyKey) -> bool:
        """Whether there is a row of any kind of the study, readable or not."""
        query, parameters = "PartitionKey eq @partition", {"partition": keys.study_partition(study_key)}
        async for _ in self._table.query_entities(query, parameters=parameters, select=["RowKey"], results_per_page=1):
            return True
        return False

    async def read_study_keys(self) -> AsyncIterator[StudyKey]:
        """Every study that has a row of any kind, once each, in key order; reads all rows, 1,000 an operation."""
        last = None
        async for entity in self._table.list_entities(select=["PartitionKey"]):
            if entity["PartitionKey"] != last:
                last = entity["PartitionKey"]
                yield keys.study_of_partition(last)

    async def read_revisions(self) -> AsyncIterator[tuple[StudyKey, str]]:
        """Every study that has a study row, in key order, with its ETag, which every commit changes.

        Storage looks through all rows and sends these: 1,000 an operation.
        """
        async for entity in self._table.query_entities(
            "RowKey eq @row", parameters={"row": keys.STUDY_ROW}, select=["PartitionKey", "Timestamp"]
        ):
            yield keys.study_of_partition(entity["PartitionKey"]), str(entity.metadata["etag"])

    async def read_unannounced_page(self, after: str) -> tuple[list[StudyKey], str | None]:
        """A page of the studies whose row a release before the change feed wrote, in key order; one operation.

        Looks at up to 1,000 studies whose partition keys are greater than `after`; also returns what is `after` for the
        next page, None at the end.
        """
        pages = self._table.query_entities(
            "RowKey eq @row and PartitionKey gt @after",
            parameters={"row": keys.STUDY_ROW, "after": after},
            select=["PartitionKey", "revision", "gone"],
            results_per_page=PAGE_ROWS,
        ).by_page()
        async for page in pages:
            rows = [entity async for entity in page]
            unannounced = [row for row in rows if row.get("revision") is None and not row.get("gone")]
            if rows:  # storage may send a page without rows, where it has looked for long
                is_last = pages.continuation_token is None
                studies = [keys.study_of_partition(row["PartitionKey"]) for row in unannounced]
                return studies, None if is_last else rows[-1]["PartitionKey"]
        return [], None

    async def read_rows(self, study_key: StudyKey) -> AsyncIterator[CatalogRow]:
        """All rows of a study as they are, in key order, the study's own last; 1,000 an operation."""
        async for entity in self._rows(study_key, *keys.every_row()):
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
            entity = await self._table.get_entity(partition_key, row_key, select=["RowKey"])
        except ResourceNotFoundError:
            return None
        return str(entity.metadata["etag"])

    async def read_instances(
        self, study_key: StudyKey, series_instance_uid: str | None = None
    ) -> AsyncIterator[InstanceFacts]:
        """The instances of a study or of one series, by series and instance UID, 1,000 an operation."""
        async for entity in self._instances(study_key, series_instance_uid, FACTS):
            yield instance_facts(study_key, entity)

    async def read_instances_with_frames(
        self, study_key: StudyKey, series_instance_uid: str | None = None, *, page_rows: int = PAGE_ROWS
    ) -> AsyncIterator[InstanceWithFrames]:
        """The same instances with their frame tables, `page_rows` an operation."""
        async for entity in self._instances(study_key, series_instance_uid, FACTS_AND_FRAMES, page_rows):
            yield instance_with_frames(study_key, entity)

    async def read_metadata(
        self, study_key: StudyKey, series_instance_uid: str | None = None, *, page_rows: int = PAGE_ROWS
    ) -> AsyncIterator[InstanceMetadata]:
        """The metadata of the same instances, without the facts, which take half the time."""
        async for entity in self._instances(study_key, series_instance_uid, METADATA, page_rows):
            yield instance_metadata(study_key, entity)

    async def read_instances_and_metadata(
        self, study_key: StudyKey
    ) -> AsyncIterator[tuple[InstanceFacts, InstanceMetadata]]:
        """The instances of a study, each with its metadata, 1,000 an operation."""
        async for entity in self._instances(study_key, None, FACTS_AND_METADATA):
            yield instance_facts_and_metadata(study_key, entity)

    async def commit(
        self,
        before: StudyRevision | None,
        after: StudyRecord | None,
        *,
        added: Iterable[NewInstance] = (),
        removed: Iterable[InstanceFacts] = (),
    ) -> StudyRevision | None:
        """Take a study from one revision to the next, all or nothing, in one batch.

        `before` None: the study is new; `after` None: its last instances go. Returns the new revision, None if it goes.
        Raises StudyChanged or InstanceExists; then nothing has changed, except perhaps after CommitUnanswered.
        """
        study_key = (after or _record_of(before)).key
        operations = [
            _study_operation(before, after),
            *_series_operations(study_key, before.record.series if before else {}, after.series if after else {}),
            *(("create", instance_entity(instance)) for instance in added),
            *(("delete", instance_row_key(instance.identifiers)) for instance in removed),
        ]
        try:
            # Without the SDK's retries: a batch that was carried out, and undone by another, must not be sent again.
            results = await self._table.submit_transaction(operations, retry_total=0)
        except TableTransactionError as error:
            if error.status_code == HTTPStatus.CONFLICT and error.index > 0:
                raise InstanceExists from error
            if error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
                raise StudyChanged from error
            raise _unavailable(error) from error
        except AzureError as error:
            raise _unavailable(error) from error
        return StudyRevision(after, results[0]["etag"]) if after else None

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
    ) -> AsyncIterator[Any]:
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


def _record_of(revision: StudyRevision | None) -> StudyRecord:
    if revision is None:
        raise ValueError("a commit needs the study before or after it")
    return revision.record


def _study_operation(before: StudyRevision | None, after: StudyRecord | None) -> tuple[Any, ...]:
    if before is None:
        return "create", study_entity(_record_of(StudyRevision(after, "") if after else None))
    lock = {"etag": before.etag, "match_condition": MatchConditions.IfNotModified}
    if after is None:
        return "delete", study_row_key(before.record.key), lock
    return "update", study_entity(after), {"mode": UpdateMode.REPLACE, **lock}


def _series_operations(
    study_key: StudyKey, before: Mapping[str, SeriesRecord], after: Mapping[str, SeriesRecord]
) -> list[tuple[Any, ...]]:
    changed = [series for uid, series in after.items() if before.get(uid) != series]
    gone = [uid for uid in before if uid not in after]
    return [
        *(("upsert", series_entity(study_key, series), {"mode": UpdateMode.REPLACE}) for series in changed),
        *(("delete", series_row_key(study_key, uid)) for uid in gone),
    ]

"""The truth: what is stored, a partition a study, changed only by transactions that hold the study's lock.

The lock is the study row's ETag: every transaction replaces that row under the ETag it has read (or creates it), so two
that meet on one study cannot both succeed, and counts stay exact. A series row changes only in such a transaction.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.archive.instance import InstanceMetadata, InstanceRecord
from shared.archive.study import SeriesRecord, StudyRecord
from shared.archive.terms import Term
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.storage import keys
from shared.storage.availability import is_unavailable, was_refused
from shared.storage.properties import PAGE_ROWS, PROPERTY_BYTES, joined, names_of, packed, split, unpacked

MAX_ROW_VALUE_BYTES: Final = 192 * 1024
"""Largest metadata or frame table of a row; a larger one belongs in a blob."""

_TRANSACTION_ROWS: Final = 100
_TRANSACTION_VALUE_BYTES: Final = 2 * 1024**2  # a transaction holds 4 MiB, in which values stand in base64
_ROW_PROPERTIES: Final = MAX_ROW_VALUE_BYTES // PROPERTY_BYTES

_FACTS: Final = ("version", "sop_class", "transfer_syntax", "size", "header", "sha256", "stored")
_ELSEWHERE: Final = ("metadata_blob", "frames_blob")
_METADATA: Final = tuple(f"metadata{index}" for index in range(_ROW_PROPERTIES))
_FRAMES: Final = tuple(f"frames{index}" for index in range(_ROW_PROPERTIES))
_OUTLINE: Final = [
    "PartitionKey",
    "RowKey",
    "created",
    *names_of("attributes", "sop_classes", "transfer_syntaxes"),
]


class StudyChanged(Exception):
    """Another transaction has changed the study since it was read: read it again."""


class CommitRefused(StudyChanged):
    """Storage was overloaded or not reached, and nothing has changed; `cause` is the SDK's error."""

    def __init__(self, cause: AzureError) -> None:
        super().__init__()
        self.cause = cause


class CommitUnanswered(StudyChanged):
    """Storage failed, and may have carried out the transaction, or do so yet; `cause` is the SDK's error."""

    def __init__(self, cause: AzureError) -> None:
        super().__init__()
        self.cause = cause


class InstanceExists(Exception):
    """At least one of the instances to be added is in the catalog already; nothing was changed."""


@dataclass(frozen=True, slots=True)
class StudyVersion:
    """A study's record as it stood under the lock `etag`."""

    record: StudyRecord
    etag: str


def fits_transaction(instances: Sequence[InstanceRecord]) -> bool:
    """Whether one transaction has room for all of these, of one study."""
    series = {instance.identifiers.series_instance_uid for instance in instances}
    return 1 + len(series) + len(instances) <= _TRANSACTION_ROWS and value_bytes(instances) <= _TRANSACTION_VALUE_BYTES


def value_bytes(instances: Iterable[InstanceRecord]) -> int:
    """Size of what the rows of these instances hold beside the file's facts."""
    return sum(len(instance.metadata or b"") + len(instance.frames or b"") for instance in instances)


def fills_transaction(instances: Sequence[InstanceRecord]) -> bool:
    """Whether one transaction may not have room for a further instance beside these, all of one study."""
    series = {instance.identifiers.series_instance_uid for instance in instances}
    # The study has a row, and the next instance may bring its series' row.
    return 1 + len(series) + len(instances) + 2 > _TRANSACTION_ROWS or value_bytes(instances) > _TRANSACTION_VALUE_BYTES


class Catalog:
    """The table of studies, series and instances."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def read_study(self, study_instance_uid: str) -> StudyVersion | None:
        """A study with all its series, in one query; None when there is no such study."""
        study, _ = await self.read_summary(study_instance_uid)
        return study

    async def read_outline(self, study_instance_uid: str) -> StudyRecord | None:
        """A study with all its series as searches need it: without `posted`, which is longer than all else."""
        series: dict[str, SeriesRecord] = {}
        async for entity in self._rows(study_instance_uid, *keys.summary_rows(), _OUTLINE):
            if entity["RowKey"] == keys.STUDY_ROW:
                return _study_record(entity, series, frozenset())
            record = _series_record(entity)
            series[record.series_instance_uid] = record
        return None

    async def read_summary(self, study_instance_uid: str) -> tuple[StudyVersion | None, Mapping[str, SeriesRecord]]:
        """A study as `read_study` has it, and the series that have a row even where the study has none."""
        first, end = keys.summary_rows()
        series: dict[str, SeriesRecord] = {}
        async for entity in self._rows(study_instance_uid, first, end):
            if entity["RowKey"] == keys.STUDY_ROW:
                posted = frozenset(Term(*term) for term in unpacked(entity, "posted"))
                return StudyVersion(_study_record(entity, series, posted), entity.metadata["etag"]), series
            record = _series_record(entity)
            series[record.series_instance_uid] = record
        return None, series

    async def has_rows(self, study_instance_uid: str) -> bool:
        """Whether there is a row of any kind of the study, readable or not."""
        query, parameters = "PartitionKey eq @partition", {"partition": study_instance_uid}
        async for _ in self._table.query_entities(query, parameters=parameters, select=["RowKey"], results_per_page=1):
            return True
        return False

    async def read_study_uids(self) -> AsyncIterator[str]:
        """Every study that has a row of any kind, once each, in key order; reads all rows, 1,000 an operation."""
        last = None
        async for entity in self._table.list_entities(select=["PartitionKey"]):
            if entity["PartitionKey"] != last:
                yield (last := entity["PartitionKey"])

    async def read_instance(
        self, identifiers: InstanceIdentifiers, *, with_metadata: bool = False, with_frames: bool = False
    ) -> InstanceRecord | None:
        """An instance, with what is asked for beside the file's facts; None when there is no such instance."""
        row = keys.instance_row(identifiers.series_instance_uid, identifiers.sop_instance_uid)
        select = _instance_properties(with_metadata, with_frames)
        try:
            entity = await self._table.get_entity(identifiers.study_instance_uid, row, select=select)
        except ResourceNotFoundError:
            return None
        return _instance_record(entity)

    async def read_version(self, resource: ResourceIdentifiers) -> str | None:
        """What changes with every transaction that changes a study or a series; None when there is no such resource."""
        series = resource.series_instance_uid
        row = keys.STUDY_ROW if series is None else keys.series_row(series)
        try:
            entity = await self._table.get_entity(resource.study_instance_uid, row, select=["RowKey"])
        except ResourceNotFoundError:
            return None
        return str(entity.metadata["etag"])

    async def read_instances(
        self,
        study_instance_uid: str,
        series_instance_uid: str | None = None,
        *,
        with_metadata: bool = False,
        with_frames: bool = False,
        page_rows: int = PAGE_ROWS,
    ) -> AsyncIterator[InstanceRecord]:
        """The instances of a study or of one series, by series and instance UID, a page of rows an operation."""
        first, end = keys.instance_rows(series_instance_uid)
        select = _instance_properties(with_metadata, with_frames)
        async for entity in self._rows(study_instance_uid, first, end, select, page_rows):
            yield _instance_record(entity)

    async def read_metadata(
        self, study_instance_uid: str, series_instance_uid: str | None = None, *, page_rows: int = PAGE_ROWS
    ) -> AsyncIterator[InstanceMetadata]:
        """The metadata of the instances that `read_instances` has, without the facts, which take half of the time."""
        first, end = keys.instance_rows(series_instance_uid)
        async for entity in self._rows(study_instance_uid, first, end, ["RowKey", "version", *_METADATA], page_rows):
            identifiers = InstanceIdentifiers(study_instance_uid, *keys.uids_of_instance_row(entity["RowKey"]))
            yield InstanceMetadata(identifiers, entity["version"], joined(entity, "metadata") or None)

    async def commit(
        self,
        before: StudyVersion | None,
        after: StudyRecord | None,
        *,
        added: Iterable[InstanceRecord] = (),
        removed: Iterable[InstanceRecord] = (),
    ) -> StudyVersion | None:
        """Take a study from one version to the next, all or nothing, in one transaction.

        `before` None: the study is new; `after` None: its last instances go. Returns what now stands in the catalog.
        Raises StudyChanged or InstanceExists; nothing has changed then, but for CommitUnanswered.
        """
        study_instance_uid = (after or _record_of(before)).study_instance_uid
        operations = [
            _study_operation(before, after),
            *_series_operations(
                study_instance_uid, before.record.series if before else {}, after.series if after else {}
            ),
            *(("create", _instance_entity(instance)) for instance in added),
            *(("delete", _instance_key(instance.identifiers)) for instance in removed),
        ]
        try:
            # Without the SDK's retry: once carried out, and undone by another, a transaction must not be made again.
            results = await self._table.submit_transaction(operations, retry_total=0)
        except TableTransactionError as error:
            if error.status_code == HTTPStatus.CONFLICT and error.index > 0:
                raise InstanceExists from error
            if error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
                raise StudyChanged from error
            raise _unavailable(error) from error
        except AzureError as error:
            raise _unavailable(error) from error
        return StudyVersion(after, results[0]["etag"]) if after else None

    async def check(self) -> None:
        """Ask for a row that does not exist; raises the SDK's error when storage does not answer."""
        async for _ in self._rows("", "", ""):
            return

    def _rows(
        self, partition: str, first: str, end: str, select: list[str] | None = None, page_rows: int = PAGE_ROWS
    ) -> AsyncIterator[Any]:
        return self._table.query_entities(
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @end",
            parameters={"partition": partition, "first": first, "end": end},
            select=select,
            results_per_page=page_rows,
        )


def _unavailable(error: AzureError) -> Exception:
    """What an error of a transaction means."""
    if was_refused(error):
        return CommitRefused(error)
    return CommitUnanswered(error) if is_unavailable(error) else error


def _record_of(version: StudyVersion | None) -> StudyRecord:
    if version is None:
        raise ValueError("a commit needs the study before or after it")
    return version.record


def _study_operation(before: StudyVersion | None, after: StudyRecord | None) -> tuple[Any, ...]:
    if before is None:
        return "create", _study_entity(_record_of(StudyVersion(after, "") if after else None))
    lock = {"etag": before.etag, "match_condition": MatchConditions.IfNotModified}
    if after is None:
        return "delete", {"PartitionKey": before.record.study_instance_uid, "RowKey": keys.STUDY_ROW}, lock
    return "update", _study_entity(after), {"mode": UpdateMode.REPLACE, **lock}


def _series_operations(
    study_instance_uid: str, before: Mapping[str, SeriesRecord], after: Mapping[str, SeriesRecord]
) -> list[tuple[Any, ...]]:
    changed = [series for uid, series in after.items() if before.get(uid) != series]
    gone = [uid for uid in before if uid not in after]
    return [
        *(("upsert", _series_entity(study_instance_uid, series), {"mode": UpdateMode.REPLACE}) for series in changed),
        *(("delete", {"PartitionKey": study_instance_uid, "RowKey": keys.series_row(uid)}) for uid in gone),
    ]


def _study_entity(study: StudyRecord) -> dict[str, Any]:
    return {
        "PartitionKey": study.study_instance_uid,
        "RowKey": keys.STUDY_ROW,
        "created": study.created,
        **packed("attributes", study.attributes),
        **packed("posted", sorted(study.posted)),
    }


def _study_record(
    entity: Mapping[str, Any], series: Mapping[str, SeriesRecord], posted: frozenset[Term]
) -> StudyRecord:
    return StudyRecord(entity["PartitionKey"], entity["created"], unpacked(entity, "attributes"), series, posted)


def _series_entity(study_instance_uid: str, series: SeriesRecord) -> dict[str, Any]:
    return {
        "PartitionKey": study_instance_uid,
        "RowKey": keys.series_row(series.series_instance_uid),
        **packed("attributes", series.attributes),
        **packed("sop_classes", series.sop_classes),
        **packed("transfer_syntaxes", series.transfer_syntaxes),
    }


def _series_record(entity: Mapping[str, Any]) -> SeriesRecord:
    return SeriesRecord(
        keys.series_of_row(entity["RowKey"]),
        unpacked(entity, "attributes"),
        unpacked(entity, "sop_classes"),
        unpacked(entity, "transfer_syntaxes"),
    )


def _instance_key(identifiers: InstanceIdentifiers) -> dict[str, Any]:
    return {
        "PartitionKey": identifiers.study_instance_uid,
        "RowKey": keys.instance_row(identifiers.series_instance_uid, identifiers.sop_instance_uid),
    }


def _instance_entity(instance: InstanceRecord) -> dict[str, Any]:
    return {
        **_instance_key(instance.identifiers),
        "version": instance.version,
        "sop_class": instance.sop_class_uid,
        "transfer_syntax": instance.transfer_syntax_uid,
        "size": EntityProperty(instance.size_bytes, EdmType.INT64),
        "header": EntityProperty(instance.header_bytes, EdmType.INT64),
        "sha256": instance.sha256,
        "stored": instance.stored,
        "metadata_blob": instance.metadata is None,
        "frames_blob": instance.frames is None,
        **split("metadata", instance.metadata or b""),
        **split("frames", instance.frames or b""),
    }


def _instance_record(entity: Mapping[str, Any]) -> InstanceRecord:
    return InstanceRecord(
        InstanceIdentifiers(entity["PartitionKey"], *keys.uids_of_instance_row(entity["RowKey"])),
        entity["version"],
        None if entity["metadata_blob"] else joined(entity, "metadata"),
        sop_class_uid=entity["sop_class"],
        transfer_syntax_uid=entity["transfer_syntax"],
        size_bytes=entity["size"].value,
        header_bytes=entity["header"].value,
        sha256=entity["sha256"],
        stored=entity["stored"],
        frames=None if entity["frames_blob"] else joined(entity, "frames"),
    )


def _instance_properties(with_metadata: bool, with_frames: bool) -> list[str]:
    asked = (_METADATA if with_metadata else ()) + (_FRAMES if with_frames else ())
    return ["PartitionKey", "RowKey", *_FACTS, *_ELSEWHERE, *asked]

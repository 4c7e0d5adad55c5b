"""The changes of commits that are not in the change feed yet: a row for each, written by the commit's own batch.

The rows stand beside those of their study, in the catalog. Whoever has appended them to the feed removes them.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from azure.data.tables.aio import TableClient

from shared.archive.change import Action, Change, StudyChanges
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey
from shared.storage import keys
from shared.storage.parallel import in_parallel
from shared.storage.properties import PAGE_ROWS, packed, unpacked


class Outbox:
    """The rows of changes in the catalog's table."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def read(self, study: StudyKey) -> AsyncIterator[StudyChanges]:
        """A study's changes that are not known to be in the feed, by revision; 1,000 commits an operation."""
        async for entity in self._rows(study):
            yield study_changes(study, keys.revision_of_change_row(entity["RowKey"]), unpacked(entity, "changes"))

    async def read_revisions(self, study: StudyKey) -> list[int]:
        """The revisions of those changes, readable or not."""
        rows = self._rows(study, ["RowKey"])
        return [keys.revision_of_change_row(entity["RowKey"]) async for entity in rows]

    async def remove(self, study: StudyKey, revisions: Iterable[int]) -> None:
        """Remove the changes of these commits, wherever they still are: they are in the feed."""
        partition = keys.study_partition(study)
        await in_parallel(self._table.delete_entity(partition, keys.change_row(revision)) for revision in revisions)

    def _rows(self, study: StudyKey, select: list[str] | None = None) -> AsyncIterator[Any]:
        first, end = keys.change_rows()
        return self._table.query_entities(
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @end",
            parameters={"partition": keys.study_partition(study), "first": first, "end": end},
            select=select,
            results_per_page=PAGE_ROWS,
        )


def change_entity(changes: StudyChanges) -> Mapping[str, Any]:
    """The row of a commit's changes."""
    key = {"PartitionKey": keys.study_partition(changes.study), "RowKey": keys.change_row(changes.revision)}
    return {**key, **packed("changes", json_of(changes))}


def json_of(changes: StudyChanges) -> list[list[str]]:
    """A commit's changes as JSON, without study and revision."""
    return [
        [
            change.action.value,
            change.identifiers.series_instance_uid,
            change.identifiers.sop_instance_uid,
            change.blob_version,
            change.sop_class_uid,
            change.modality,
        ]
        for change in changes.changes
    ]


def study_changes(study: StudyKey, revision: int, found: Iterable[list[str]]) -> StudyChanges:
    """The changes of which `json_of` made this JSON. Raises ValueError for other JSON."""
    return StudyChanges(
        study,
        revision,
        tuple(
            Change(Action(action), InstanceIdentifiers(study, series, instance), blob_version, sop_class, modality)
            for action, series, instance, blob_version, sop_class, modality in found
        ),
    )

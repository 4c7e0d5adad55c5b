"""The changes of commits that are not in the change feed yet: a row for each, written by the commit's own batch.

The rows stand beside those of their study, in the catalog. Whoever has appended them to the feed removes them.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from typing import Any, Final

from azure.data.tables.aio import TableClient

from shared.archive.change import Action, Change, StudyChanges
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey
from shared.storage import keys
from shared.storage.properties import PAGE_ROWS, packed, unpacked
from shared.storage.removal import remove_rows

_PAGE_ROWS: Final = 100  # each of up to a hundred changes


class Outbox:
    """The rows of changes in the catalog's table."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def read(self, study: StudyKey) -> AsyncGenerator[StudyChanges, None]:
        """A study's changes that are not known to be in the feed, by revision; 100 commits an operation."""
        async for entity in self._rows(study, page_rows=_PAGE_ROWS):
            yield study_changes(study, keys.revision_of_change_row(entity["RowKey"]), unpacked(entity, "changes"))

    async def read_revisions(self, study: StudyKey) -> list[int]:
        """The revisions of those changes, readable or not."""
        rows = self._rows(study, ["RowKey"])
        return [keys.revision_of_change_row(entity["RowKey"]) async for entity in rows]

    async def remove(self, study: StudyKey, revisions: Iterable[int]) -> None:
        """Remove the changes of these commits, wherever they still are: they are in the feed."""
        partition = keys.study_partition(study)
        await remove_rows(self._table, ((partition, keys.change_row(revision)) for revision in revisions))

    def _rows(
        self, study: StudyKey, select: list[str] | None = None, *, page_rows: int = PAGE_ROWS
    ) -> AsyncIterator[Any]:
        first, end = keys.change_rows()
        return self._table.query_entities(
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @end",
            parameters={"partition": keys.study_partition(study), "first": first, "end": end},
            select=select,
            results_per_page=page_rows,
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

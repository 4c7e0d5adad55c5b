"""Batches of the catalog (entity group transactions): what fits one, and the operations of which it consists. Pure.

The first operation is always the study row's: it carries the lock. The changes come next.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from azure.data.tables import UpdateMode

from shared.archive.change import Action, Change, StudyChanges
from shared.archive.instance import DicomJson, InstanceFacts, NewInstance
from shared.archive.study import SeriesRecord, StudyRecord, modality_of
from shared.archive.tag_values import MAX_LEVEL_CHARACTERS
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey
from shared.storage.catalog_rows import (
    NOTHING_ANNOUNCED,
    Announced,
    StudyRevision,
    Tombstone,
    instance_entity,
    instance_row_key,
    series_entity,
    series_row_key,
    study_entity,
    tags_entity,
    tombstone_entity,
)
from shared.storage.conditions import under
from shared.storage.outbox import change_entity

_BATCH_ROWS: Final = 100
_BATCH_VALUE_BYTES: Final = 2 * 1024**2  # a batch holds 4 MiB, with values in base64
_CHANGES_OF_A_ROW: Final = 97  # as many as the largest commit makes

Operation = tuple[Any, ...]
"""An operation of a batch, as the SDK takes it."""


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


def announced_at_once() -> int:
    """How many instances one batch announces."""
    return (_BATCH_ROWS - 1) * _CHANGES_OF_A_ROW


def value_bytes(instances: Iterable[NewInstance]) -> int:
    """Size, at most, of what the rows of these instances hold besides the facts."""
    return sum(
        len(instance.metadata) + len(instance.frames) + (MAX_LEVEL_CHARACTERS if instance.facts.tags else 0)
        for instance in instances
    )


def _rows_of(instances: Sequence[InstanceIdentifiers]) -> int:
    """How many rows change with these instances of one study: its own, its changes', its series' and theirs."""
    return 2 + len({identifiers.series_instance_uid for identifiers in instances}) + len(instances)


def next_revision(before: StudyRevision | Tombstone | None, first: int) -> int | None:
    """The revision to which a commit leads; None for a study that stays unannounced. A new one begins at `first`."""
    if before is None:
        return first
    return None if before.revision is None else before.revision + 1


def commit_operations(
    before: StudyRevision | Tombstone | None,
    after: StudyRecord | None,
    revision: int | None,
    added: Sequence[NewInstance],
    removed: Sequence[InstanceFacts],
    tagged: Sequence[InstanceFacts] = (),
) -> list[Operation]:
    """What takes a study from one revision to the next. Raises ValueError for a study that is to be announced first."""
    series_before = before.record.series if isinstance(before, StudyRevision) else {}
    study_key = _key_of(before, after)
    return [
        _study_operation(before, after, revision),
        *_change_operations(study_key, revision, _changes(series_before, added, removed)),
        *_series_operations(study_key, series_before, after.series if after else {}),
        *(("create", instance_entity(instance)) for instance in added),
        *(("delete", instance_row_key(instance.identifiers)) for instance in removed),
        *(("update", tags_entity(instance), {"mode": UpdateMode.MERGE}) for instance in tagged),
    ]


def announcement_operations(
    before: StudyRevision, instances: Sequence[InstanceFacts], announced: Announced, *, is_last: bool
) -> list[Operation]:
    """What announces instances that an unannounced study holds: the study's row notes how far this leads."""
    record, first = before.record, before.announced.revision + 1
    revision = announced.revision if is_last else None
    changes = [_change(Action.CREATE, one, _attributes(record.series, one)) for one in instances]
    return [
        ("update", study_entity(record, revision, announced), _under_lock(before)),
        *(
            operation
            for index, start in enumerate(range(0, len(changes), _CHANGES_OF_A_ROW))
            for operation in _change_operations(record.key, first + index, changes[start : start + _CHANGES_OF_A_ROW])
        ),
    ]


def announced_with(before: StudyRevision, instances: Sequence[InstanceFacts]) -> Announced:
    """How far an announcement has come with these instances, the next ones by their row keys."""
    if not instances:
        return before.announced
    rows = -(-len(instances) // _CHANGES_OF_A_ROW)
    return Announced(instance_row_key(instances[-1].identifiers)["RowKey"], before.announced.revision + rows)


def _key_of(before: StudyRevision | Tombstone | None, after: StudyRecord | None) -> StudyKey:
    if after is not None:
        return after.key
    if isinstance(before, StudyRevision):
        return before.record.key
    raise ValueError("a commit needs the study before or after it")


def _study_operation(
    before: StudyRevision | Tombstone | None, after: StudyRecord | None, revision: int | None
) -> Operation:
    announced = before.announced if isinstance(before, StudyRevision) else NOTHING_ANNOUNCED
    if after is None:
        last = announced.revision if revision is None else revision
        entity = tombstone_entity(_key_of(before, after), last)
    else:
        entity = study_entity(after, revision, announced)
    return ("create", entity) if before is None else ("update", entity, _under_lock(before))


def _under_lock(before: StudyRevision | Tombstone) -> dict[str, Any]:
    return {"mode": UpdateMode.REPLACE, **under(before.etag)}


def _changes(
    series: Mapping[str, SeriesRecord], added: Iterable[NewInstance], removed: Iterable[InstanceFacts]
) -> list[Change]:
    return [
        *(_change(Action.CREATE, instance.facts, instance.series_attributes) for instance in added),
        *(_change(Action.DELETE, instance, _attributes(series, instance)) for instance in removed),
    ]


def _attributes(series: Mapping[str, SeriesRecord], instance: InstanceFacts) -> DicomJson:
    record = series.get(instance.identifiers.series_instance_uid)
    return record.attributes if record else {}


def _change(action: Action, instance: InstanceFacts, series_attributes: DicomJson) -> Change:
    modality = modality_of(series_attributes)
    return Change(action, instance.identifiers, instance.blob_version, instance.sop_class_uid, modality)


def _change_operations(study_key: StudyKey, revision: int | None, changes: Sequence[Change]) -> list[Operation]:
    if not changes:
        return []
    if revision is None:
        raise ValueError("a study is announced before instances are added or removed")
    return [("create", change_entity(StudyChanges(study_key, revision, tuple(changes))))]


def _series_operations(
    study_key: StudyKey, before: Mapping[str, SeriesRecord], after: Mapping[str, SeriesRecord]
) -> list[Operation]:
    changed = [series for uid, series in after.items() if before.get(uid) != series]
    gone = [uid for uid in before if uid not in after]
    return [
        *(("upsert", series_entity(study_key, series), {"mode": UpdateMode.REPLACE}) for series in changed),
        *(("delete", series_row_key(study_key, uid)) for uid in gone),
    ]

"""Rows of the catalog as table entities: their properties' names and values, and which of them each reader selects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.archive.instance import (
    NOTHING,
    DicomJson,
    Elsewhere,
    InstanceFacts,
    InstanceMetadata,
    InstanceWithFrames,
    NewInstance,
)
from shared.archive.study import SeriesRecord, StudyRecord
from shared.archive.terms import Term
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey
from shared.storage import keys
from shared.storage.properties import PROPERTY_BYTES, int64, joined, names_of, packed, split, unpacked

MAX_ROW_VALUE_BYTES: Final = 192 * 1024
"""Largest metadata or frame table that a row holds; a larger one goes to a blob."""

_ROW_PROPERTIES: Final = MAX_ROW_VALUE_BYTES // PROPERTY_BYTES
_METADATA: Final = tuple(f"metadata{index}" for index in range(_ROW_PROPERTIES))

OUTLINE: Final = ["RowKey", "created", "gone", *names_of("attributes", "sop_classes", "transfer_syntaxes")]
"""What a search reads from the rows of a study and its series."""

_TAGS: Final = "tags0"  # no more, of MAX_LEVEL_CHARACTERS
FACTS: Final = [
    "RowKey",
    *("version", "sop_class", "transfer_syntax", "size", "header", "sha256", "stored"),
    *("metadata_blob", "frames_blob", _TAGS),
]
METADATA: Final = ["RowKey", "version", _TAGS, *_METADATA]
FACTS_AND_METADATA: Final = [*FACTS, *_METADATA]
FACTS_AND_FRAMES: Final = [
    *(name for name in FACTS if name != _TAGS),
    *(f"frames{index}" for index in range(_ROW_PROPERTIES)),
]


@dataclass(frozen=True, slots=True)
class Announced:
    """How far the announcement of a study has come: to which instance's row, and to which revision of changes."""

    row_key: str
    revision: int


NOTHING_ANNOUNCED: Final = Announced("", 0)


@dataclass(frozen=True, slots=True)
class StudyRevision:
    """A study's record as it stood under the lock `etag`, at a `revision`: every commit raises it by one.

    `revision` is None where a release before the change feed wrote the row: then the study is unannounced, the changes
    do not say yet which instances it holds, and none may be added or removed. `announced` is how far they do.
    """

    record: StudyRecord
    etag: str
    revision: int | None
    announced: Announced = NOTHING_ANNOUNCED


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is left of a study that has gone: its last revision, from which one stored again goes on; `etag`: its lock.

    Otherwise such a study would begin again at a revision whose changes may still wait for the feed.
    """

    revision: int
    etag: str


def study_row_key(study_key: StudyKey) -> dict[str, Any]:
    """The keys of a study's row."""
    return _row_key(study_key, keys.STUDY_ROW)


def study_entity(study: StudyRecord, revision: int | None, announced: Announced) -> dict[str, Any]:
    """All of a study's row; `announced` is kept as long as there is no `revision`."""
    marks: dict[str, Any] = {}
    if revision is not None:
        marks = {"revision": int64(revision)}
    elif announced.revision:
        marks = {"announced": announced.row_key, "announced_revision": int64(announced.revision)}
    return {
        **study_row_key(study.key),
        "created": study.created,
        **packed("attributes", study.attributes),
        **packed("posted", [term.members for term in sorted(study.posted)]),
        **marks,
    }


def tombstone_entity(study_key: StudyKey, revision: int) -> dict[str, Any]:
    """All of the row of a study that has gone."""
    return {**study_row_key(study_key), "revision": int64(revision), "gone": True}


def is_tombstone(entity: Mapping[str, Any]) -> bool:
    """Whether a row, read with "gone" or whole, is what a study has left that has gone."""
    return bool(entity.get("gone"))


def study_or_tombstone(
    study_key: StudyKey, entity: Mapping[str, Any], etag: str, series: Mapping[str, SeriesRecord]
) -> StudyRevision | Tombstone:
    """What this whole row of a study stands for, with the study's series, which are read separately."""
    revision = entity["revision"].value if "revision" in entity else None
    if is_tombstone(entity):
        return Tombstone(entity["revision"].value, etag)
    posted = frozenset(Term(*term) for term in unpacked(entity, "posted"))
    announced = NOTHING_ANNOUNCED
    if "announced" in entity:
        announced = Announced(entity["announced"], entity["announced_revision"].value)
    return StudyRevision(study_record(study_key, entity, series, posted), etag, revision, announced)


def study_record(
    study_key: StudyKey, entity: Mapping[str, Any], series: Mapping[str, SeriesRecord], posted: frozenset[Term]
) -> StudyRecord:
    """The study whose row this is, with its series and posted terms, which are read separately."""
    return StudyRecord(study_key, entity["created"], unpacked(entity, "attributes"), series, posted)


def series_row_key(study_key: StudyKey, series_instance_uid: str) -> dict[str, Any]:
    """The keys of a series' row."""
    return _row_key(study_key, keys.series_row(series_instance_uid))


def series_entity(study_key: StudyKey, series: SeriesRecord) -> dict[str, Any]:
    """All of a series' row."""
    return {
        **series_row_key(study_key, series.series_instance_uid),
        **packed("attributes", series.attributes),
        **packed("sop_classes", series.sop_classes),
        **packed("transfer_syntaxes", series.transfer_syntaxes),
    }


def series_record(entity: Mapping[str, Any]) -> SeriesRecord:
    """The series whose row this is."""
    return SeriesRecord(
        keys.series_of_row(entity["RowKey"]),
        unpacked(entity, "attributes"),
        unpacked(entity, "sop_classes"),
        unpacked(entity, "transfer_syntaxes"),
    )


def instance_row_key(identifiers: InstanceIdentifiers) -> dict[str, Any]:
    """The keys of an instance's row."""
    return _row_key(identifiers.study, keys.row_of_instance(identifiers))


def instance_entity(instance: NewInstance) -> dict[str, Any]:
    """All of an instance's row."""
    facts = instance.facts
    return {
        **instance_row_key(facts.identifiers),
        "version": facts.blob_version,
        "sop_class": facts.sop_class_uid,
        "transfer_syntax": facts.transfer_syntax_uid,
        "size": int64(facts.size_bytes),
        "header": int64(facts.header_bytes),
        "sha256": facts.sha256,
        "stored": facts.stored,
        "metadata_blob": facts.has_metadata_blob,
        "frames_blob": facts.has_frames_blob,
        **(packed("tags", facts.tags) if facts.tags else {}),
        **split("metadata", instance.metadata),
        **split("frames", instance.frames),
    }


def tags_entity(instance: InstanceFacts) -> dict[str, Any]:
    """Of an instance's row what it has of extended query tags."""
    return {**instance_row_key(instance.identifiers), **packed("tags", dict(instance.tags))}


def instance_facts(study_key: StudyKey, entity: Mapping[str, Any]) -> InstanceFacts:
    """The facts of an instance of this study whose row was read with `FACTS`."""
    return InstanceFacts(**_facts(study_key, entity))


def instance_with_frames(study_key: StudyKey, entity: Mapping[str, Any]) -> InstanceWithFrames:
    """The facts, but for tags, and frame table of an instance whose row was read with `FACTS_AND_FRAMES`."""
    frames = Elsewhere.IN_BLOB if entity["frames_blob"] else joined(entity, "frames") or None
    return InstanceWithFrames(**_facts(study_key, entity), frames=frames)


def instance_metadata(study_key: StudyKey, entity: Mapping[str, Any]) -> InstanceMetadata:
    """The metadata of an instance of this study whose row was read with `METADATA`."""
    metadata = joined(entity, "metadata") or Elsewhere.IN_BLOB
    return InstanceMetadata(_identifiers(study_key, entity), entity["version"], metadata, _tags(entity))


def instance_facts_and_metadata(
    study_key: StudyKey, entity: Mapping[str, Any]
) -> tuple[InstanceFacts, InstanceMetadata]:
    """The facts and metadata of an instance of this study whose row was read with `FACTS_AND_METADATA`."""
    facts = instance_facts(study_key, entity)
    metadata = Elsewhere.IN_BLOB if facts.has_metadata_blob else joined(entity, "metadata")
    return facts, InstanceMetadata(facts.identifiers, facts.blob_version, metadata, facts.tags)


def instance_again(
    study_key: StudyKey, entity: Mapping[str, Any], study_attributes: DicomJson, series_attributes: DicomJson
) -> NewInstance:
    """An instance of this study whose whole row this is, to be entered once more."""
    return NewInstance(
        instance_facts(study_key, entity),
        joined(entity, "metadata"),
        joined(entity, "frames"),
        study_attributes,
        series_attributes,
    )


def _row_key(study_key: StudyKey, row_key: str) -> dict[str, Any]:
    return {"PartitionKey": keys.study_partition(study_key), "RowKey": row_key}


def _identifiers(study_key: StudyKey, entity: Mapping[str, Any]) -> InstanceIdentifiers:
    return InstanceIdentifiers(study_key, *keys.uids_of_instance_row(entity["RowKey"]))


def _facts(study_key: StudyKey, entity: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "identifiers": _identifiers(study_key, entity),
        "blob_version": entity["version"],
        "sop_class_uid": entity["sop_class"],
        "transfer_syntax_uid": entity["transfer_syntax"],
        "size_bytes": entity["size"].value,
        "header_bytes": entity["header"].value,
        "sha256": entity["sha256"],
        "stored": entity["stored"],
        "has_metadata_blob": entity["metadata_blob"],
        "has_frames_blob": entity["frames_blob"],
        "tags": _tags(entity),
    }


def _tags(entity: Mapping[str, Any]) -> DicomJson:
    return unpacked(entity, "tags") if entity.get(_TAGS) else NOTHING

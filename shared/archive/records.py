"""What the archive knows of an instance, a series and a study, and how storing and removing instances changes it.

A study's record is derived from its series' records, and theirs from the instances stored: counts, modalities, SOP
classes and index terms are recomputed with each change, so they cannot drift. Pure; the catalog keeps the records.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from shared.archive.terms import EVERY_STUDY, Term, is_posted
from shared.dicom.attributes import BY_TAG, SEARCHABLE, TAG, Level, MatchingKey, level_of
from shared.dicom.comparable_values import comparable_values
from shared.dicom.dicom_json_text import DeflatedItems
from shared.dicom.identifiers import InstanceIdentifiers

DicomJson = Mapping[str, Any]
"""A data set in the DICOM JSON Model (PS3.18 F.2): tag to ``{"vr": …, "Value": […]}``."""

_MAX_SHARED_ATTRIBUTE_LENGTH: Final = 4096


@dataclass(frozen=True, slots=True)
class InstanceMetadata:
    """An instance's metadata in storage form, None when it is too large for a row and stands in a blob of its own.

    `version` is new for every store of the same identifiers.
    """

    identifiers: InstanceIdentifiers
    version: str
    metadata: bytes | None


@dataclass(frozen=True, slots=True)
class InstanceRecord(InstanceMetadata):
    """A stored instance. Sizes are bytes of its blob.

    `header_bytes` is where Pixel Data begins, or the whole size where there is none. `metadata` and `frames` are in
    storage form: empty when not read or not there, None when they stand in a blob of their own.
    """

    sop_class_uid: str
    transfer_syntax_uid: str
    size_bytes: int
    header_bytes: int
    sha256: str
    stored: datetime
    frames: bytes | None


@dataclass(frozen=True, slots=True)
class NewInstance:
    """An instance about to enter the catalog, with the attributes it gives to its study and series."""

    record: InstanceRecord
    study_attributes: DicomJson
    series_attributes: DicomJson


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """A series: its attributes as the latest stored instance has them, and what its instances are."""

    series_instance_uid: str
    attributes: DicomJson
    sop_classes: Mapping[str, int]
    transfer_syntaxes: Mapping[str, int]

    @property
    def instance_count(self) -> int:
        """How many instances the series holds; never 0."""
        return sum(self.sop_classes.values())


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study with its series, by UID. `created` is when it was first stored and stays; `posted` is in the index."""

    study_instance_uid: str
    created: datetime
    attributes: DicomJson
    series: Mapping[str, SeriesRecord]
    posted: frozenset[Term] = field(default_factory=frozenset)

    @property
    def instance_count(self) -> int:
        """How many instances the study holds."""
        return sum(series.instance_count for series in self.series.values())

    @property
    def modalities(self) -> list[str]:
        """The distinct modalities of the series, sorted."""
        found = {
            str(value)
            for series in self.series.values()
            for value in series.attributes.get(TAG["Modality"], {}).get("Value", ())
            if value
        }
        return sorted(found)

    @property
    def sop_classes(self) -> list[str]:
        """The distinct SOP classes of the instances, sorted."""
        return sorted({uid for series in self.series.values() for uid in series.sop_classes})

    @property
    def transfer_syntaxes(self) -> frozenset[str]:
        """The transfer syntaxes in which the instances are stored."""
        return frozenset(uid for series in self.series.values() for uid in series.transfer_syntaxes)


def split_by_level(metadata: DicomJson) -> tuple[DicomJson, DicomJson]:
    """The study-level and the series-level attributes of an instance's metadata.

    Two kinds stay with the instance alone: those with a bulk value inside, whose BulkDataURI leads somewhere only
    there, and oversized ones, which would not fit the rows.
    """
    found: dict[Level, dict[str, Any]] = {Level.STUDY: {}, Level.SERIES: {}, Level.INSTANCE: {}}
    for tag, attribute in metadata.items():
        if tag in BY_TAG and not isinstance(attribute.get("Value"), DeflatedItems):
            text = json.dumps(attribute)
            if len(text) <= _MAX_SHARED_ATTRIBUTE_LENGTH and "BulkDataURI" not in text:
                found[level_of(tag)][tag] = attribute
    return found[Level.STUDY], found[Level.SERIES]


def with_instances(study: StudyRecord | None, added: Iterable[NewInstance], now: datetime) -> StudyRecord:
    """The record of a study after `added`, all of that study and none in it yet, are stored; `study` None: a new one.

    Attributes of study and series become those of the last of `added`: what is stored latest, wins.
    """
    for instance in added:
        identifiers = instance.record.identifiers
        if study is None:
            study = StudyRecord(identifiers.study_instance_uid, now, {}, {})
        before = study.series.get(identifiers.series_instance_uid)
        after = SeriesRecord(
            identifiers.series_instance_uid,
            instance.series_attributes,
            _counted(before.sop_classes if before else {}, instance.record.sop_class_uid, +1),
            _counted(before.transfer_syntaxes if before else {}, instance.record.transfer_syntax_uid, +1),
        )
        series = {**study.series, after.series_instance_uid: after}
        study = replace(study, attributes=instance.study_attributes, series=series)
    if study is None:
        raise ValueError("a study's record begins with an instance")
    return study


def without_instances(study: StudyRecord, removed: Iterable[InstanceRecord]) -> StudyRecord | None:
    """The record of a study after `removed` are gone; None when nothing is left.

    Raises KeyError when they are more than the record counts.
    """
    series = dict(study.series)
    for instance in removed:
        before = series.pop(instance.identifiers.series_instance_uid)
        after = replace(
            before,
            sop_classes=_counted(before.sop_classes, instance.sop_class_uid, -1),
            transfer_syntaxes=_counted(before.transfer_syntaxes, instance.transfer_syntax_uid, -1),
        )
        if after.instance_count:
            series[after.series_instance_uid] = after
    return replace(study, series=series) if series else None


def terms_of(study: StudyRecord) -> frozenset[Term]:
    """Every index term of a study but those of its single instances, for all levels (see `terms_of_instance`)."""
    sources: list[tuple[Level, DicomJson]] = [
        (Level.STUDY, study.attributes),
        *((Level.SERIES, series.attributes) for series in study.series.values()),
        # Of what only instances have, the study knows their classes.
        (Level.INSTANCE, {TAG["SOPClassUID"]: {"vr": "UI", "Value": study.sop_classes}}),
    ]
    return frozenset({EVERY_STUDY, *(term for level, attributes in sources for term in _terms(level, attributes))})


def terms_of_instance(identifiers: InstanceIdentifiers) -> frozenset[Term]:
    """The index terms that a single instance has for itself."""
    return frozenset({Term("SOPInstanceUID", identifiers.sop_instance_uid, identifiers.series_instance_uid)})


def _terms(level: Level, attributes: DicomJson) -> Iterator[Term]:
    for key in SEARCHABLE:
        if key.level is level and is_posted(key):
            for attribute in _attributes_at(attributes, key):
                for form in comparable_values(attribute):
                    yield Term(key.keyword, form)


def _attributes_at(attributes: DicomJson, key: MatchingKey) -> Iterator[DicomJson]:
    found = [attributes[key.path[0]]] if key.path[0] in attributes else []
    for tag in key.path[1:]:
        items = [item for sequence in found for item in sequence.get("Value", ()) if isinstance(item, Mapping)]
        found = [item[tag] for item in items if tag in item]
    yield from found


def _counted(counts: Mapping[str, int], key: str, change: int) -> dict[str, int]:
    counted = Counter(counts)
    counted[key] += change
    return dict(+counted)

"""What the archive knows about a study and its series, and how storing and removing instances changes it.

A study's record is derived from its series' records, and these from the stored instances: counts, modalities, SOP
classes and index terms are recomputed with each change, so they cannot drift. Pure; the catalog keeps the records.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from shared.archive.instance import DicomJson, InstanceFacts, NewInstance
from shared.archive.tag_values import values_of_tags
from shared.archive.terms import Term
from shared.dicom.attributes import BY_TAG, TAG, Level, level_of
from shared.dicom.dicom_json_text import DeflatedValues
from shared.dicom.identifiers import StudyKey

_MAX_SHARED_ATTRIBUTE_LENGTH: Final = 4096
_MAX_MODALITY_BYTES: Final = 16  # of a CS


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """A series: its attributes as in the instance stored last, and how many instances are of which kind."""

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
    """A study with its series, by UID. `created`, when it was first stored, stays; `posted`: its terms in the index."""

    key: StudyKey
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
        return sorted({value for series in self.series.values() for value in _modalities(series.attributes)})

    @property
    def sop_classes(self) -> list[str]:
        """The distinct SOP classes of the instances, sorted."""
        return sorted({uid for series in self.series.values() for uid in series.sop_classes})


def modality_of(series_attributes: DicomJson) -> str:
    """The modality of a series with these attributes; "" where there is none, or none of up to 16 bytes (PS3.5 6.2)."""
    found = [value for value in _modalities(series_attributes) if len(value.encode()) <= _MAX_MODALITY_BYTES]
    return found[0] if found else ""


def _modalities(series_attributes: DicomJson) -> list[str]:
    return [str(value) for value in series_attributes.get(TAG["Modality"], {}).get("Value", ()) if value]


def split_by_level(metadata: DicomJson) -> tuple[DicomJson, DicomJson]:
    """The study-level and the series-level attributes of an instance's metadata.

    Two kinds stay with the instance alone: those that contain a bulk value, whose BulkDataURI is valid only there, and
    oversized ones, which would not fit the rows.
    """
    found: dict[Level, dict[str, Any]] = {Level.STUDY: {}, Level.SERIES: {}, Level.INSTANCE: {}}
    for tag, attribute in metadata.items():
        if tag in BY_TAG and _is_shared(attribute):
            found[level_of(tag)][tag] = attribute
    return found[Level.STUDY], found[Level.SERIES]


def _is_shared(attribute: DicomJson) -> bool:
    if isinstance(attribute.get("Value"), DeflatedValues) or _has_bulk_value(attribute):
        return False
    return len(json.dumps(attribute)) <= _MAX_SHARED_ATTRIBUTE_LENGTH


def _has_bulk_value(attribute: DicomJson) -> bool:
    """Whether there is a reference to one, not a value that reads like it."""
    items = attribute.get("Value", ()) if attribute["vr"] == "SQ" else ()
    return "BulkDataURI" in attribute or any(_has_bulk_value(inner) for item in items for inner in item.values())


def with_instances(study: StudyRecord | None, added: Iterable[NewInstance], now: datetime) -> StudyRecord:
    """The record of a study once `added`, all of that study and none in it yet, are stored; `study` None: a new one.

    Study and series take their attributes from the last of their instances in `added`: the latest store wins. Of a
    tag it is the latest that has values, as in Microsoft's service.
    """
    for instance in added:
        identifiers = instance.facts.identifiers
        if study is None:
            study = StudyRecord(identifiers.study, now, {}, {})
        before = study.series.get(identifiers.series_instance_uid)
        after = SeriesRecord(
            identifiers.series_instance_uid,
            {**values_of_tags(before.attributes if before else {}), **instance.series_attributes},
            _counted(before.sop_classes if before else {}, instance.facts.sop_class_uid, +1),
            _counted(before.transfer_syntaxes if before else {}, instance.facts.transfer_syntax_uid, +1),
        )
        series = {**study.series, after.series_instance_uid: after}
        attributes = {**values_of_tags(study.attributes), **instance.study_attributes}
        study = replace(study, attributes=attributes, series=series)
    if study is None:
        raise ValueError("a study's record begins with an instance")
    return study


def without_instances(study: StudyRecord, removed: Iterable[InstanceFacts]) -> StudyRecord | None:
    """The record of a study once `removed` are gone; None when nothing is left.

    Raises KeyError when the record counts fewer.
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


def _counted(counts: Mapping[str, int], key: str, change: int) -> dict[str, int]:
    counted = Counter(counts)
    counted[key] += change
    return dict(+counted)

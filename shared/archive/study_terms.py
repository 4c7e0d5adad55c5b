"""The index terms that a study and its instances have. Pure."""

from collections.abc import Iterator, Mapping

from shared.archive.instance import DicomJson
from shared.archive.study import StudyRecord
from shared.archive.terms import EVERY_STUDY, Term, is_posted
from shared.dicom.attributes import SEARCHABLE, TAG, Level, MatchingKey
from shared.dicom.comparable_values import comparable_values
from shared.dicom.identifiers import InstanceIdentifiers


def terms_of(study: StudyRecord) -> frozenset[Term]:
    """Every index term of a study, at all levels, except its single instances' (see `terms_of_instance`)."""
    sources: list[tuple[Level, DicomJson]] = [
        (Level.STUDY, study.attributes),
        *((Level.SERIES, series.attributes) for series in study.series.values()),
        # The only attribute of its instances that a study knows.
        (Level.INSTANCE, {TAG["SOPClassUID"]: {"vr": "UI", "Value": study.sop_classes}}),
    ]
    return frozenset({EVERY_STUDY, *(term for level, attributes in sources for term in _terms(level, attributes))})


def terms_of_instance(identifiers: InstanceIdentifiers) -> frozenset[Term]:
    """The index terms of a single instance."""
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

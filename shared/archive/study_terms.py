"""The index terms that a study and its instances have. Pure."""

from collections.abc import Iterator, Mapping

from shared.archive.instance import NOTHING, DicomJson
from shared.archive.study import StudyRecord
from shared.archive.tag_values import forms_of_tags
from shared.archive.terms import EVERY_STUDY, Term, is_posted
from shared.dicom.attributes import SEARCHABLE, TAG, Level, MatchingKey
from shared.dicom.comparable_values import comparable_values
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey


def terms_of(study: StudyRecord) -> frozenset[Term]:
    """Every index term of a study, at all levels, except its single instances' (see `terms_of_instance`)."""
    sources: list[tuple[Level, DicomJson]] = [
        (Level.STUDY, study.attributes),
        *((Level.SERIES, series.attributes) for series in study.series.values()),
        # The only attribute of its instances that a study knows.
        (Level.INSTANCE, {TAG["SOPClassUID"]: {"vr": "UI", "Value": study.sop_classes}}),
    ]
    return frozenset({EVERY_STUDY, *(term for level, attributes in sources for term in _terms(level, attributes))})


def terms_of_instance(identifiers: InstanceIdentifiers, tags: DicomJson = NOTHING) -> frozenset[Term]:
    """The index terms of a single instance, which has these values of tags."""
    series, instance = identifiers.series_instance_uid, identifiers.sop_instance_uid
    of_tags = (Term(name, form, series, instance) for name, form in forms_of_tags(tags))
    return frozenset({Term("SOPInstanceUID", instance, series), *of_tags})


def instance_of(study: StudyKey, term: Term) -> InstanceIdentifiers | None:
    """The instance of a study whose term it is; None where it is the study's."""
    if not term.series_instance_uid:
        return None
    return InstanceIdentifiers(study, term.series_instance_uid, term.sop_instance_uid or term.value)


def _terms(level: Level, attributes: DicomJson) -> Iterator[Term]:
    yield from (Term(name, form) for name, form in forms_of_tags(attributes))
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

"""What a search returns of a match (PS3.18 10.6.3.3): from records to data sets of the DICOM JSON Model.

A result has the attributes of its level that PS3.18 requires and Microsoft's v2 adds, those of higher levels that the
request's path does not fix, and what `includefield` and the matching keys name.
"""

from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from operator import itemgetter
from typing import Any, Final

from shared.archive.instance import DicomJson
from shared.archive.study import SeriesRecord, StudyRecord
from shared.archive.tag_values import without_tags
from shared.dicom.attributes import ATTRIBUTES, TAG, Level, level_of
from shared.dicom.dicom_json_reader import Attribute
from shared.dicom.identifiers import ResourceIdentifiers
from shared.search.query import SearchQuery
from shared.search.query_tags import is_private

_RETURNED: Final = {
    level: frozenset(known.tag for known in ATTRIBUTES if known.is_returned and known.level is level) for level in Level
}

_OF_AN_ARCHIVE: Final = frozenset(
    TAG[keyword]
    for keyword in (
        "RetrieveURL",
        "InstanceAvailability",
        "ModalitiesInStudy",
        "SOPClassesInStudy",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
        "NumberOfSeriesRelatedInstances",
    )
)


def study_attributes(study: StudyRecord, service_url: str) -> dict[str, Any]:
    """All study-level attributes of a study, including those that the archive makes, and its values of tags."""
    path = study.key.path
    attributes = {
        **study.attributes,
        TAG["InstanceAvailability"]: {"vr": "CS", "Value": ["ONLINE"]},
        TAG["ModalitiesInStudy"]: {"vr": "CS", "Value": study.modalities},
        TAG["SOPClassesInStudy"]: {"vr": "UI", "Value": study.sop_classes},
        TAG["RetrieveURL"]: {"vr": "UR", "Value": [f"{service_url}/{path}"]},
        TAG["NumberOfStudyRelatedSeries"]: {"vr": "IS", "Value": [len(study.series)]},
        TAG["NumberOfStudyRelatedInstances"]: {"vr": "IS", "Value": [study.instance_count]},
    }
    if not study.modalities:
        # Left out rather than empty: if it is there without values, OHIF shows no study at all.
        del attributes[TAG["ModalitiesInStudy"]]
    return attributes


def series_attributes(
    study: StudyRecord, of_study: Mapping[str, Any], series: SeriesRecord, service_url: str
) -> dict[str, Any]:
    """All attributes of a series and of its study, the latter given as `of_study`."""
    path = ResourceIdentifiers(study.key, series.series_instance_uid).path
    return {
        **of_study,
        **series.attributes,
        TAG["RetrieveURL"]: {"vr": "UR", "Value": [f"{service_url}/{path}"]},
        TAG["NumberOfSeriesRelatedInstances"]: {"vr": "IS", "Value": [series.instance_count]},
    }


def returned_tags(query: SearchQuery, fixed: Level | None) -> frozenset[str]:
    """The tags that the query returns, besides all of its level and above if `include_all`.

    `fixed` is the lowest level that the request's path names: what is the same for all results is not repeated, except
    the UIDs.
    """
    wanted = {*query.include_tags, TAG["StudyInstanceUID"], TAG["RetrieveURL"]}
    if query.level > Level.STUDY:
        wanted.add(TAG["SeriesInstanceUID"])
    for level in Level:
        if level <= query.level and (fixed is None or level > fixed):
            wanted |= _RETURNED[level]
    return frozenset(wanted)


def record_result(attributes: DicomJson, query: SearchQuery, returned: frozenset[str]) -> list[tuple[str, Attribute]]:
    """What the query returns of a study or series that has these attributes and values of tags, in tag order."""
    return sorted(result(_as_attributes(attributes, query).items(), query, returned))


def _as_attributes(attributes: DicomJson, query: SearchQuery) -> dict[str, Any]:
    """The attributes, with the values of the extended query tags that the query names among them, and of no others.

    An attribute that has values is whole; what is kept of it for a tag may be less, or older. A private one may be that
    of another creator.
    """
    found = without_tags(attributes)
    for name, tag in query.tags.items():
        if name in attributes and (is_private(tag) or not found.get(tag, {}).get("Value")):
            found[tag] = attributes[name]
    return found


def result(
    attributes: Iterable[tuple[str, Attribute]], query: SearchQuery, returned: frozenset[str]
) -> Iterator[tuple[str, Attribute]]:
    """Those of the `attributes` that the query returns."""
    for tag, attribute in attributes:
        if tag in returned or (query.include_all and level_of(tag) <= query.level):
            yield tag, attribute


def instance_result(
    of_series: Mapping[str, Any],
    sop_instance_uid: str,
    tags: DicomJson,
    metadata: Iterable[tuple[str, Attribute]],
    query: SearchQuery,
    returned: frozenset[str],
) -> Iterator[tuple[str, Attribute]]:
    """What the query returns of an instance, its values of `tags`, and its series and study, both given as `of_series`.

    `metadata`, in tag order, wins, but for those attributes that only an archive can know, which a file may have from
    another one, and private ones that are returned of a tag, which may be those of another creator.
    """
    url = f"{of_series[TAG['RetrieveURL']]['Value'][0]}/instances/{sop_instance_uid}"
    above = _as_attributes({**of_series, **tags, TAG["RetrieveURL"]: {"vr": "UR", "Value": [url]}}, query)
    others = _OF_AN_ARCHIVE.union(filter(is_private, query.tags.values()))
    own = ((tag, attribute) for tag, attribute in result(metadata, query, returned) if tag not in others)
    before = ""
    for tag, attribute in merge(own, sorted(result(above.items(), query, returned)), key=itemgetter(0)):
        if tag != before:
            yield tag, attribute
        before = tag

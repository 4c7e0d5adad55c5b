"""What a search returns of a match (PS3.18 10.6.3.3): from records to data sets of the DICOM JSON Model.

A result has the attributes of its level that PS3.18 requires and Microsoft's v2 adds, those of higher levels that the
request's path does not fix, and what `includefield` and the matching keys name.
"""

from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from operator import itemgetter
from typing import Any, Final

from shared.archive.study import SeriesRecord, StudyRecord
from shared.dicom.attributes import ATTRIBUTES, TAG, Level, level_of
from shared.dicom.dicom_json_reader import Attribute
from shared.dicom.identifiers import ResourceIdentifiers
from shared.search.query import SearchQuery

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
    """All study-level attributes of a study, including those that the archive makes."""
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
    metadata: Iterable[tuple[str, Attribute]],
    query: SearchQuery,
    returned: frozenset[str],
) -> Iterator[tuple[str, Attribute]]:
    """What the query returns of an instance and of its series and study, the latter two given as `of_series`.

    `metadata`, in tag order, wins, but for those attributes that only an archive can know: a file may have them from
    another one.
    """
    url = f"{of_series[TAG['RetrieveURL']]['Value'][0]}/instances/{sop_instance_uid}"
    above = {**of_series, TAG["RetrieveURL"]: {"vr": "UR", "Value": [url]}}
    own = ((tag, attribute) for tag, attribute in metadata if tag not in _OF_AN_ARCHIVE)
    before = ""
    for tag, attribute in merge(
        result(own, query, returned), result(sorted(above.items()), query, returned), key=itemgetter(0)
    ):
        if tag != before:
            yield tag, attribute
        before = tag

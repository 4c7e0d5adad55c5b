from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from shared.archive.study import SeriesRecord, StudyRecord
from shared.dicom.attributes import BY_KEYWORD, TAG, Level
from shared.dicom.identifiers import StudyKey
from shared.search.query import SearchQuery, parse_search
from shared.search.search_response import (
    instance_result,
    result,
    returned_tags,
    series_attributes,
    study_attributes,
)
from shared.settings import Settings
from tests.support.default_partition import study_key
from tests.support.documents import CONFORMANCE, rows

URL: Final = "https://dicom.example.org/v2"
UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
# PS3.18 Tables 10.6.3-3 to -5, and what the conformance statement adds to them.
RETURNED: Final = {
    level: keywords.split(", ") for level, (_, keywords) in zip(Level, rows(CONFORMANCE, "of each"), strict=True)
}


def attributes(**values: Any) -> dict[str, Any]:
    """A data set by keyword: one value each, or a list of them."""
    return {
        TAG[keyword]: {"vr": BY_KEYWORD[keyword].vr, "Value": value if isinstance(value, list) else [value]}
        for keyword, value in values.items()
    }


def all_of_instance(of_series: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    query = asked("includefield=all", Level.INSTANCE)
    return dict(instance_result(of_series, "1.2.3", {}, sorted(metadata.items()), query, frozenset()))


def tags(*keywords: str) -> set[str]:
    return {TAG[keyword] for keyword in keywords}


def asked(query_string: str, level: Level) -> SearchQuery:
    return parse_search(query_string, level, Settings(), is_within_study=True)


CT: Final = SeriesRecord(
    "1.2",
    attributes(Modality="CT", SeriesInstanceUID="1.2", NumberOfSeriesRelatedInstances=99, Manufacturer="M"),
    {"1.2.840.10008.5.1.4.1.1.2": 2, "1.2.840.10008.5.1.4.1.1.7": 1},
    {"1.2.840.10008.1.2": 3},
)
SR: Final = SeriesRecord(
    "1.3",
    attributes(Modality="SR", SeriesInstanceUID="1.3"),
    {"1.2.840.10008.5.1.4.1.1.88.11": 4},
    {"1.2.840.10008.1.2": 4},
)
# What files say of their study is theirs, unless only an archive can know it.
CLAIMED: Final = attributes(
    InstanceAvailability="OFFLINE",
    ModalitiesInStudy=["MR"],
    SOPClassesInStudy=["1.9"],
    RetrieveURL="https://elsewhere.example.org/studies/1",
    NumberOfStudyRelatedSeries=98,
    NumberOfStudyRelatedInstances=99,
)
PATIENT: Final = attributes(StudyInstanceUID="1", PatientID="ID1", PatientSex="F")
STUDY: Final = StudyRecord(study_key("1"), datetime(2026, 1, 1, tzinfo=UTC), PATIENT | CLAIMED, {"1.2": CT, "1.3": SR})

OF_STUDY: Final = PATIENT | attributes(
    InstanceAvailability="ONLINE",
    ModalitiesInStudy=["CT", "SR"],
    SOPClassesInStudy=[
        "1.2.840.10008.5.1.4.1.1.2",
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.840.10008.5.1.4.1.1.88.11",
    ],
    RetrieveURL=f"{URL}/studies/1",
    NumberOfStudyRelatedSeries=2,
    NumberOfStudyRelatedInstances=7,
)
OF_SERIES: Final = OF_STUDY | attributes(
    Modality="CT",
    Manufacturer="M",
    SeriesInstanceUID="1.2",
    RetrieveURL=f"{URL}/studies/1/series/1.2",
    NumberOfSeriesRelatedInstances=3,
)


def test_a_study_has_its_attributes_and_what_the_archive_knows_of_it() -> None:
    assert study_attributes(STUDY, URL) == OF_STUDY


def test_a_study_of_another_partition_is_retrieved_there() -> None:
    study = replace(STUDY, key=StudyKey("hospital-1", "1"))
    of_study = study_attributes(study, URL)
    of_series = series_attributes(study, of_study, CT, URL)
    of_instance = all_of_instance(of_series, attributes(SOPInstanceUID="1.2.3"))
    assert [found[TAG["RetrieveURL"]]["Value"] for found in (of_study, of_series, of_instance)] == [
        [f"{URL}/partitions/hospital-1/studies/1"],
        [f"{URL}/partitions/hospital-1/studies/1/series/1.2"],
        [f"{URL}/partitions/hospital-1/studies/1/series/1.2/instances/1.2.3"],
    ]


def test_modalities_that_no_series_has_are_left_out() -> None:
    without = replace(CT, attributes=attributes(SeriesInstanceUID="1.2", Modality=[]))
    study = study_attributes(replace(STUDY, series={"1.2": without}), URL)
    assert TAG["ModalitiesInStudy"] not in study
    assert study[TAG["NumberOfStudyRelatedSeries"]]["Value"] == [1]


def test_a_series_also_has_what_its_study_has() -> None:
    assert series_attributes(STUDY, OF_STUDY, CT, URL) == OF_SERIES


def test_an_instance_also_has_what_its_series_and_study_have() -> None:
    metadata = attributes(
        SOPInstanceUID="1.2.3", StudyInstanceUID="1", SeriesInstanceUID="1.2", PatientID="as it was", Rows=512
    )
    claimed = CLAIMED | attributes(NumberOfSeriesRelatedInstances=97)
    found = all_of_instance(OF_SERIES, claimed | metadata)
    assert found == OF_SERIES | metadata | attributes(RetrieveURL=f"{URL}/studies/1/series/1.2/instances/1.2.3")
    assert list(found) == sorted(found)


@pytest.mark.parametrize("level", Level)
def test_what_is_returned_unasked(level: Level) -> None:
    keywords = {keyword for above in Level if above <= level for keyword in RETURNED[above]}
    assert returned_tags(asked("", level), None) == tags(*keywords)


@pytest.mark.parametrize(
    ("level", "fixed"),
    [(Level.SERIES, Level.STUDY), (Level.INSTANCE, Level.STUDY), (Level.INSTANCE, Level.SERIES)],
)
def test_what_the_path_fixes_is_not_repeated_but_for_uids(level: Level, fixed: Level) -> None:
    keywords = {keyword for below in Level if fixed < below <= level for keyword in RETURNED[below]}
    assert returned_tags(asked("", level), fixed) == tags(*keywords, "RetrieveURL", *UIDS[:level])


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize(
    "query_string",
    ["includefield=PatientAge,00101020", "includefield=PatientAge&PatientSize=1.7", "PatientAge=&00101020=*"],
)
def test_what_is_included_or_matched_is_returned_too(query_string: str, level: Level) -> None:
    for fixed in (None, Level.STUDY):
        unasked = returned_tags(asked("", level), fixed)
        assert returned_tags(asked(query_string, level), fixed) == unasked | tags("PatientAge", "PatientSize")


WHOLE: Final[Mapping[str, Any]] = {
    "7FE00010": {"vr": "OW", "BulkDataURI": "bulkdata/7FE00010"},
    **attributes(Rows=512, Manufacturer="M", Modality="CT", StudyInstanceUID="1", PatientAge="030Y"),
}


def test_a_result_has_what_is_returned_as_far_as_it_is_there_in_the_order_of_tags() -> None:
    found = result(
        sorted(WHOLE.items()), asked("", Level.INSTANCE), frozenset(tags("StudyInstanceUID", "Modality", "StudyID"))
    )
    assert list(found) == [(tag, WHOLE[tag]) for tag in (TAG["Modality"], TAG["StudyInstanceUID"])]


@pytest.mark.parametrize(
    ("level", "keywords"),
    [
        (Level.STUDY, ["PatientAge", "StudyInstanceUID"]),
        (Level.SERIES, ["Modality", "Manufacturer", "PatientAge", "StudyInstanceUID"]),
        (Level.INSTANCE, ["Modality", "Manufacturer", "PatientAge", "StudyInstanceUID", "Rows"]),
    ],
)
def test_all_is_everything_of_the_level_and_above(level: Level, keywords: list[str]) -> None:
    found = result(sorted(WHOLE.items()), asked("includefield=all", level), frozenset())
    last = ["7FE00010"] if level is Level.INSTANCE else []
    assert list(found) == [(tag, WHOLE[tag]) for tag in (*(TAG[keyword] for keyword in keywords), *last)]


def test_all_does_not_hide_what_else_is_asked_for() -> None:
    query = asked("includefield=all&includefield=Modality", Level.STUDY)
    found = result(sorted(WHOLE.items()), query, returned_tags(query, None))
    assert {tag for tag, _ in found} == tags("PatientAge", "StudyInstanceUID", "Modality")

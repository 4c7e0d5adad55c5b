"""The filter of a subscription, asked of a study as the archive knows it."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from shared.archive.study import SeriesRecord, StudyRecord
from shared.dicom.attributes import TAG
from shared.errors import BadRequest
from shared.search.filters import matching_series, parse_filter
from shared.settings import Settings
from tests.support.default_partition import study_key


def attributes(**values: str) -> dict[str, Any]:
    return {TAG[keyword]: {"vr": "LO", "Value": [value]} for keyword, value in values.items()}


def series(uid: str, modality: str) -> SeriesRecord:
    return SeriesRecord(uid, attributes(Modality=modality, SeriesInstanceUID=uid), {"1.2.840": 1}, {"1.2": 1})


STUDY: Final = StudyRecord(
    study_key("1.2"),
    datetime(2026, 1, 1, tzinfo=UTC),
    attributes(StudyInstanceUID="1.2", StudyDescription="Head and neck"),
    {"1.2.1": series("1.2.1", "CT"), "1.2.2": series("1.2.2", "MR")},
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Modality=CT", {"1.2.1"}),
        ("Modality=CT,MR", {"1.2.1", "1.2.2"}),
        ("StudyDescription=Head*", {"1.2.1", "1.2.2"}),
        ("StudyDescription=Head*&Modality=MR", {"1.2.2"}),
        ("StudyDescription=Head*&Modality=US", set()),
        ("StudyDescription=Knee&Modality=CT", None),
    ],
)
def test_series_that_match(given: str, expected: Collection[str] | None) -> None:
    query = parse_filter(given, Settings())
    assert query is not None
    assert matching_series(query, STUDY, "http://host/v2") == expected


def test_no_filter_is_none() -> None:
    assert parse_filter("", Settings()) is None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("SOPInstanceUID=1.2", "SOPInstanceUID"),
        ("InstanceNumber=1", "InstanceNumber"),
        ("StudyInstanceUID=1.2&Rows=3", "Rows"),
        ("StudyInstanceUID=1.2&StationName=A", "StationName"),
        ("limit=3", "limit"),
        ("Modality=CT&privateCreator=ACME", "privateCreator"),
        ("Modality=CT&OFFSET=3", "offset"),
        ("includefield=all", "includefield"),
        ("modality=CT", "Modality"),
        ("StudyDate=yesterday", "StudyDate"),
    ],
)
def test_other_keys_are_refused_by_name(given: str, named: str) -> None:
    with pytest.raises(BadRequest, match=named):
        parse_filter(given, Settings())

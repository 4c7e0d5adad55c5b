"""What a query may ask of extended query tags, and what is answered of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from shared.archive.extended_tags import ExtendedTag, QueryStatus, TagSet, TagStatus
from shared.archive.study import SeriesRecord, StudyRecord
from shared.dicom.attributes import TAG, Level
from shared.errors import BadRequest
from shared.search.matching import AnyOf, EachOf, Empty, Matcher, Range, Words
from shared.search.query import SearchQuery, parse_search, tags_asked
from shared.search.query_tags import TagNotReady
from shared.search.search_response import (
    instance_result,
    record_result,
    returned_tags,
    series_attributes,
    study_attributes,
)
from shared.settings import Settings
from tests.support.default_partition import study_key

AGE, DISABLED, ADDING, MODALITY = "00101010", "00101020", "00080070", "00080060"
CODE: Final = ("0040A043", "00080104")


def tag(path: Sequence[str], vr: str, level: Level, creator: str = "", **changes: Any) -> ExtendedTag:
    return ExtendedTag(0, tuple(path), vr, creator, level, changes.pop("status", TagStatus.READY), **changes)


TAGS: Final = TagSet().with_added(
    [
        tag([AGE], "AS", Level.STUDY, error_count=2),
        tag([DISABLED], "DS", Level.STUDY, query_status=QueryStatus.DISABLED),
        tag([ADDING], "LO", Level.SERIES, status=TagStatus.ADDING, operation_id="0" * 32),
        tag([MODALITY], "CS", Level.SERIES),  # searchable without
        tag(CODE, "LO", Level.INSTANCE),
        tag(["00091001"], "LO", Level.SERIES, "ACME"),
        tag(["00091001"], "US", Level.STUDY, "OTHER"),
        tag(["000B1001"], "LO", Level.STUDY, "ACME"),
        tag(["00081050"], "PN", Level.SERIES),
        tag(["00080021"], "DA", Level.SERIES),
        tag(["00080031"], "TM", Level.SERIES, error_count=1),
        tag(["00100032"], "TM", Level.STUDY),
        tag(["00080022"], "DA", Level.SERIES),
        tag(["00080032"], "TM", Level.INSTANCE),
    ]
)


def parsed(query_string: str, level: Level = Level.INSTANCE, *, is_within_study: bool = False) -> SearchQuery:
    return parse_search(query_string, level, Settings(), is_within_study=is_within_study, tags=TAGS)


def required(query: SearchQuery) -> dict[str, Any]:
    return {name: asked for level in Level for name, asked in query.requirements[level].items()}


@pytest.mark.parametrize(
    ("query_string", "level", "expected"),
    [
        ("PatientAge=070Y", Level.STUDY, {"~AS1": AnyOf({"070y"})}),
        ("00101010=070Y", Level.INSTANCE, {"~AS1": AnyOf({"070y"})}),
        ("0040a043.00080104=x", Level.INSTANCE, {"~LO5": {"00080104": AnyOf({"x"})}}),
        ("ConceptNameCodeSequence.CodeMeaning=x", Level.INSTANCE, {"~LO5": {"00080104": AnyOf({"x"})}}),
        ("00091001=x&privateCreator=ACME", Level.SERIES, {"~LO6": AnyOf({"x"})}),
        ("00091001=1&PRIVATECREATOR=OTHER", Level.SERIES, {"~US7": AnyOf({"1"})}),
        ("000b1001=x", Level.SERIES, {"~LO8": AnyOf({"x"})}),
        ("000b1001=x&PatientAge=070Y&privatecreator=ACME", 2, {"~LO8": AnyOf({"x"}), "~AS1": AnyOf({"070y"})}),
        ("00081050=Doe+J&fuzzymatching=true", Level.SERIES, {"~PN9": Words(("doe", "j"))}),
        ("Modality=CT", Level.SERIES, {MODALITY: AnyOf({"ct"})}),
        ("emptyvaluematching=true&PatientAge=%22%22", Level.STUDY, {"~AS1": Empty()}),
    ],
)
def test_a_tag_is_a_key_that_matches_its_own_values(
    query_string: str, level: int, expected: Mapping[str, Matcher | Mapping[str, Matcher]]
) -> None:
    query = parsed(query_string, Level(level))
    assert required(query) == expected
    assert len(query.keys) == len(expected)


def test_a_key_is_required_at_its_tags_level() -> None:
    query = parsed("PatientAge=070Y&00081050=x&ConceptNameCodeSequence.CodeMeaning=y")
    assert [set(query.requirements[level]) for level in Level] == [{"~AS1"}, {"~PN9"}, {"~LO5"}]


def test_an_attribute_named_twice_is_one_key() -> None:
    query = parsed("000B1001=a&000b1001=b&multiplevaluematching=true", Level.STUDY)
    assert required(query) == {"~LO8": EachOf((AnyOf({"a"}), AnyOf({"b"})))}


@pytest.mark.parametrize(
    ("query_string", "level", "message"),
    [
        ("PatientSize=1", Level.STUDY, "Query is disabled on specified attribute PatientSize: "),
        (
            "00081050=x",
            Level.STUDY,
            "The parameter 00081050 is not searchable here: it is an extended query tag of level Series.",
        ),
        ("0040a043.00080104=x", Level.SERIES, "is not searchable here"),
        ("00091001=x", Level.SERIES, "00091001 is ambiguous: privateCreator has to be one of ACME, OTHER"),
        ("00091001=", Level.SERIES, "00091001 is ambiguous"),
        ("includefield=00091001", Level.SERIES, "00091001 is ambiguous"),
        ("00091001=x&privateCreator=NOBODY", Level.SERIES, "none that the query names has it"),
        ("00091001=x&privateCreator=ACME", Level.STUDY, "00091001 is not searchable here"),
        ("PatientAge=070Y&privateCreator=ACME", Level.STUDY, "none that the query names has it"),
        ("privateCreator=ACME&privatecreator=ACME", Level.STUDY, "privateCreator is given twice"),
        ("PatientAge=070*", Level.STUDY, "PatientAge holds a wildcard"),
        ("00091001=x&privateCreator=OTHER", Level.SERIES, "00091001 must be a number"),
        ("00101010=a&00101010=b", Level.SERIES, "00101010 takes one value"),
        ("SeriesDate=2026-2025", Level.SERIES, "SeriesDate must be a date"),
        ("SeriesDate=20260102-20260101", Level.SERIES, "SeriesDate is a range that ends before it begins"),
        ("NoSuch=1", Level.STUDY, "StudyTime, PatientAge, 00091001, 000B1001, PatientBirthTime."),
        ("NoSuch=1", Level.INSTANCE, "PatientAge, ConceptNameCodeSequence.CodeMeaning, 00091001, "),
    ],
)
def test_what_cannot_be_asked_is_named_as_the_query_names_it(query_string: str, level: Level, message: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parsed(query_string, level)
    assert message in str(refused.value)
    assert "~" not in str(refused.value)


def test_a_tag_that_is_being_added_is_named_with_its_operation() -> None:
    with pytest.raises(TagNotReady, match="The extended query tag Manufacturer is being added") as refused:
        parsed("Manufacturer=x", Level.SERIES)
    assert (refused.value.name, refused.value.tag.operation_id) == ("Manufacturer", "0" * 32)
    with pytest.raises(BadRequest, match="tag of level Series"):  # however ready
        parsed("Manufacturer=x", Level.STUDY)


@pytest.mark.parametrize(
    ("query_string", "level", "expected"),
    [
        ("PatientAge=070Y", Level.STUDY, {"~AS1": AnyOf({"070y"})}),
        ("PatientSize=1.70", Level.STUDY, {DISABLED: AnyOf({"1.7"})}),
        ("Manufacturer=x", Level.SERIES, {ADDING: AnyOf({"x"})}),
        ("00081050=x", Level.SERIES, {"~PN9": AnyOf({"x"})}),
        ("00080032=10", Level.SERIES, None),  # below the resources, by the tag and by itself
    ],
)
def test_within_a_study_attributes_themselves_are_matched_where_a_tag_cannot_be(
    query_string: str, level: Level, expected: Mapping[str, Matcher] | None
) -> None:
    if expected is None:
        with pytest.raises(BadRequest, match="not searchable here"):
            parsed(query_string, level, is_within_study=True)
    else:
        assert required(parsed(query_string, level, is_within_study=True)) == expected


def test_within_a_study_an_attribute_above_its_tag_is_matched_itself() -> None:
    low = TagSet().with_added([tag([AGE], "AS", Level.INSTANCE)])
    query = parse_search("PatientAge=070Y", Level.SERIES, Settings(), is_within_study=True, tags=low)
    assert required(query) == {AGE: AnyOf({"070y"})}
    assert not query.tags


def test_ranges_of_a_date_and_of_its_time_are_one_where_both_are_of_a_level() -> None:
    query = parsed("SeriesDate=20260101-20260102&SeriesTime=10-12", Level.SERIES)
    (moments,) = query.moments[Level.SERIES]
    assert (moments.date_tag, moments.time_tag) == ("~DA10", "~TM11")
    assert moments.range == Range("20260101100000.000000", "20260102125959.999999")
    assert required(query) == {"~DA10": Range("20260101", "20260102")}
    (moments,) = parsed("PatientBirthDate=20260101-&PatientBirthTime=10-", Level.STUDY).moments[Level.STUDY]
    assert (moments.date_tag, moments.time_tag) == (TAG["PatientBirthDate"], "~TM12")
    apart = parsed("AcquisitionDate=20260101-20260102&AcquisitionTime=10-12")
    assert not any(apart.moments.values())
    assert set(required(apart)) == {"~DA13", "~TM14"}


@pytest.mark.parametrize(
    ("query_string", "erroneous"),
    [
        ("", []),
        ("PatientAge=070Y", ["PatientAge"]),
        ("00101010=070Y&000B1001=x", ["00101010"]),
        ("PatientAge=070Y&00101010=070Y&multiplevaluematching=true", ["PatientAge", "00101010"]),
        ("PatientAge=&includefield=PatientAge", []),
        ("00080031=10&PatientAge=070Y", ["00080031", "PatientAge"]),
    ],
)
def test_keys_whose_tags_miss_instances_are_named_as_the_query_does(query_string: str, erroneous: list[str]) -> None:
    assert parsed(query_string).erroneous == erroneous


@pytest.mark.parametrize(
    ("query_string", "expected"),
    [
        ("PatientID=x&limit=3&fuzzymatching=true&accept=*", (False, False)),
        ("nosuch=1&includefield=nosuch", (False, False)),
        ("PatientAge=070Y", (True, False)),
        ("PatientAge=&includefield=PatientAge,all", (False, False)),  # rows have it anyway
        ("00091001=x", (True, True)),
        ("00091001=*", (False, True)),
        ("includefield=PatientID,00091001", (False, True)),
        ("RequestAttributesSequence.CodeValue=x", (True, False)),
    ],
)
def test_the_tags_are_only_asked_for_where_nothing_else_knows_an_attribute(
    query_string: str, expected: tuple[bool, bool]
) -> None:
    assert tags_asked(query_string) == expected


def lo(*values: str) -> dict[str, Any]:
    return {"vr": "LO", "Value": [*values]}


SERIES: Final = SeriesRecord(
    "1.2",
    {"00081050": {"vr": "PN"}, "~PN9": {"vr": "PN", "Value": [{"Alphabetic": "Doe"}]}, "~LO6": lo("b")},
    {"1.9": 1},
    {"1.2.840.10008.1.2": 1},
)
STUDY: Final = StudyRecord(
    study_key("1"),
    datetime(2026, 1, 1, tzinfo=UTC),
    {AGE: {"vr": "AS", "Value": ["001D"]}, "~AS1": {"vr": "AS", "Value": ["070Y"]}, "~LO8": lo("a"), "~DS99": lo("x")},
    {"1.2": SERIES},
)
OF_STUDY: Final = study_attributes(STUDY, "http://host/v2")
OF_SERIES: Final = series_attributes(STUDY, OF_STUDY, SERIES, "http://host/v2")


def found(query_string: str, level: Level) -> dict[str, Any]:
    """What is returned of the study or its series, besides what is returned unasked."""
    query = parsed(query_string, level)
    attributes = OF_STUDY if level is Level.STUDY else OF_SERIES
    result = list(record_result(attributes, query, returned_tags(query, None)))
    assert [name for name, _ in result] == sorted(name for name, _ in result)
    return {name: attribute for name, attribute in result if name not in returned_tags(parsed("", level), None)}


@pytest.mark.parametrize(
    ("query_string", "level", "expected"),
    [
        ("", Level.STUDY, {}),
        ("000B1001=a", Level.STUDY, {"000B1001": lo("a")}),
        ("000B1001=", Level.STUDY, {"000B1001": lo("a")}),
        ("includefield=000b1001", Level.SERIES, {"000B1001": lo("a")}),
        ("00091001=b&privateCreator=ACME", Level.SERIES, {"00091001": lo("b")}),
        ("00091001=b&privateCreator=OTHER&includefield=00091001", Level.SERIES, None),
        # the attribute itself, where it has values
        ("PatientAge=070Y", Level.STUDY, {AGE: {"vr": "AS", "Value": ["001D"]}}),
        ("00081050=Doe", Level.SERIES, {"00081050": {"vr": "PN", "Value": [{"Alphabetic": "Doe"}]}}),
        ("includefield=all", Level.STUDY, {AGE: {"vr": "AS", "Value": ["001D"]}}),
    ],
)
def test_values_of_tags_are_returned_as_attributes_where_they_are_asked_for(
    query_string: str, level: Level, expected: dict[str, Any] | None
) -> None:
    if expected is None:
        with pytest.raises(BadRequest, match="number"):
            parsed(query_string, level)
        return
    of_an_archive = {TAG[name] for name in ("SOPClassesInStudy", "NumberOfStudyRelatedInstances")}
    assert {name: one for name, one in found(query_string, level).items() if name not in of_an_archive} == expected


METADATA: Final = {
    "00080070": lo("M"),
    "00090010": lo("STRANGER"),
    "00091001": lo("of a stranger"),
    "0040A043": {"vr": "SQ", "Value": [{"00080104": lo("x"), "00080100": lo("1")}]},
}
VALUES: Final = {"~LO5": {"vr": "SQ", "Value": [{"00080104": lo("x")}]}, "~LO15": lo("ours")}
PRIVATE: Final = TAGS.without(6, "").without(7, "").with_added([tag(["00091001"], "LO", Level.INSTANCE, "ACME")])


@pytest.mark.parametrize(
    ("query_string", "expected"),
    [
        ("ConceptNameCodeSequence.CodeMeaning=x", {"0040A043": METADATA["0040A043"]}),
        ("00091001=ours", {"00091001": lo("ours")}),
        ("includefield=00091001&000B1001=a", {"00091001": lo("ours"), "000B1001": lo("a")}),
        ("includefield=all&00091001=ours", METADATA),  # private ones are there, with their creators
    ],
)
def test_an_instance_has_its_own_values_but_private_ones_of_the_tags_creator(
    query_string: str, expected: dict[str, Any]
) -> None:
    numbered = replace(PRIVATE, tags=tuple(replace(one, number=15) if one.number > 14 else one for one in PRIVATE.tags))
    query = parse_search(query_string, Level.INSTANCE, Settings(), tags=numbered)
    of_series = {TAG["RetrieveURL"]: OF_SERIES[TAG["RetrieveURL"]], "~LO8": lo("a"), "~LO6": lo("b")}
    returned = returned_tags(query, None)
    result = list(instance_result(of_series, "1.2.3", VALUES, sorted(METADATA.items()), query, returned))
    assert [name for name, _ in result] == sorted(name for name, _ in result)
    assert {name: one for name, one in result if name != TAG["RetrieveURL"]} == expected


def test_an_instance_may_be_ruled_out_by_its_values_alone() -> None:
    query = parsed("ConceptNameCodeSequence.CodeMeaning=x&PatientAge=070Y")
    assert query.may_be_met(VALUES)
    assert not query.may_be_met({})
    assert parsed("SOPInstanceUID=1.2").may_be_met({})

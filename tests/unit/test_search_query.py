from dataclasses import replace

import pytest

from shared.attributes import BY_KEYWORD, TAG, Level
from shared.errors import BadRequest
from shared.matching import AnyOf, DateRange, Matcher
from shared.search_query import parse_search
from shared.settings import Settings

SETTINGS = Settings()


def predicates(query_string: str, level: Level = Level.INSTANCE) -> dict[str, Matcher]:
    query = parse_search(query_string, level, SETTINGS)
    return {predicate.attribute.keyword: predicate.matcher for predicate in query.predicates}


@pytest.mark.parametrize(
    ("query_string", "expected"),
    [
        ("", {}),
        ("PatientID=ID1", {"PatientID": AnyOf({"id1"})}),
        ("00100020=ID1", {"PatientID": AnyOf({"id1"})}),
        ("0020000d=1.2", {"StudyInstanceUID": AnyOf({"1.2"})}),
        ("PatientName=Doe%5EJohn", {"PatientName": AnyOf({"doe^john"})}),
        ("PatientName=Doe+van", {"PatientName": AnyOf({"doe van"})}),
        ("PatientID=a%2Cb", {"PatientID": AnyOf({"a,b"})}),
        ("StudyInstanceUID=1.2,1.3", {"StudyInstanceUID": AnyOf({"1.2", "1.3"})}),
        ("StudyInstanceUID=1.2%5C1.3", {"StudyInstanceUID": AnyOf({"1.2", "1.3"})}),
        ("StudyInstanceUID=1.2&StudyInstanceUID=1.3", {"StudyInstanceUID": AnyOf({"1.2", "1.3"})}),
        ("ModalitiesInStudy=CT,MR", {"ModalitiesInStudy": AnyOf({"ct", "mr"})}),
        ("StudyDate=20200131", {"StudyDate": AnyOf({"20200131"})}),
        ("StudyDate=20200101-20200131", {"StudyDate": DateRange("20200101", "20200131")}),
        ("StudyDate=20200101-", {"StudyDate": DateRange("20200101", "")}),
        ("StudyDate=-20200131", {"StudyDate": DateRange("", "20200131")}),
        # dcm4che and Weasis send empty values for the attributes they want back
        ("PatientID=&PatientName=&StudyDate=&StudyInstanceUID=", {}),
        ("PatientName=*", {}),
        ("accept=application/dicom%2Bjson&charset=utf-8", {}),
        ("&&PatientID=x&", {"PatientID": AnyOf({"x"})}),
    ],
)
def test_matching_keys(query_string: str, expected: dict[str, Matcher]) -> None:
    assert predicates(query_string) == expected


@pytest.mark.parametrize(
    ("query_string", "message"),
    [
        ("NoSuch=1", "NoSuch is not searchable here. Searchable are: AccessionNumber, "),
        ("%3Cscript%3E=1", "Unknown parameter: the given name"),
        ("Rows=1", "Rows is not searchable"),
        ("00280010=1", "00280010 is not searchable"),
        ("StudyDate=2020-01-01", "StudyDate must be a date"),
        ("StudyDate=20201301", "StudyDate must be a date"),
        ("StudyDate=20200230", "StudyDate must be a date"),
        ("StudyDate=-", "StudyDate must be a date"),
        ("StudyDate=2020010A", "StudyDate must be a date"),
        ("StudyDate=20200102-20200101", "ends before it begins"),
        ("StudyDate=20200101&StudyDate=20200102", "StudyDate takes one value"),
        ("PatientID=a&PatientID=b", "PatientID takes one value"),
        ("PatientName=Do*", "PatientName holds a wildcard"),
        ("StudyInstanceUID=1.2/3", "StudyInstanceUID is not a UID"),
        ("StudyInstanceUID=1.2,x", "StudyInstanceUID is not a UID"),
        ("limit=0", "limit must be a whole number from 1 to 200"),
        ("limit=201", "limit must be"),
        ("limit=-1", "limit must be"),
        ("limit=1e2", "limit must be"),
        ("limit=", "limit must be"),
        ("limit=1&limit=2", "limit is given twice"),
        ("offset=-1", "offset must be a whole number from 0 up"),
        ("offset=99999999999999999999", "offset must be"),
        ("fuzzymatching=yes", "fuzzymatching must be true or false"),
        ("includefield=NoSuchKeyword", "includefield must be"),
        ("includefield=0010001", "includefield must be"),
    ],
)
def test_what_is_refused_names_the_parameter(query_string: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_search(query_string, Level.INSTANCE, SETTINGS)
    assert message in str(caught.value)


def test_attributes_of_a_lower_level_are_not_searchable() -> None:
    with pytest.raises(BadRequest, match="SeriesInstanceUID is not searchable here"):
        parse_search("SeriesInstanceUID=1.2", Level.STUDY, SETTINGS)
    assert predicates("StudyInstanceUID=1.2", Level.SERIES)


def test_patients_values_are_not_repeated_in_errors() -> None:
    with pytest.raises(BadRequest) as caught:
        parse_search("PatientName=Secret*", Level.STUDY, SETTINGS)
    assert "Secret" not in str(caught.value)


def test_paging_has_microsofts_defaults() -> None:
    query = parse_search("", Level.STUDY, SETTINGS)
    assert (query.limit, query.offset, query.is_fuzzy) == (100, 0, False)
    query = parse_search("limit=101&offset=7&fuzzymatching=true", Level.STUDY, SETTINGS)
    assert (query.limit, query.offset, query.is_fuzzy) == (101, 7, True)
    assert parse_search("limit=1000", Level.STUDY, replace(SETTINGS, max_search_limit=1000)).limit == 1000


def test_a_long_query_is_refused() -> None:
    with pytest.raises(BadRequest, match="longer than 8192"):
        parse_search("PatientID=" + "x" * 8192, Level.STUDY, SETTINGS)


def test_includefield_by_keyword_tag_list_repeat_and_all() -> None:
    query = parse_search("includefield=00081030%2CModality&includefield=PixelSpacing", Level.STUDY, SETTINGS)
    assert query.include_tags == {"00081030", TAG["Modality"], "00280030"}
    assert not query.include_all
    query = parse_search("includefield=ALL,PatientID", Level.STUDY, SETTINGS)
    assert query.include_all
    assert query.include_tags == {TAG["PatientID"]}


def test_matching_keys_are_returned_even_when_empty() -> None:
    assert BY_KEYWORD["PatientBirthDate"].tag in parse_search("PatientBirthDate=", Level.STUDY, SETTINGS).include_tags

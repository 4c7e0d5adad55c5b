from dataclasses import replace
from typing import Any

import pytest

from shared.dicom.attributes import BY_KEYWORD, TAG, Level
from shared.errors import BadRequest
from shared.search.matching import (
    AnyOf,
    ComponentWords,
    EachOf,
    Either,
    Empty,
    Matcher,
    NameGroups,
    Range,
    Requirements,
    Wildcard,
    Words,
    satisfies,
)
from shared.search.query import parse_search
from shared.settings import Settings

SETTINGS = Settings()


def predicates(query_string: str, level: Level = Level.INSTANCE) -> dict[str, Matcher]:
    return {key.keyword: matcher for key, matcher in parse_search(query_string, level, SETTINGS).keys.items()}


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
        ("StudyDate=20200101-20200131", {"StudyDate": Range("20200101", "20200131")}),
        ("StudyDate=20200101-", {"StudyDate": Range("20200101", "")}),
        ("StudyDate=-20200131", {"StudyDate": Range("", "20200131")}),
        # dcm4che and Weasis send empty values for attributes to be returned
        ("PatientID=&PatientName=&StudyDate=&StudyInstanceUID=", {}),
        ("PatientName=*", {}),
        ("PatientName=**&PatientID=*", {}),
        ("PatientName=*^*^**", {}),
        ("PatientName=*^*%3D*", {}),
        ("PatientName=*^*%3D山田", {"PatientName": NameGroups((None, AnyOf({"山田"})))}),
        ("PatientName=Do*", {"PatientName": Wildcard("do*")}),
        ("PatientName=Doe^*^*", {"PatientName": Either((AnyOf({"doe"}), Wildcard("doe^*")))}),
        ("PatientName=D?e^^*", {"PatientName": Either((Wildcard("d?e"), Wildcard("d?e^^*")))}),
        ("PatientName=*oe^*", {"PatientName": Either((Wildcard("*oe"), Wildcard("*oe^*")))}),
        ("PatientName=Do*^*", {"PatientName": Wildcard("do*")}),
        ("PatientName=^*", {"PatientName": Wildcard("^*")}),
        ("PatientName=^^*", {"PatientName": Wildcard("^^*")}),
        ("PatientID=a^*", {"PatientID": Wildcard("a^*")}),
        ("PatientID=a?1", {"PatientID": Wildcard("a?1")}),
        ("Modality=C*,MR", {"Modality": Either((AnyOf({"mr"}), Wildcard("c*")))}),
        ("Modality=CT,", {"Modality": AnyOf({"ct"})}),
        ("Modality=CT,*", {}),
        ("PatientName=Yamada%3D山田*", {"PatientName": NameGroups((AnyOf({"yamada"}), Wildcard("山田*")))}),
        ("PatientName=%3D%3Dや*", {"PatientName": NameGroups((None, None, Wildcard("や*")))}),
        ("PatientName=Jo+Do&fuzzymatching=true", {"PatientName": Words(("jo", "do"))}),
        ("PatientName=Do^Jo+K&fuzzymatching=true", {"PatientName": ComponentWords((("do",), ("jo", "k")))}),
        ("PatientName=^Jo&fuzzymatching=true", {"PatientName": ComponentWords(((), ("jo",)))}),
        ("PatientName=Do^&fuzzymatching=true", {"PatientName": ComponentWords((("do",),))}),
        ("PatientName=*Jo*&fuzzymatching=true", {"PatientName": Wildcard("*jo*")}),
        ("PatientName=^&fuzzymatching=true", {}),
        ("PatientID=Jo&fuzzymatching=true", {"PatientID": AnyOf({"jo"})}),
        ("StudyTime=1000-12", {"StudyTime": Range("100000.000000", "125959.999999")}),
        ("StudyTime=2300-01", {"StudyTime": Either((Range("230000.000000", ""), Range("", "015959.999999")))}),
        (
            "StudyDate=20200101&StudyTime=23-01",
            {
                "StudyDate": AnyOf({"20200101"}),
                "StudyTime": Either((Range("230000.000000", ""), Range("", "015959.999999"))),
            },
        ),
        (
            "StudyDate=20200101-20200101&StudyTime=23-01",
            {
                "StudyDate": Range("20200101", "20200101"),
                "StudyTime": Either((Range("230000.000000", ""), Range("", "015959.999999"))),
            },
        ),
        ("StudyTime=101500", {"StudyTime": Range("101500.000000", "101500.999999")}),
        ("SeriesNumber=007", {"SeriesNumber": AnyOf({"7"})}),
        ("PatientID=%22%22&emptyvaluematching=true", {"PatientID": Empty()}),
        ("PatientID=%22%22", {"PatientID": AnyOf({'""'})}),
        (
            "ModalitiesInStudy=CT%5CPT&multiplevaluematching=true",
            {"ModalitiesInStudy": EachOf((AnyOf({"ct"}), AnyOf({"pt"})))},
        ),
        ("ModalitiesInStudy=CT%5C*&multiplevaluematching=true", {"ModalitiesInStudy": AnyOf({"ct"})}),
        ("PatientID=a%5Cb&multiplevaluematching=true", {"PatientID": EachOf((AnyOf({"a"}), AnyOf({"b"})))}),
        (
            "RequestAttributesSequence.ScheduledProcedureStepID=S1&00400275.00401001=P1",
            {
                "RequestAttributesSequence.ScheduledProcedureStepID": AnyOf({"s1"}),
                "RequestAttributesSequence.RequestedProcedureID": AnyOf({"p1"}),
            },
        ),
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
        ("StudyInstanceUID=*&Rows=1", "Rows is not searchable"),
        ("StudyInstanceUID=,&Rows=1", "Rows is not searchable"),
        ("StudyInstanceUID=1.2&StudyInstanceUID=*&Rows=1", "Rows is not searchable"),
        ("StudyInstanceUID=%22%22&Rows=1&emptyvaluematching=true", "Rows is not searchable"),
        ("StudyDate=2020-01-01", "StudyDate must be a date"),
        ("StudyDate=20201301", "StudyDate must be a date"),
        ("StudyDate=20200230", "StudyDate must be a date"),
        ("StudyDate=-", "StudyDate must be a date"),
        ("StudyDate=2020010A", "StudyDate must be a date"),
        ("StudyDate=20200102-20200101", "ends before it begins"),
        ("StudyDate=20200101&StudyDate=20200102", "StudyDate takes one value"),
        ("PatientID=a&PatientID=b", "PatientID takes one value"),
        ("StudyInstanceUID=1.2*", "StudyInstanceUID is not a UID"),
        ("StudyDate=2020*", "StudyDate must be a date"),
        ("StudyTime=2500", "StudyTime must be a time HHMMSS"),
        ("StudyDate=20200102-20200101&StudyTime=23-02", "StudyDate is a range that ends before it begins"),
        ("patientname=x", "patientname is not searchable here. Did you mean PatientName? Searchable are: "),
        ("ROWS=1", "ROWS is not searchable here. Did you mean Rows?"),
        ("requestattributessequence.00401001=1", "Did you mean RequestAttributesSequence.00401001?"),
        ("patientname.nosuch=1", "patientname.nosuch is not searchable here. Searchable are"),
        ("PatientNames=1", "PatientNames is not searchable here. Searchable are"),
        ("includefield=patientID", "or all. Did you mean PatientID?"),
        ("includefield=" + "a." * 70 + "patientid", "or all."),
        ("SeriesNumber=1*", "SeriesNumber must be a number"),
        ("PatientName=a%3Db%3Dc%3Dd", "more than 3 component groups"),
        (
            "PatientName=a%3Db%5Cc%3Dd&multiplevaluematching=true",
            "PatientName takes one value where it has component groups",
        ),
        ("PatientName=" + "a*" * 600, "longer than 1024 characters"),
        ("PatientName=%ff", "not UTF-8"),
        ("PatientName=%ED%A0%80", "not UTF-8"),
        ("RequestAttributesSequence=1", "RequestAttributesSequence is not searchable"),
        ("RequestAttributesSequence.NoSuch=1", "RequestAttributesSequence.NoSuch is not searchable"),
        ("emptyvaluematching=1", "emptyvaluematching must be true or false"),
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
def test_a_refusal_names_the_parameter(query_string: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_search(query_string, Level.INSTANCE, SETTINGS)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("query_string", "message"),
    [
        ("ImageComments=a&00204000=b", "ImageComments takes one value"),
        ("PatientID=a&PatientID.StudyID=b", "00100020 is asked for by its value and by attributes of its items"),
        ("PatientID.StudyID=b&PatientID=a", "00100020 is asked for by its value and by attributes of its items"),
        ("00400275." * 70 + "00400009=a", "the given name is not searchable"),
    ],
)
def test_a_refusal_within_a_study_names_the_parameter(query_string: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_search(query_string, Level.INSTANCE, SETTINGS, is_within_study=True)
    assert message in str(caught.value)


def test_attributes_of_a_lower_level_are_not_searchable() -> None:
    with pytest.raises(BadRequest, match="SeriesInstanceUID is not searchable here"):
        parse_search("SeriesInstanceUID=1.2", Level.STUDY, SETTINGS)
    assert predicates("StudyInstanceUID=1.2", Level.SERIES)


def test_patient_data_is_not_repeated_in_errors() -> None:
    with pytest.raises(BadRequest) as caught:
        parse_search("PatientName=Secret*" + "*a" * 600, Level.STUDY, SETTINGS)
    assert "Secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "attribute", "expected"),
    [
        ("x*", {"vr": "LO", "Value": ["Xyz"]}, True),
        ("1.50", {"vr": "DS", "Value": [1.5]}, True),
        ("1.50", {"vr": "LO", "Value": ["1.5"]}, False),
        ("2025-2026", {"vr": "DT", "Value": ["20260101"]}, True),
        ("20260101-", {"vr": "DA", "Value": ["20251231"]}, False),
        ("muller*", {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jörg"}]}, True),
        ("x*", {"vr": "US", "Value": [1]}, False),
        ("x", None, False),
    ],
)
def test_a_private_attribute_is_matched_by_the_vr_that_it_has(
    value: str, attribute: dict[str, Any] | None, expected: bool
) -> None:
    query = parse_search(f"00091001={value}", Level.INSTANCE, SETTINGS, is_within_study=True)
    data_set = {} if attribute is None else {"00091001": attribute}
    assert satisfies(data_set, query.requirements[Level.INSTANCE]) is expected


def test_values_of_a_private_attribute_are_read_in_every_vr() -> None:
    def requirements(query_string: str) -> Requirements:
        return parse_search(query_string, Level.INSTANCE, SETTINGS, is_within_study=True).requirements[Level.INSTANCE]

    assert requirements("00091001=*") == {}
    assert requirements("00091001=%22%22&emptyvaluematching=true") == {"00091001": Empty()}
    with pytest.raises(BadRequest, match="00091001 takes one value"):
        requirements("00091001=a&00091001=b")


def test_paging_has_microsofts_defaults() -> None:
    query = parse_search("", Level.STUDY, SETTINGS)
    assert (query.limit, query.offset) == (100, 0)
    query = parse_search("limit=101&offset=7", Level.STUDY, SETTINGS)
    assert (query.limit, query.offset) == (101, 7)
    assert parse_search("limit=1000", Level.STUDY, replace(SETTINGS, max_search_limit=1000)).limit == 1000


def test_includefield_by_keyword_tag_list_repeat_and_all() -> None:
    query = parse_search("includefield=00081030%2CModality&includefield=PixelSpacing", Level.STUDY, SETTINGS)
    assert query.include_tags == {"00081030", TAG["Modality"], "00280030"}
    assert not query.include_all
    query = parse_search("includefield=ALL,PatientID", Level.STUDY, SETTINGS)
    assert query.include_all
    assert query.include_tags == {TAG["PatientID"]}


def test_an_empty_value_returns_an_attribute_that_is_not_searchable() -> None:
    query = parse_search("00100040=&KVP=*&SeriesInstanceUID=", Level.STUDY, SETTINGS)
    assert query.keys == {}
    assert {TAG["PatientSex"], "00180060", TAG["SeriesInstanceUID"]} <= query.include_tags
    with pytest.raises(BadRequest, match="NoSuch is not searchable"):
        parse_search("NoSuch=", Level.STUDY, SETTINGS)
    assert predicates("Modality=CT&Modality=*") == {}
    assert predicates("Modality=CT&00080060=") == {"Modality": AnyOf({"ct"})}


def test_matching_keys_are_returned_even_when_empty() -> None:
    assert BY_KEYWORD["PatientBirthDate"].tag in parse_search("PatientBirthDate=", Level.STUDY, SETTINGS).include_tags


def test_ranges_of_a_date_and_its_time_become_one_range_of_moments() -> None:
    query = parse_search("StudyDate=20260105-20260107&StudyTime=1000-1800", Level.STUDY, SETTINGS)
    (moments,) = query.moments[Level.STUDY]
    assert moments.range == Range("20260105100000.000000", "20260107180059.999999")
    assert set(query.requirements[Level.STUDY]) == {TAG["StudyDate"]}
    assert [key.keyword for key in query.keys] == ["StudyDate"]
    study = {"00080020": {"vr": "DA", "Value": ["20260106"]}, "00080030": {"vr": "TM", "Value": ["0200"]}}
    assert moments.matches(study)
    assert not moments.matches({**study, "00080020": {"vr": "DA", "Value": ["20260105"]}})
    assert moments.matches({"00080020": {"vr": "DA", "Value": ["20260107"]}})
    (moments,) = parse_search("StudyDate=-20260107&StudyTime=10-", Level.STUDY, SETTINGS).moments[Level.STUDY]
    assert moments.range == Range("", "20260107235959.999999")


def test_a_day_and_a_range_of_times_are_matched_separately() -> None:
    query = parse_search("StudyDate=20260105&StudyTime=1000-1800", Level.STUDY, SETTINGS)
    assert query.moments[Level.STUDY] == ()
    assert set(query.requirements[Level.STUDY]) == {TAG["StudyDate"], TAG["StudyTime"]}


def test_within_a_study_any_attribute_can_be_matched() -> None:
    query = parse_search("KVP=120&SeriesDescription=ax*", Level.INSTANCE, SETTINGS, is_within_study=True)
    assert query.requirements[Level.INSTANCE] == {"00180060": AnyOf({"120"})}
    assert query.requirements[Level.SERIES] == {TAG["SeriesDescription"]: Wildcard("ax*")}
    assert query.keys == {}
    query = parse_search("StudyInstanceUID=1&ConceptNameCodeSequence.CodeValue=1", Level.INSTANCE, SETTINGS)
    assert query.requirements[Level.INSTANCE] == {"0040A043": {"00080100": AnyOf({"1"})}}
    with pytest.raises(BadRequest, match="KVP is not searchable here"):
        parse_search("KVP=120", Level.SERIES, SETTINGS, is_within_study=True)
    with pytest.raises(BadRequest, match="PixelData cannot be matched: its VR is OB"):
        parse_search("PixelData=120", Level.INSTANCE, SETTINGS, is_within_study=True)
    with pytest.raises(BadRequest, match="KVP is not searchable here"):
        parse_search("StudyInstanceUID=&KVP=120", Level.INSTANCE, SETTINGS)

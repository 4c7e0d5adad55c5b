import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.archive.extended_tags import TAG_VRS, ExtendedTag, TagSet, TagStatus
from shared.archive.terms import EVERY_STUDY, Span, Term, is_indexed, is_posted, lists_of
from shared.dicom.attributes import SEARCHABLE, Level, MatchingKey
from shared.dicom.comparable_values import NUMBER_VRS, PERSON_NAME_GROUPS, comparable_values
from shared.search.lookups import EVERY_STUDY_LOOKUP, Lookup, lookup_of
from shared.search.matching import AnyOf, ByVR, Empty, matches
from shared.search.query import FUZZY, parse_search
from shared.search.query_values import MatchingOptions, matcher_of
from shared.settings import Settings

SETTINGS: Final = Settings()
KEYS: Final = {key.keyword: key for key in SEARCHABLE}
TAGS: Final = TagSet().with_added(
    ExtendedTag(0, (path,), vr, "", level, TagStatus.READY)
    for path, vr, level in [
        ("00101010", "AS", Level.STUDY),
        ("00080070", "LO", Level.SERIES),
        ("00081050", "PN", Level.SERIES),
        ("0008002A", "DT", Level.INSTANCE),
        ("00080032", "TM", Level.INSTANCE),
        ("00189073", "FD", Level.INSTANCE),
        ("00720026", "AT", Level.STUDY),
    ]
)


def asked(query_string: str) -> Lookup | None:
    """The lookup of the only key of a query."""
    ((key, matcher),) = parse_search(query_string, Level.INSTANCE, SETTINGS, tags=TAGS).keys.items()
    return lookup_of(key, matcher)


def found(query_string: str) -> tuple[str, tuple[str, ...], tuple[Span, ...]]:
    lookup = asked(query_string)
    assert lookup is not None
    return lookup.keyword, lookup.lists, lookup.spans


def beginnings(*names: str) -> tuple[str, ...]:
    return tuple(f"^{name}" for name in names)


@pytest.mark.parametrize(
    ("query_string", "keyword", "lists", "spans"),
    [
        # whole values, of each VR
        ("PatientID=ID1", "PatientID", ("=id1",), ()),
        ("AccessionNumber=A-1", "AccessionNumber", ("=a-1",), ()),
        ("StudyDate=20260105", "StudyDate", ("=20260105",), ()),
        ("SeriesNumber=007", "SeriesNumber", ("=7",), ()),
        ("SOPClassUID=1.2%5C1.3", "SOPClassUID", ("=1.2", "=1.3"), ()),
        ("SeriesInstanceUID=1.2", "SeriesInstanceUID", ("=1.2",), ()),
        ("SOPInstanceUID=1.2,1.3", "SOPInstanceUID", ("=1.2", "=1.3"), ()),
        ("PatientName=Müller%5EJörg%5E%5E", "PatientName", ("=muller^jorg",), ()),
        ("Modality=CT,MR", "Modality", ("=ct", "=mr"), ()),
        ("00400275.00401001=P1", "RequestAttributesSequence.RequestedProcedureID", ("=p1",), ()),
        # a study's modalities are those of its series
        ("ModalitiesInStudy=CT", "Modality", ("=ct",), ()),
        # wildcards in text: the longest beginning that has a list
        ("PatientID=a*", "PatientID", ("^a",), (Span("a", "a"),)),
        ("PatientID=abcde?", "PatientID", ("^abcd",), (Span("abcde", "abcde"),)),
        ("StudyDescription=ct head*", "StudyDescription", ("^ct hea",), (Span("ct head", "ct head"),)),
        ("StudyID=*a", "StudyID", ("^",), ()),
        ("ModalitiesInStudy=C*", "Modality", ("^c",), (Span("c", "c"),)),
        ("Modality=C*,MR", "Modality", ("=mr", "^c"), ()),
        ("Modality=C*,MR,*T", "Modality", ("^",), ()),
        ("Modality=C*,M?", "Modality", ("^c", "^m"), (Span("c", "c"), Span("m", "m"))),
        # wildcards in names: by their first word while they are short, by the whole name when they are long
        ("PatientName=Smi*", "PatientName", ("^smi",), (Span("smi", "smi"),)),
        ("PatientName=Smith%5EJ*", "PatientName", ("^smit",), (Span("smith^j", "smith^j"),)),
        ("PatientName=Smith%5EJo*", "PatientName", ("^smith^jo",), (Span("smith^jo", "smith^jo"),)),
        ("PatientName=Li *", "PatientName", ("^li",), (Span("li", "li"),)),
        ("PatientName=%5EJohn*", "PatientName", ("^john",), (Span("^john", "^john"),)),
        ("PatientName=%5E*", "PatientName", ("^",), ()),
        ("PatientName=*oe^*", "PatientName", ("^",), ()),
        ("PatientName=Doe^*", "PatientName", ("=doe", "^doe"), ()),
        # a name of several groups: by the first that is asked for
        ("PatientName=Yamada%3D山田*", "PatientName", ("=yamada",), ()),
        ("PatientName=%3D山田*", "PatientName", ("^山田",), (Span("山田", "山田"),)),
        # words: by the longest
        ("PatientName=Jo+Smithson&fuzzymatching=true", "PatientName", ("^smithson",), ()),
        ("PatientName=Jo^Smithson&fuzzymatching=true", "PatientName", ("^smithson",), ()),
        ("ReferringPhysicianName=Jo&fuzzymatching=true", "ReferringPhysicianName", ("^jo",), ()),
        # several values that all have to be there: by the most telling one
        ("StudyID=a*%5Cab&multiplevaluematching=true", "StudyID", ("=ab",), ()),
        ("StudyID=a*%5Cbcd*&multiplevaluematching=true", "StudyID", ("^bcd",), (Span("bcd", "bcd"),)),
        # dates: the longest periods in the range, and the months that meet its ends
        (
            "StudyDate=20200201-20241231",
            "StudyDate",
            beginnings(*(f"2020{month:02d}" for month in range(2, 13)), "2021", "2022", "2023", "2024"),
            (Span("20200201", "20241231"),),
        ),
        ("StudyDate=20260110-20260120", "StudyDate", ("^202601",), (Span("20260110", "20260120"),)),
        ("StudyDate=20260131-20260201", "StudyDate", ("^202601", "^202602"), (Span("20260131", "20260201"),)),
        ("StudyDate=20260101-20260131", "StudyDate", ("^202601",), (Span("20260101", "20260131"),)),
        ("StudyDate=20200101-20291231", "StudyDate", ("^202",), (Span("20200101", "20291231"),)),
        ("StudyDate=20000101-20991231", "StudyDate", ("^20",), (Span("20000101", "20991231"),)),
        (
            "PatientBirthDate=99991101-",
            "PatientBirthDate",
            ("^999911", "^999912"),
            (Span("99991101", ""),),
        ),
        (
            "PatientBirthDate=-20000215",
            "PatientBirthDate",
            beginnings("0", "1", "200001", "200002"),
            (Span("", "20000215"),),
        ),
        # times: the hours that are in the range, or meet its ends
        ("StudyTime=1015", "StudyTime", ("^10",), (Span("101500.000000", "101559.999999"),)),
        ("StudyTime=0930-11", "StudyTime", ("^09", "^10", "^11"), (Span("093000.000000", "115959.999999"),)),
        ("StudyTime=-0159", "StudyTime", ("^00", "^01"), (Span("", "015959.999999"),)),
        (
            "PerformedProcedureStepStartTime=2201-",
            "PerformedProcedureStepStartTime",
            ("^22", "^23"),
            (Span("220100.000000", ""),),
        ),
        # tags: under their names, by their VRs
        ("PatientAge=070Y", "~AS1", ("=070y",), ()),
        ("Manufacturer=Exam*", "~LO2", ("^exam",), (Span("exam", "exam"),)),
        ("PerformingPhysicianName=Jo+Smithson&fuzzymatching=true", "~PN3", ("^smithson",), ()),
        (
            "AcquisitionDateTime=202601311030-202602",
            "~DT4",
            ("^202601", "^202602"),
            (Span("20260131103000.000000", "20260228235959.999999"),),
        ),
        (
            "AcquisitionDateTime=20260101003000%2B0100",
            "~DT4",
            ("^202512",),
            (Span("20251231233000.000000", "20251231233000.999999"),),
        ),
        (
            "AcquisitionDateTime=-2025",
            "~DT4",
            beginnings("0", "1", "200", "201", *(f"202{year}" for year in range(6))),
            (Span("", "20251231235959.999999"),),
        ),
        ("AcquisitionTime=1015", "~TM5", ("^10",), (Span("101500.000000", "101559.999999"),)),
        ("00189073=1.50", "~FD6", ("=1.5",), ()),
        ("00720026=0008002a", "~AT7", ("=0008002a",), ()),
    ],
)
def test_where_a_key_is_looked_up(
    query_string: str, keyword: str, lists: tuple[str, ...], spans: tuple[Span, ...]
) -> None:
    assert found(query_string) == (keyword, lists, spans)


@pytest.mark.parametrize(
    ("query_string", "is_of_instances"),
    [("AcquisitionTime=10", True), ("Manufacturer=x", False), ("SOPClassUID=1.2", False), ("SOPInstanceUID=1", False)],
)
def test_values_of_tags_at_instance_level_name_instances(query_string: str, is_of_instances: bool) -> None:
    lookup = asked(query_string)
    assert lookup is not None
    assert lookup.is_of_instances is is_of_instances


@pytest.mark.parametrize("query_string", ["StudyInstanceUID=1.2", "InstanceNumber=1"])
def test_what_is_not_indexed_is_not_looked_up(query_string: str) -> None:
    assert asked(query_string) is None


@pytest.mark.parametrize("key", SEARCHABLE, ids=KEYS)
def test_neither_an_absent_value_nor_one_of_an_unknown_vr_is_looked_up(key: MatchingKey) -> None:
    assert lookup_of(key, Empty()) is None
    assert lookup_of(key, ByVR({key.vr: AnyOf({"a"})})) is None


@pytest.mark.parametrize("key", SEARCHABLE, ids=KEYS)
def test_every_key_that_is_indexed_is_looked_up_where_its_values_are_posted(key: MatchingKey) -> None:
    lookup = lookup_of(key, AnyOf({"1"}))
    assert (lookup is not None) is is_indexed(key)
    if lookup is not None:
        assert lookup.lists == tuple(lists_of(Term(lookup.keyword, "1"))[:1])
        assert is_posted(KEYS[lookup.keyword]) or lookup.keyword == "SOPInstanceUID"


@pytest.mark.parametrize(
    ("query_string", "is_exact", "is_of_everything"),
    [
        ("PatientID=a", True, False),
        ("SOPClassUID=1.2,1.3", True, False),
        ("PatientID=a*", False, False),
        ("Modality=CT,M*", False, False),
        ("PatientID=*a", False, True),
        ("PatientName=?", False, True),
        ("Modality=CT,*R", False, True),
        ("Modality=C*,*R", False, True),
        ("StudyDate=20260101-20260102", False, False),
        ("StudyDate=00010101-", False, False),
    ],
)
def test_how_much_is_examined(query_string: str, is_exact: bool, is_of_everything: bool) -> None:
    lookup = asked(query_string)
    assert lookup is not None
    assert (lookup.is_exact, lookup.is_of_everything) == (is_exact, is_of_everything)


VALUES_OF_DATES: Final = st.lists(
    st.dates().map(lambda day: day.isoformat().replace("-", "")), min_size=3, max_size=3
).map(sorted)


@pytest.mark.parametrize(
    ("query_string", "near", "later", "spans"),
    [
        (
            "StudyDate=20200101-",
            ("202",),
            (*map(str, range(203, 210)), *map(str, range(21, 30)), *"3456789"),
            ("203", ""),
        ),
        ("StudyDate=20000101-", ("2",), tuple("3456789"), ("3", "")),
        (
            "StudyDate=20281201-20350630",
            ("202812", "2029"),
            tuple(map(str, [*range(2030, 2035), *range(203501, 203507)])),
            ("2030", "20350630"),
        ),
        ("PatientBirthDate=99991101-", (), ("999911", "999912"), ("999911", "")),
        (
            "AcquisitionDateTime=2029-",
            ("2029",),
            (*map(str, range(203, 210)), *map(str, range(21, 30)), *"3456789"),
            ("203", ""),
        ),
    ],
)
def test_dates_to_come_are_looked_up_apart(
    query_string: str, near: tuple[str, ...], later: tuple[str, ...], spans: tuple[str, str]
) -> None:
    lookup = asked(query_string)
    assert lookup is not None
    now, to_come = lookup.divided(2030)
    assert to_come is not None
    assert (now.lists, to_come.lists) == (beginnings(*near), beginnings(*later))
    assert {*now.lists, *to_come.lists} == {*lookup.lists}
    assert to_come.spans == (Span(*spans),)


@pytest.mark.parametrize(
    "query_string",
    [
        "StudyDate=-20261231",
        "StudyDate=20200101-20301231",
        "StudyDate=20400101",
        "StudyTime=10-",
        "StudyID=3*",
        "StudyID=*3",
    ],
)
def test_nothing_else_is_looked_up_apart(query_string: str) -> None:
    lookup = asked(query_string)
    assert lookup is not None
    assert lookup.divided(2030) == (lookup, None)


@given(VALUES_OF_DATES, st.integers(0, 9999))
def test_dates_are_in_the_lists_of_now_or_in_the_span_of_those_to_come(ends: list[str], year: int) -> None:
    first, form, last = ends
    lookup = asked(f"StudyDate={first}-{last}")
    assert lookup is not None
    now, to_come = lookup.divided(year)
    in_lists = {*now.lists} & {*lists_of(Term("StudyDate", form))}
    assert in_lists or (to_come is not None and any(is_within(span, form) for span in to_come.spans))


@pytest.mark.parametrize(
    ("query_string", "accepted", "others"),
    [
        ("PatientID=abcd", ["abcd"], ["abcde"]),
        ("PatientID=abcde?", ["abcdef"], ["abcd", "abcde", "abcdxx"]),
        ("Modality=C*,MR", ["ct", "mr"], ["mg"]),
        ("StudyDate=20260110-20260120", ["20260110", "20260120"], ["20260109", "20260121"]),
        ("StudyTime=1015-", ["101500.000000", "235959.999999"], ["101459.999999"]),
        (
            "StudyTime=2330-0029",
            ["233000.000000", "000000.000000"],
            ["232959.999999", "003000.000000", "120000.000000"],
        ),
        ("PatientName=Jo+Do&fuzzymatching=true", ["doe^john"], ["doe", "joplin"]),
        ("PatientName=Do^Jo&fuzzymatching=true", ["doe^john"], ["john^doe", "doe", "joplin"]),
        ("PatientName=Yamada%3D山田*", ["yamada"], ["山田", "yamadas"]),
        ("StudyID=a*%5Cab&multiplevaluematching=true", ["ab"], ["ac"]),
    ],
)
def test_values_in_the_lists_that_cannot_match_are_not_accepted(
    query_string: str, accepted: list[str], others: list[str]
) -> None:
    lookup = asked(query_string)
    assert lookup is not None
    assert [form for form in (*accepted, *others) if lookup.accepts(form)] == accepted


def test_every_study_stands_in_the_list_of_every_study() -> None:
    assert (EVERY_STUDY_LOOKUP.keyword, list(EVERY_STUDY_LOOKUP.lists)) == (EVERY_STUDY.keyword, lists_of(EVERY_STUDY))
    assert EVERY_STUDY_LOOKUP.is_exact
    assert EVERY_STUDY_LOOKUP.accepts(EVERY_STUDY.value)


# Few characters, so that values often share beginnings; among them what matching leaves out, and what breaks words.
TEXTS: Final = st.text("abAÄß^ -.か[", min_size=1, max_size=12)
VALUES: Final[Mapping[str, st.SearchStrategy[str]]] = {
    **dict.fromkeys(("AE", "CS", "LO", "PN", "SH"), st.one_of(TEXTS, st.text("ab^", min_size=7, max_size=70))),
    "DA": st.dates().map(lambda day: day.isoformat().replace("-", "")),
    "DT": st.builds(
        lambda time, length, offset: f"{time.strftime('%Y%m%d%H%M%S.%f')[:length]}{offset}",
        st.datetimes(datetime(1999, 12, 30), datetime(2001, 1, 3)),
        st.sampled_from([4, 6, 8, 10, 12, 14, 16, 21]),
        st.sampled_from(["", "", "+0000", "+1400", "-1200", "+0530"]),
    ),
    "AS": st.sampled_from(["007D", "070Y"]),
    "AT": st.sampled_from(["0008002A", "00080020"]),
    **dict.fromkeys(NUMBER_VRS, st.integers(-3, 3).map(str)),
    **dict.fromkeys(("DS", "FD", "FL"), st.sampled_from(["0.1", "1.50", "1.5", "15e-1", "-2", "0"])),
    "TM": st.times().map(lambda time: time.strftime("%H%M%S.%f")),
    "UI": st.sampled_from(["1", "1.2", "1.3", "1.2.3"]),
}


@st.composite
def single_values_asked(draw: st.DrawFn, vr: str, stored: str) -> str:
    """What may be asked for of a VR: a value, perhaps the stored one, a pattern or a range made of it."""
    text = draw(st.just(stored) | VALUES[vr])
    if vr in ("DA", "TM"):
        first, last = sorted([text, draw(VALUES[vr])])
        return draw(st.sampled_from([text, f"{text}-", f"-{text}", f"{first}-{last}"]))
    if vr == "DT":
        # Without offsets, whose hyphens divide a range, too.
        first, last = sorted(re.sub("[+-].*", "", one)[:8] for one in (text, draw(VALUES[vr])))
        return draw(st.sampled_from([text, first, f"{first}-", f"-{last}", f"{first}-{last}"]))
    if vr in ("UI", "AS", "AT", *NUMBER_VRS):
        return text
    cut = draw(st.integers(0, len(text)))
    head, tail = text[:cut], text[cut + 1 :]
    return draw(st.sampled_from([text, f"{head}*", f"{head}?*", f"{head}?{tail}", f"*{tail}", f"{head}*{tail}^*"]))


@st.composite
def searches(draw: st.DrawFn, key: MatchingKey) -> tuple[dict[str, Any], str, MatchingOptions]:
    """An attribute, the text that asks for it, and how it is matched."""
    stored = draw(st.lists(VALUES[key.vr], min_size=1, max_size=3))
    asked = draw(
        st.lists(st.sampled_from(stored).flatmap(lambda one: single_values_asked(key.vr, one)), min_size=1, max_size=3)
    )
    values = [dict(zip(PERSON_NAME_GROUPS, stored, strict=False))] if key.vr == "PN" else stored
    is_multiple = key.vr != "PN" and draw(st.booleans())
    joined = {"PN": "=", "CS": ",", "UI": ","}.get(key.vr, "\\" if is_multiple else "")
    is_fuzzy = key.keyword in FUZZY or key.vr == "PN"
    options = MatchingOptions(is_fuzzy and draw(st.booleans()), has_empty=False, is_multiple=is_multiple)
    return {"vr": key.vr, "Value": values}, joined.join(asked) if joined else asked[0], options


# One key for each VR, and one that is looked up in the lists of another.
ONE_OF_VR: Final = {key.vr: key for key in SEARCHABLE if is_indexed(key) and key.keyword != "ModalitiesInStudy"}
TAG_OF_VR: Final = {vr: MatchingKey(f"tag of {vr}", (f"~{vr}1",), vr, Level.INSTANCE) for vr in sorted(TAG_VRS)}


def is_within(span: Span, form: str) -> bool:
    return span.first <= form and (form <= span.last or form.startswith(span.last))


@pytest.mark.parametrize(
    "key", [*ONE_OF_VR.values(), KEYS["ModalitiesInStudy"], *TAG_OF_VR.values()], ids=lambda key: key.keyword
)
@given(st.data())
def test_whatever_matches_is_found_in_the_lists_and_in_the_spans(key: MatchingKey, data: st.DataObject) -> None:
    attribute, text, options = data.draw(searches(key))
    matcher = matcher_of(key.keyword, key.vr, [text], options)
    assume(matcher is not None and matches(matcher, attribute))
    assert matcher is not None
    lookup = lookup_of(key, matcher)
    assert lookup is not None
    accepted = [form for form in comparable_values(attribute) if lookup.accepts(form)]
    assert any(set(lookup.lists) & set(lists_of(Term(lookup.keyword, form))) for form in accepted)
    assert not lookup.spans or any(is_within(span, form) for span in lookup.spans for form in accepted)

from typing import Any

import pytest

from shared.search.matching import (
    AnyOf,
    ComponentWords,
    EachOf,
    Either,
    Empty,
    Matcher,
    NameGroups,
    Range,
    Wildcard,
    Words,
    matches,
    satisfies,
)


@pytest.mark.parametrize(
    ("matcher", "attribute", "expected"),
    [
        (AnyOf({"a"}), {"vr": "LO", "Value": ["A"]}, True),
        (AnyOf({"a"}), {"vr": "LO", "Value": ["B", "A"]}, True),
        (AnyOf({"a"}), {"vr": "LO", "Value": ["AB"]}, False),
        (AnyOf({"a"}), {"vr": "LO"}, False),
        (AnyOf({"a"}), None, False),
        (AnyOf({"1.2", "1.3"}), {"vr": "UI", "Value": ["1.3"]}, True),
        (Range("20200101", "20200131"), {"vr": "DA", "Value": ["20200101"]}, True),
        (Range("20200101", "20200131"), {"vr": "DA", "Value": ["20200131"]}, True),
        (Range("20200101", "20200131"), {"vr": "DA", "Value": ["20200201"]}, False),
        (Range("", "20200131"), {"vr": "DA", "Value": ["19000101"]}, True),
        (Range("20200101", ""), {"vr": "DA", "Value": ["20191231"]}, False),
        (Range("100000.000000", "115959.999999"), {"vr": "TM", "Value": ["1030"]}, True),
        (Range("100000.000000", "115959.999999"), {"vr": "TM", "Value": ["12"]}, False),
        (Wildcard("a*c?"), {"vr": "LO", "Value": ["ABBCD"]}, True),
        (Wildcard("a*c?"), {"vr": "LO", "Value": ["ABBC"]}, False),
        (Wildcard("a[b]*"), {"vr": "LO", "Value": ["a[B] and more\nlines"]}, True),
        (Wildcard("a[b]*"), {"vr": "LO", "Value": ["ab"]}, False),
        (Wildcard("*^j*"), {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]}, True),
        (Wildcard("山*"), {"vr": "PN", "Value": [{"Alphabetic": "Yamada", "Ideographic": "山田"}]}, True),
        (Words(("joh", "do")), {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]}, True),
        (Words(("ohn",)), {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]}, False),
        (Words(("joh", "x")), {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]}, False),
        (ComponentWords((("do",), ("jo",))), {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]}, True),
        (ComponentWords((("jo",), ("do",))), {"vr": "PN", "Value": [{"Alphabetic": "Doe^John"}]}, False),
        (ComponentWords((("do",),)), {"vr": "PN", "Value": [{"Alphabetic": "John^Doe"}]}, False),
        (ComponentWords(((), ("ka", "jo"))), {"vr": "PN", "Value": [{"Alphabetic": "Doe-Smith^John Karl"}]}, True),
        (ComponentWords((("do",), ("jo",))), {"vr": "PN", "Value": [{"Alphabetic": "Doe"}]}, False),
        (ComponentWords((("yam",), (), ("x",))), {"vr": "PN", "Value": [{"Alphabetic": "Yamada^T^X"}]}, True),
        (Either((AnyOf({"mr"}), Wildcard("c*"))), {"vr": "CS", "Value": ["CT"]}, True),
        (Either((AnyOf({"mr"}), Wildcard("c*"))), {"vr": "CS", "Value": ["US"]}, False),
        (EachOf((AnyOf({"ct"}), AnyOf({"pt"}))), {"vr": "CS", "Value": ["PT", "MR", "CT"]}, True),
        (EachOf((AnyOf({"ct"}), AnyOf({"pt"}))), {"vr": "CS", "Value": ["CT"]}, False),
        (
            NameGroups((None, AnyOf({"山田"}))),
            {"vr": "PN", "Value": [{"Alphabetic": "山田", "Ideographic": "山田"}]},
            True,
        ),
        (NameGroups((None, AnyOf({"山田"}))), {"vr": "PN", "Value": [{"Alphabetic": "山田"}]}, False),
        (Empty(), None, True),
        (Empty(), {"vr": "LO"}, True),
        (Empty(), {"vr": "LO", "Value": [""]}, True),
        (Empty(), {"vr": "PN", "Value": [None]}, True),
        (Empty(), {"vr": "LO", "Value": ["", "a"]}, False),
        (Empty(), {"vr": "OB", "BulkDataURI": "bulkdata/00420011"}, False),
    ],
)
def test_matching(matcher: Matcher, attribute: dict[str, Any] | None, expected: bool) -> None:
    assert matches(matcher, attribute) is expected


def test_time_does_not_grow_with_the_stars_of_a_pattern() -> None:
    attribute = {"vr": "LT", "Value": ["a" * 10_000]}
    assert not matches(Wildcard("*a" * 500 + "*b"), attribute)
    assert matches(Wildcard("*a" * 500 + "*"), attribute)


def test_one_item_of_a_sequence_has_to_match_everything() -> None:
    def item(step: str, procedure: str) -> dict[str, Any]:
        return {"00400009": {"vr": "SH", "Value": [step]}, "00401001": {"vr": "SH", "Value": [procedure]}}

    data_set = {"00400275": {"vr": "SQ", "Value": [item("S1", "P1"), item("S2", "P2")]}}

    def asked(step: str, procedure: str) -> dict[str, Any]:
        return {"00400275": {"00400009": AnyOf({step}), "00401001": AnyOf({procedure})}}

    assert satisfies(data_set, asked("s2", "p2"))
    assert not satisfies(data_set, asked("s1", "p2"))
    assert not satisfies({}, asked("s1", "p1"))
    assert not satisfies({"00400275": {"vr": "SQ"}}, asked("s1", "p1"))
    assert not satisfies({"00400275": {"vr": "LO", "Value": ["S1"]}}, asked("s1", "p1"))


def test_attributes_of_a_sequence_without_items_are_absent() -> None:
    asked = {"00400275": {"00400009": Empty()}}
    assert satisfies({}, asked)
    assert satisfies({"00400275": {"vr": "SQ"}}, asked)
    assert satisfies({"00400275": {"vr": "SQ", "Value": [{}]}}, asked)
    assert not satisfies({"00400275": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH", "Value": ["S1"]}}]}}, asked)
    assert not satisfies({}, {"00400275": {"00400009": Empty(), "00401001": AnyOf({"p1"})}})

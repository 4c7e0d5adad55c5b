import pytest

from shared.matching import AnyOf, DateRange, Matcher, comparable, comparable_values, matches


@pytest.mark.parametrize(
    ("vr", "one", "other"),
    [
        ("LO", "abc ", "ABC"),
        ("SH", " x", "X"),
        ("PN", "Müller^Jörg", "MULLER^JORG"),
        ("PN", "Doe^John^^^", "doe^john"),
        ("PN", "Doe  van^J", "Doe van^J"),
        ("UI", "1.2\0", "1.2"),
        ("DA", "20200101 ", "20200101"),
    ],
)
def test_values_that_compare_alike(vr: str, one: str, other: str) -> None:
    assert comparable(vr, one) == comparable(vr, other)


@pytest.mark.parametrize(
    ("vr", "one", "other"), [("LO", "a b", "ab"), ("PN", "Doe^John", "John^Doe"), ("LO", "é", "e")]
)
def test_values_that_do_not(vr: str, one: str, other: str) -> None:
    assert comparable(vr, one) != comparable(vr, other)


def test_every_component_group_of_a_name_and_every_value_counts() -> None:
    names = {
        "vr": "PN",
        "Value": [
            {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
            {"Alphabetic": "X"},
        ],
    }
    assert list(comparable_values(names)) == ["yamada^tarou", "山田^太郎", comparable("PN", "やまだ^たろう"), "x"]


def test_empty_values_and_dates_that_are_none_have_no_form() -> None:
    assert list(comparable_values({"vr": "LO", "Value": [None, "", " "]})) == []
    assert list(comparable_values({"vr": "LO"})) == []
    assert list(comparable_values({"vr": "DA", "Value": ["2020.1.1", "20200101"]})) == ["20200101"]


@pytest.mark.parametrize(
    ("matcher", "attribute", "expected"),
    [
        (AnyOf({"a"}), {"vr": "LO", "Value": ["A"]}, True),
        (AnyOf({"a"}), {"vr": "LO", "Value": ["B", "A"]}, True),
        (AnyOf({"a"}), {"vr": "LO", "Value": ["AB"]}, False),
        (AnyOf({"a"}), {"vr": "LO"}, False),
        (AnyOf({"a"}), None, False),
        (AnyOf({"1.2", "1.3"}), {"vr": "UI", "Value": ["1.3"]}, True),
        (DateRange("20200101", "20200131"), {"vr": "DA", "Value": ["20200101"]}, True),
        (DateRange("20200101", "20200131"), {"vr": "DA", "Value": ["20200131"]}, True),
        (DateRange("20200101", "20200131"), {"vr": "DA", "Value": ["20200201"]}, False),
        (DateRange("", "20200131"), {"vr": "DA", "Value": ["19000101"]}, True),
        (DateRange("20200101", ""), {"vr": "DA", "Value": ["20191231"]}, False),
    ],
)
def test_matching(matcher: Matcher, attribute: dict[str, object] | None, expected: bool) -> None:
    assert matches(matcher, attribute) is expected

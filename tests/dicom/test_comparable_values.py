import pytest

from shared.dicom.comparable_values import (
    comparable,
    comparable_values,
    first_and_last_moment,
    first_and_last_time,
    words_of,
)


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
        ("PN", "Straße", "STRASSE"),
        ("PN", "ﾔﾏﾀﾞ^ﾀﾛｳ", "ヤマダ^タロウ"),
        ("PN", "Ёлкин", "елкин"),
        ("PN", "Παπαδοπούλου", "ΠΑΠΑΔΟΠΟΥΛΟΥ"),
        ("TM", "1015", "10:15:00"),
        ("DT", "20260101120000+0100", "202601011100"),
        ("IS", "007", "+7"),
        ("DS", "1.50", "1.5"),
        ("DS", "9007199254740993", "9007199254740992.0"),  # metadata holds a double
        ("FD", "1.5E1", "15"),
        ("FD", "-0.0", "0"),
        ("FL", "0.1", "0.10000000149011612"),  # metadata holds what 32 bits make of it
        ("FL", "75.", "75"),
        ("UV", "+18446744073709551615", "18446744073709551615"),
    ],
)
def test_equal_values(vr: str, one: str, other: str) -> None:
    assert comparable(vr, one) == comparable(vr, other)


@pytest.mark.parametrize(
    ("vr", "one", "other"),
    [
        ("LO", "a b", "ab"),
        ("PN", "Doe^John", "John^Doe"),
        ("LO", "é", "e"),
        ("PN", "か", "が"),
        ("PN", "김", "길"),
        ("FD", "0.1", "0.10000000149011612"),
        ("SV", "9007199254740993", "9007199254740992"),
        ("FL", "0.1", "0.1001"),
    ],
)
def test_unequal_values(vr: str, one: str, other: str) -> None:
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


@pytest.mark.parametrize(
    ("vr", "one", "other"), [("FL", "1e39", "10e38"), ("FD", "1e400", "10e399"), ("DS", "-1e400", "-10e399")]
)
def test_a_number_beyond_what_its_vr_can_keep_equals_itself(vr: str, one: str, other: str) -> None:
    assert comparable(vr, one) == comparable(vr, other) != comparable(vr, f"{one}0")


@pytest.mark.parametrize("vr", ["DS", "FD", "FL", "IS"])
@pytest.mark.parametrize("text", ["NaN", "sNaN", "-Infinity", "x"])
def test_what_is_no_number_is_text(vr: str, text: str) -> None:
    assert comparable(vr, text) == text.casefold()


def test_empty_values_and_invalid_dates_have_no_form() -> None:
    assert list(comparable_values({"vr": "LO", "Value": [None, "", " "]})) == []
    assert list(comparable_values({"vr": "LO"})) == []
    assert list(comparable_values({"vr": "DA", "Value": ["2020.1.1", "20200101"]})) == ["20200101"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", ("100000.000000", "105959.999999")),
        ("1015", ("101500.000000", "101559.999999")),
        ("101530", ("101530.000000", "101530.999999")),
        ("101530.25", ("101530.250000", "101530.259999")),
        ("235960", ("235960.000000", "235960.999999")),
        ("24", ("", "")),
        ("1060", ("", "")),
        ("1", ("", "")),
        ("", ("", "")),
        ("١٠", ("", "")),
    ],
)
def test_a_time_means_all_instants_that_it_leaves_open(text: str, expected: tuple[str, str]) -> None:
    assert first_and_last_time(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024", ("20240101000000.000000", "20241231235959.999999")),
        ("202402", ("20240201000000.000000", "20240229235959.999999")),
        ("20240229-0500", ("20240229050000.000000", "20240301045959.999999")),
        ("20240229101112.5+0100", ("20240229091112.500000", "20240229091112.599999")),
        ("00010101", ("00010101000000.000000", "00010101235959.999999")),
        ("00010101+0100", ("", "")),
        ("2025-2026", ("", "")),
        ("2026-1201", ("", "")),
        ("2026+1401", ("", "")),
        ("20240230", ("", "")),
        ("0000", ("", "")),
        ("202413", ("", "")),
    ],
)
def test_a_moment_means_all_instants_that_it_leaves_open(text: str, expected: tuple[str, str]) -> None:
    assert first_and_last_moment(text) == expected


def test_a_number_may_claim_any_size() -> None:
    assert comparable("DS", "1e999999") == comparable("DS", "10e999998")
    assert comparable("DS", "1e999999999") != comparable("DS", "1e999999")
    assert comparable("DS", "1e-999999") != comparable("DS", "0")
    assert comparable("DS", "NaN") == "nan"


def test_words_stand_between_spaces_and_punctuation() -> None:
    assert words_of("müller-lüdenscheidt^dr. o'neil  x") == ["müller", "lüdenscheidt", "dr", "o", "neil", "x"]

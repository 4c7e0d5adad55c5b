import json
from collections.abc import Mapping
from typing import Any

import pytest

from shared.archive.tag_values import (
    MAX_LEVEL_CHARACTERS,
    MAX_TAG_CHARACTERS,
    NO_VALUES,
    forms_of_tags,
    tag_values,
    values_of_tags,
    without_tags,
)
from shared.dicom.attributes import Level
from shared.dicom.dicom_json_reader import read_attributes
from shared.dicom.dicom_json_text import ItemsDeflater, dumps
from tests.support.tag_sets import tag_of


def code(value: str) -> dict[str, Any]:
    return {"00080100": {"vr": "SH", "Value": [value]}}


METADATA: dict[str, Any] = {
    "00101010": {"vr": "AS", "Value": ["045Y"]},
    "00180050": {"vr": "DS", "Value": [1.5, 2.5]},
    "00400275": {
        "vr": "SQ",
        "Value": [
            {"00400007": {"vr": "LO", "Value": ["Chest"]}, "00400008": {"vr": "SQ", "Value": [code("A")]}},
            {"00400008": {"vr": "SQ", "Value": [code("B"), code("A")]}},
            {"00400007": {"vr": "LO", "Value": ["Chest"]}},
        ],
    },
    "00990010": {"vr": "LO", "Value": ["ONE "]},
    "00990011": {"vr": "LO", "Value": ["TWO"]},
    "00991001": {"vr": "LO", "Value": ["of one"]},
    "00991101": {"vr": "LO", "Value": ["of two"]},
}


def read(metadata: Mapping[str, Any], *tags: Any) -> tuple[dict[str, Any], list[str]]:
    """Values by name, whatever their level, and what is wrong."""
    found = tag_values(metadata.items(), tags)
    values = {name: value for of_level in found.by_level.values() for name, value in of_level.items()}
    return values, [problem.sentence for problem in found.problems]


@pytest.mark.parametrize("level", Level)
def test_values_stand_at_the_level_of_their_tag(level: Level) -> None:
    found = tag_values(METADATA.items(), [tag_of("00101010", "AS", level)])
    assert found.by_level == {one: {"~AS1": METADATA["00101010"]} if one is level else {} for one in Level}


def test_all_values_are_kept() -> None:
    assert read(METADATA, tag_of("00180050", "DS")) == ({"~DS1": {"vr": "DS", "Value": [1.5, 2.5]}}, [])


def test_without_tags_nothing_is_read() -> None:
    metadata = iter(METADATA.items())
    assert tag_values(metadata, []) is NO_VALUES
    assert len(list(metadata)) == len(METADATA)


def test_what_is_absent_or_empty_has_no_values() -> None:
    metadata = {
        "00101010": {"vr": "AS"},
        "00101020": {"vr": "DS", "Value": [None]},
        "00101000": {"vr": "LO", "Value": [""]},
        "00102160": {"vr": "UN"},
        "00400275": {"vr": "UN"},
    }
    tags = [tag_of("00101010", "AS"), tag_of("00101020", "DS", number=2), tag_of("00101000", "LO", number=3)]
    tags += [tag_of("00102160", "SH", number=4), tag_of("00400275.00400007", "LO", number=5)]
    assert read(metadata, *tags, tag_of("00081030", "LO", number=6)) == ({}, [])


def test_of_sequences_every_item_counts_and_nothing_else_is_kept() -> None:
    values, _ = read(METADATA, tag_of("00400275.00400007", "LO"), tag_of("00400275.00400008.00080100", "SH", number=2))
    assert values == {
        "~LO1": {"vr": "SQ", "Value": [{"00400007": {"vr": "LO", "Value": ["Chest"]}}]},
        "~SH2": {
            "vr": "SQ",
            "Value": [
                {"00400008": {"vr": "SQ", "Value": [code("A")]}},
                {"00400008": {"vr": "SQ", "Value": [code("B"), code("A")]}},
            ],
        },
    }
    assert sorted(forms_of_tags(values)) == [("~LO1", "chest"), ("~SH2", "a"), ("~SH2", "a"), ("~SH2", "b")]


@pytest.mark.parametrize("is_from_text", [False, True], ids=["held", "read from text"])
def test_long_sequences_are_read_item_by_item(is_from_text: bool) -> None:
    items = ItemsDeflater()
    for number in range(3000):
        items.add(
            {"0040A730": {"vr": "SQ", "Value": [code(f"C{number % 7}")]}, "0040A160": {"vr": "UT", "Value": ["x" * 50]}}
        )
    deflated = items.finish()
    held = {"0040A730": {"vr": "SQ", "Value": deflated}}
    text = b'{"0040A730":{"vr":"SQ","Value":' + b"".join(deflated.texts()) + b"}}"
    attributes = read_attributes([text]) if is_from_text else iter(held.items())
    tags = [tag_of("0040A730.0040A730.00080100", "SH"), tag_of("0040A730.0040A160", "LO", number=2)]
    found = tag_values(attributes, tags)
    assert sorted({form for _, form in forms_of_tags(found.by_level[Level.INSTANCE])}) == [f"c{n}" for n in range(7)]
    assert [problem.sentence for problem in found.problems] == ["Its VR is UT, not LO."]


def test_private_elements_are_those_of_their_creator_whatever_their_block() -> None:
    one = tag_of("00991001", "LO", number=1, private_creator="ONE")
    two = tag_of("00991001", "LO", number=2, private_creator="TWO")
    other = tag_of("00991001", "LO", number=3, private_creator="THREE")
    values, problems = read(METADATA, one, two, other)
    assert {name: value["Value"] for name, value in values.items()} == {"~LO1": ["of one"], "~LO2": ["of two"]}
    assert problems == []


def test_a_private_creator_is_an_attribute_like_others() -> None:
    assert read(METADATA, tag_of("00990011", "LO"))[0] == {"~LO1": METADATA["00990011"]}


def test_private_creators_count_for_their_own_data_set() -> None:
    metadata = {
        "00990010": {"vr": "LO", "Value": ["ONE"]},
        "00991002": {
            "vr": "SQ",
            "Value": [
                {"00991001": {"vr": "LO", "Value": ["nobody's"]}},
                {"00990010": {"vr": "LO", "Value": ["ONE"]}, "00991001": {"vr": "LO", "Value": ["one's"]}},
            ],
        },
    }
    values, _ = read(metadata, tag_of("00991002.00991001", "LO", private_creator="ONE"))
    assert list(forms_of_tags(values)) == [("~LO1", "one's")]


def test_several_tags_may_have_one_attribute() -> None:
    tags = [tag_of("00400275.00400007", "LO", Level.SERIES), tag_of("00400275.00400007", "LO", number=2)]
    assert read(METADATA, *tags)[0].keys() == {"~LO1", "~LO2"}


@pytest.mark.parametrize(
    ("path", "vr", "attribute", "kept", "problem"),
    [
        (
            "00101010",
            "AS",
            {"vr": "AS", "Value": ["45", "045Y"]},
            ["045Y"],
            "It must be three digits and one of D, W, M, Y.",
        ),
        ("00080020", "DA", {"vr": "DA", "Value": ["20261332"]}, None, "It must be a date YYYYMMDD."),
        ("00080030", "TM", {"vr": "TM", "Value": ["25"]}, None, "It must be a time HHMMSS.FFFFFF."),
        (
            "0008002A",
            "DT",
            {"vr": "DT", "Value": ["2026+9900"]},
            None,
            "It must be a date and time YYYYMMDDHHMMSS.FFFFFF&ZZXX.",
        ),
        ("00200013", "IS", {"vr": "IS", "Value": ["1.5"]}, None, "It must be a whole number."),
        ("00180050", "DS", {"vr": "DS", "Value": ["thin"]}, None, "It must be a number."),
        ("00280009", "AT", {"vr": "AT", "Value": ["1063"]}, None, "It must be a tag of 8 hexadecimal digits."),
        ("00080054", "AE", {"vr": "AE", "Value": ["A" * 17]}, None, "It must be at most 16 characters."),
        (
            "00200052",
            "UI",
            {"vr": "UI", "Value": ["1..2"]},
            None,
            "It must be a UID of at most 64 digits and single dots.",
        ),
        ("00101010", "AS", {"vr": "UN", "BulkDataURI": "x"}, None, "Its VR is UN, not AS."),
        ("00101010", "AS", {"vr": "SQ", "Value": [{}]}, None, "Its VR is SQ, not AS."),
        (
            "30060050",
            "DS",
            {"vr": "DS", "BulkDataURI": "x"},
            None,
            f"It has more values than can be indexed: {MAX_TAG_CHARACTERS} characters.",
        ),
    ],
)
def test_what_is_not_valid_is_left_out_and_named(
    path: str, vr: str, attribute: dict[str, Any], kept: list[Any] | None, problem: str
) -> None:
    values, problems = read({path: attribute}, tag_of(path, vr))
    assert values == ({f"~{vr}1": {"vr": vr, "Value": kept}} if kept else {})
    assert problems == [problem]


@pytest.mark.parametrize(
    "text",
    [
        b'{"00101010":5}',
        b'{"00101010":{"vr":"AS","Value":5}}',
        b'{"00400260":{"vr":"SQ","Value":[5]}}',
        b'{"00400260":{"vr":"SQ","Value":[{"00080100":7}]}}',
        b'{"":{"vr":"AS","Value":["045Y"]}}',
        b'{"00101010":{"vr":"AS"',
        b"[]",
    ],
)
def test_what_is_no_data_set_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"data set|JSON|text|attribute"):
        tag_values(read_attributes([text]), [tag_of("00101010", "AS"), tag_of("00400260.00080100", "SH")])


def test_what_is_in_a_sequence_that_cannot_be_read_is_named() -> None:
    tag = tag_of("00991002.00991001", "LO", private_creator="ONE")
    metadata = {"00990010": {"vr": "LO", "Value": ["ONE"]}, "00991002": {"vr": "UN", "BulkDataURI": "x"}}
    assert read(metadata, tag) == ({}, ["A sequence of its path has the VR UN, not SQ."])


def test_a_private_attribute_may_be_a_value_in_one_file_and_a_sequence_in_another() -> None:
    whole = tag_of("00991002", "LO", private_creator="ONE")
    inside = tag_of("00991002.00080100", "SH", number=2, private_creator="ONE")
    creator = {"00990010": {"vr": "LO", "Value": ["ONE"]}}
    for attribute, name in (
        ({"vr": "LO", "Value": ["a"]}, "~LO1"),
        ({"vr": "SQ", "Value": [code("A")]}, "~SH2"),
    ):
        values, problems = read({**creator, "00991002": attribute}, whole, inside)
        assert list(values) == [name]
        assert len(problems) == 1


def test_numbers_of_any_vr_are_numbers() -> None:
    values, problems = read({"00280106": {"vr": "SS", "Value": [-1]}}, tag_of("00280106", "US"))
    assert values == {"~US1": {"vr": "US", "Value": [-1]}}
    assert problems == []


def test_more_values_than_can_be_kept_are_left_out() -> None:
    metadata = {"00080008": {"vr": "LO", "Value": [f"value {number}" for number in range(1000)]}}
    values, problems = read(metadata, tag_of("00080008", "LO"))
    kept = values["~LO1"]["Value"]
    assert kept == metadata["00080008"]["Value"][: len(kept)]
    assert MAX_TAG_CHARACTERS - 20 < sum(len(json.dumps(value)) for value in kept) <= MAX_TAG_CHARACTERS
    assert problems == [f"It has more values than can be indexed: {MAX_TAG_CHARACTERS} characters."]


def test_a_value_is_kept_once() -> None:
    metadata = {"00180050": {"vr": "DS", "Value": [0.0] * 5000 + [1.0, 0.0]}}
    assert read(metadata, tag_of("00180050", "DS")) == ({"~DS1": {"vr": "DS", "Value": [0.0, 1.0]}}, [])


def test_the_values_of_a_level_are_no_more_than_its_row_holds() -> None:
    paths = [f"0018{number:04X}" for number in range(128)]
    metadata = {path: {"vr": "LO", "Value": ["x" * 60]} for path in paths}
    tags = [tag_of(path, "LO", Level.SERIES, number=number) for number, path in enumerate(paths)]
    found = tag_values(metadata.items(), tags)
    kept = found.by_level[Level.SERIES]
    assert [f"~LO{number}" for number in range(len(kept))] == list(kept)
    assert sum(len(json.dumps(value)) for value in kept.values()) <= MAX_LEVEL_CHARACTERS
    assert len(found.problems) == 128 - len(kept) > 0
    assert not any(problem.is_invalid for problem in found.problems)


def test_rows_keep_values_of_tags_beside_attributes() -> None:
    row = {"00100010": {"vr": "PN"}, "~AS1": METADATA["00101010"]}
    assert values_of_tags(row) == {"~AS1": METADATA["00101010"]}
    assert without_tags(row) == {"00100010": {"vr": "PN"}}
    assert dumps(row)

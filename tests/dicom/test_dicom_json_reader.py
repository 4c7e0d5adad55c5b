"""Data sets read a piece at a time say what they say when read at once, however they are cut, and hold little."""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.dicom import dicom_json_reader
from shared.dicom.dicom_json_reader import Attribute, LongAttribute, LongItem, bulk_data_uris, read_attributes
from shared.dicom.dicom_json_text import dumps, json_texts

values = st.one_of(
    st.none(), st.text(max_size=40), st.integers(-(10**18), 10**18), st.floats(allow_nan=False, allow_infinity=False)
)
tags = st.integers(0, 0xFFFFFFFF).map("{:08X}".format)
plain = st.builds(lambda vr, found: {"vr": vr, "Value": found}, st.sampled_from(["LT", "DS", "US"]), st.lists(values))
bulk = st.just({"vr": "OW", "BulkDataURI": "bulkdata/7FE00010"})
empty = st.just({"vr": "SQ"})


def sequences(attributes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    items = st.lists(st.dictionaries(tags, attributes, max_size=4), min_size=1, max_size=5)
    return items.map(lambda found: {"vr": "SQ", "Value": found})


data_sets = st.dictionaries(tags, st.recursive(plain | bulk | empty, sequences, max_leaves=30))


def pieces_of(text: bytes, size: int) -> list[bytes]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def whole(attributes: Iterable[tuple[str, Attribute]]) -> dict[str, Any]:
    """What has been read, as plain values."""
    return {tag: whole_of(found) if isinstance(found, LongAttribute) else found for tag, found in attributes}


def whole_of(attribute: LongAttribute) -> dict[str, Any]:
    values = [whole(one.attributes) if isinstance(one, LongItem) else one for one in attribute.values]
    return {"vr": attribute.vr, "Value": values}


@given(data_sets, st.integers(1, 200), st.sampled_from([60, 100, 300, 10**6]))
@settings(max_examples=40)
def test_what_is_read_is_what_is_there_and_can_be_written_again(
    data_set: dict[str, Any], size: int, piece_characters: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dicom_json_reader, "PIECE_CHARACTERS", piece_characters)
        text = dumps(data_set)
        assert whole(read_attributes(pieces_of(text, size))) == json.loads(text)
        assert b"".join(json_texts(read_attributes(pieces_of(text, size)))) == text
        for tag, _ in read_attributes(pieces_of(text, size)):  # nothing of long ones is read
            assert tag in data_set
        uris = list(bulk_data_uris(read_attributes(pieces_of(text, size))))
        assert uris == ["bulkdata/7FE00010"] * text.count(b'"BulkDataURI":"')


def groups(count: int) -> bytes:
    """The text of a data set with so many functional groups, and nothing but them."""
    group = {"00209111": {"vr": "SQ", "Value": [{"00209057": {"vr": "UL", "Value": [7]}}]}}
    return dumps({"52009230": {"vr": "SQ", "Value": [group] * count}})


def test_a_long_sequence_is_read_item_by_item_as_its_text_comes() -> None:
    text, taken = groups(50_000), 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        for piece in pieces_of(text, 1000):
            taken += len(piece)
            yield piece

    ((_, sequence),) = [*_first(read_attributes(pieces()))]
    assert isinstance(sequence, LongAttribute)
    passed = 0
    for item in sequence.values:
        passed += len(dumps(item)) + 1
        assert taken < passed + 3 * dicom_json_reader.PIECE_CHARACTERS
    assert taken == len(text)


def _first(attributes: Iterator[tuple[str, Attribute]]) -> Iterator[tuple[str, Attribute]]:
    yield next(attributes)


def test_the_steps_grow_with_the_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    scanned = 0
    scan = dicom_json_reader._scan

    def counted(text: str, at: int) -> Any:
        nonlocal scanned
        scanned += 1
        return scan(text, at)

    monkeypatch.setattr(dicom_json_reader, "_scan", counted)
    counts = []
    for count in (10_000, 20_000, 40_000):
        before = scanned
        whole(read_attributes(pieces_of(groups(count), 64 * 1024)))
        counts.append(scanned - before)
    assert all(1.9 < later / earlier < 2.1 for earlier, later in pairwise(counts))


@pytest.mark.parametrize("length", [70_000, 400_000])
def test_a_value_longer_than_a_piece_is_whole(length: int) -> None:
    data_set = {"00104000": {"vr": "LT", "Value": ["\x01" * length, "b"]}, "00280010": {"vr": "US", "Value": [1]}}
    assert whole(read_attributes(pieces_of(dumps(data_set), 1000))) == data_set


@pytest.mark.parametrize("characters", [20, 10**6])
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'"a"',
        b'{"00080005"}',
        b'{"00080005":',
        b'{"00080005":{"vr":"CS"}',
        b'{"00080005":{"vr":"CS","Value":["a"]},',
        b'{"00080005":{"vr":"CS","Value":["a"}}',
        b'{"00080005":{"vr":"CS","Value":["a"]]}',
        b'{"00080005":{"vr":"CS","Value":["a',
        b'{"00080005":{"vr":"CS","Value":[1',
        b'{"00080005":{"Value":["a"],"vr"',
        b'{"00080005":{"vr":"CS" "Value":[]}}',
        b'{1:{"vr":"CS","Value":["a"]}}',
        b"\xff",
        b'{"00080005":{"vr":"CS","Value":["\xc3"]}}',
        b'{"00080005":{"vr":"CS","Value":["a"]}}\xc3',
        b'{"00080005":{"vr":"CS","Value":["a"]}}{}',
    ],
)
def test_what_is_no_data_set_is_refused(text: bytes, characters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_json_reader, "PIECE_CHARACTERS", characters)
    with pytest.raises(ValueError):  # noqa: PT011 - whichever is met first
        whole(read_attributes(pieces_of(text, 5)))

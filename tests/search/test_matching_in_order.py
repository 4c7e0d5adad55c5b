"""A data set read a piece at a time matches what it matches when it is held, and is read no further than needed."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.dicom import dicom_json_reader
from shared.dicom.dicom_json_reader import read_attributes
from shared.dicom.dicom_json_text import dumps
from shared.search.matching import AnyOf, ByVR, EachOf, Empty, Matcher, Range, Wildcard, matched_attributes, satisfies

PIECE_CHARACTERS = 60

tags = st.sampled_from(["00080020", "00100010", "00209111", "00400275"])
names = st.fixed_dictionaries({"Alphabetic": st.sampled_from(["Doe^John", "Roe"])})
texts = st.sampled_from(["a", "b", "c", "long text " * 8])
attributes = st.one_of(
    st.builds(lambda values: {"vr": "LO", "Value": values}, st.lists(texts, min_size=1, max_size=20)),
    st.builds(lambda values: {"vr": "PN", "Value": values}, st.lists(names, min_size=1, max_size=5)),
    st.sampled_from([{"vr": "LO"}, {"vr": "SQ"}, {"vr": "OB", "BulkDataURI": "bulkdata/00080020"}]),
)


def sequences(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    items = st.lists(st.dictionaries(tags, inner, max_size=4), min_size=1, max_size=6)
    return items.map(lambda found: {"vr": "SQ", "Value": found})


data_sets = st.dictionaries(tags, st.recursive(attributes, sequences, max_leaves=12), max_size=4)
values = st.builds(AnyOf, st.sets(st.sampled_from(["a", "b", "doe^john"]))) | st.sampled_from(
    [Wildcard("*text*"), Wildcard("?"), Range("b", "c")]
)
matchers: st.SearchStrategy[Matcher] = st.one_of(
    values,
    st.just(Empty()),
    st.builds(EachOf, st.tuples(values, values)),
    st.builds(ByVR, st.fixed_dictionaries({"LO": values})),
)
requirements = st.recursive(
    st.dictionaries(tags, matchers, max_size=2),
    lambda inner: st.dictionaries(tags, matchers | inner, max_size=3),
    max_leaves=6,
)


@given(data_sets, requirements, st.integers(1, 100))
@settings(max_examples=150)
def test_is_what_matches_at_once(data_set: dict[str, Any], required: Mapping[str, Any], size: int) -> None:
    text = dumps(dict(sorted(data_set.items())))
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dicom_json_reader, "PIECE_CHARACTERS", PIECE_CHARACTERS)
        found = matched_attributes(read_attributes(pieces), required, {"00080020"})
    assert (found is not None) is satisfies(data_set, required)
    if found is not None and data_set.get("00080020", {}).get("vr") != "SQ":
        assert found == {tag: one for tag, one in data_set.items() if tag == "00080020"}


def test_it_stops_where_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_json_reader, "PIECE_CHARACTERS", PIECE_CHARACTERS)
    begun = [b'{"00080020":{"vr":"LO","Value":["a"]},', b'"00100010":{"vr":"LO","Value":["', b"x" * 100]
    assert matched_attributes(read_attributes(begun), {"00080020": AnyOf(["b"])}) is None
    with pytest.raises(ValueError, match="cut short"):
        matched_attributes(read_attributes(begun), {"00080020": AnyOf(["a"])})

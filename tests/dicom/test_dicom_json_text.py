"""Text that is held deflated, or written attribute by attribute, is the text that it would be at once."""

import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from shared.dicom import dicom_json_text
from shared.dicom.dicom_json_text import DeflatedValues, ItemsDeflater, deflated_values, inflated, json_texts

TEXT = bytes(range(256)) * 1000


def test_is_inflated_in_pieces() -> None:
    pieces = list(inflated(zlib.compress(TEXT)))
    assert b"".join(pieces) == TEXT
    assert {*map(len, pieces[:-1])} == {64 * 1024}
    assert 0 < len(pieces[-1]) <= 64 * 1024
    assert list(inflated(zlib.compress(b""))) == []
    assert list(inflated(zlib.compress(TEXT[: 64 * 1024]))) == [TEXT[: 64 * 1024]]


@pytest.mark.parametrize(
    ("deflated", "reason"),
    [(b"", "cut short"), (zlib.compress(TEXT)[:-5], "cut short"), (b"no zlib", "not deflated")],
)
def test_what_cannot_be_inflated_is_refused(deflated: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        list(inflated(deflated))


def test_a_text_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_json_text, "MAX_TEXT_BYTES", 100_000)
    assert b"".join(inflated(zlib.compress(bytes(100_000)))) == bytes(100_000)
    with pytest.raises(ValueError, match="more than 100000 bytes"):
        list(inflated(zlib.compress(bytes(100_001))))


@pytest.mark.parametrize("is_long", [False, True])
def test_items_are_written_alike_whether_they_are_long_or_not(is_long: bool) -> None:
    inner = {"00080018": {"vr": "UI", "Value": ["1"]}, "00081199": {"vr": "SQ"}}
    items: list[dict[str, Any]] = [{}, {"00081199": {"vr": "SQ", "Value": [inner, {}]}, "00280010": {"vr": "US"}}]
    deflater = ItemsDeflater()
    for item in items:
        deflater.add(item, is_long=is_long)
    found = deflater.finish()
    assert (len(found), list(found)) == (2, items)
    assert found == deflated_values(items) or is_long
    assert json.loads(b"".join(json_texts([("00081199", {"vr": "SQ", "Value": found})])))["00081199"]["Value"] == items
    assert ItemsDeflater().finish() == deflated_values([])
    assert found != DeflatedValues(b"", 2)
    assert found != items


def test_values_are_inflated_once_to_be_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = DeflatedValues.texts
    times: list[DeflatedValues] = []

    def counted(values: DeflatedValues) -> Iterator[bytes]:
        times.append(values)
        return texts(values)

    monkeypatch.setattr(DeflatedValues, "texts", counted)
    found = deflated_values(list(range(5000)))
    assert [value for value in found if value % 1000 == 0] == [0, 1000, 2000, 3000, 4000]
    assert len(times) == 1

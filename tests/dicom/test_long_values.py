"""Values up to a length are in the metadata; longer ones are bulk values, whatever their VR."""

import json
import struct
from typing import Any

import pytest
from pydicom.uid import ImplicitVRLittleEndian

from shared.dicom import dicom_json
from shared.dicom.dicom_json import MAX_INLINE_BYTES
from shared.dicom.dicom_json_text import DeflatedValues, json_texts
from tests.support.part10_files import part10_of, read


def metadata_of(data: bytes) -> dict[str, dict[str, Any]]:
    return read(data)[1].metadata


def long_element(tag: int, vr: str, value: bytes) -> bytes:
    """An element in Explicit VR Little Endian with a length of 32 bits."""
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr.encode(), 0, len(value)) + value


@pytest.mark.parametrize("vr", ["UT", "UR", "UC"])
def test_text_is_there_up_to_a_length(vr: str) -> None:
    value = b"x" * (MAX_INLINE_BYTES - 2) + b"\\y"
    found = metadata_of(part10_of(long_element(0x00091001, vr, value)))["00091001"]["Value"]
    assert found == (value.decode().split("\\") if vr == "UC" else [value.decode()])


@pytest.mark.parametrize("length", [MAX_INLINE_BYTES + 2, 3 * MAX_INLINE_BYTES])
@pytest.mark.parametrize("vr", ["UT", "UR", "UC", "SV", "UV"])
def test_text_and_numbers_that_are_longer_are_a_bulk_value(vr: str, length: int) -> None:
    expected = "UN" if vr in ("SV", "UV") and length % 8 else vr
    long = long_element(0x00091001, vr, b"1" * length)
    assert metadata_of(part10_of(long))["00091001"] == {"vr": expected, "BulkDataURI": "bulkdata/00091001"}
    sequence = long_element(0x00091002, "SQ", struct.pack("<HHL", 0xFFFE, 0xE000, len(long)) + long)
    (item,) = metadata_of(part10_of(sequence))["00091002"]["Value"]
    assert item["00091001"] == {"vr": expected, "BulkDataURI": "bulkdata/00091002/1/00091001"}


@pytest.mark.parametrize(("is_signed", "vr"), [(0, "US"), (1, "SS")])
@pytest.mark.parametrize("odd", [0, 1])
def test_long_numbers_of_ambiguous_vr_have_that_of_the_pixels(is_signed: int, vr: str, odd: int) -> None:
    length = 2 * MAX_INLINE_BYTES + odd
    values = ((0x0103, struct.pack("<H", is_signed)), (0x0106, bytes(length)))
    encoded = b"".join(struct.pack("<HHL", 0x0028, at, len(value)) + value for at, value in values)
    found = metadata_of(part10_of(encoded, ImplicitVRLittleEndian))["00280106"]
    assert found == {"vr": "UN" if odd else vr, "BulkDataURI": "bulkdata/00280106"}


@pytest.mark.parametrize("held", [0, 300, 10**6])
def test_many_values_are_held_deflated_and_stay_the_same(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_json, "_ALL_HELD_VALUES", held)
    texts = [b"\\".join([b"a"] * count) for count in (1, 256, 257, 3)]
    encoded = b"".join(long_element(0x00091001 + number, "UC", text) for number, text in enumerate(texts))
    item = long_element(0x00091001, "UC", texts[2])
    encoded += long_element(0x00091005, "SQ", struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item)
    encoded += long_element(0x00091006, "SQ", b"") + long_element(0x00091007, "OB", b"12")
    metadata = metadata_of(part10_of(encoded))
    is_deflated = [isinstance(one.get("Value"), DeflatedValues) for one in metadata.values()]
    by_all = {0: [True, True, True, True], 300: [False, False, True, False], 10**6: [False, False, True, False]}
    assert is_deflated == [*by_all[held], True, False, False]
    found = json.loads(b"".join(json_texts(metadata.items())))
    assert [len(found[f"0009100{number}"]["Value"]) for number in range(1, 6)] == [1, 256, 257, 3, 1]
    assert found["00091005"]["Value"] == [{"00091001": {"vr": "UC", "Value": ["a"] * 257}}]
    assert found["00091006"] == {"vr": "SQ"}

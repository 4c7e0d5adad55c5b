"""Values up to a length are in the metadata; longer ones are bulk values, whatever their VR."""

import struct
from typing import Any

import pytest
from pydicom.uid import ImplicitVRLittleEndian

from shared.dicom.dicom_json import MAX_INLINE_BYTES
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

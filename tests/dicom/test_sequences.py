"""The items of a sequence of defined length, and what is refused in their place."""

import struct

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from shared.dicom.parsing import DicomFileLimits, HeadCount, Malformed
from shared.dicom.sequences import raw_items

LIMITS = DicomFileLimits()
UNDEFINED = 0xFFFFFFFF
ENCODINGS = pytest.mark.parametrize(
    ("is_implicit_vr", "is_little_endian"),
    [
        pytest.param(True, True, id="implicit VR"),
        pytest.param(False, True, id="explicit VR"),
        pytest.param(False, False, id="big endian"),
    ],
)


def head(order: str, number: int, length: int) -> bytes:
    """The head of an item (E000), or a delimiter of an item (E00D) or of a sequence (E0DD)."""
    return struct.pack(f"{order}HHL", 0xFFFE, number, length)


def rows(order: str, *, is_implicit_vr: bool, length: int = 2) -> bytes:
    """The element Rows of value 7, which perhaps claims to be of another length."""
    encoded_length = struct.pack(f"{order}L", length) if is_implicit_vr else b"US" + struct.pack(f"{order}H", length)
    return struct.pack(f"{order}HH", 0x0028, 0x0010) + encoded_length + struct.pack(f"{order}H", 7)


def items_of(value: bytes, *, is_implicit_vr: bool, is_little_endian: bool) -> list[dict[str, int]]:
    """The items of a sequence with this value, as keywords and values."""
    element = RawDataElement(BaseTag(0x0040A730), "SQ", len(value), value, 0, is_implicit_vr, is_little_endian)
    items = raw_items(element, HeadCount(LIMITS), LIMITS)
    return [{each.keyword: each.value for each in item} for item in items]


@ENCODINGS
def test_items_of_defined_and_of_undefined_length_follow_each_other(
    is_implicit_vr: bool, is_little_endian: bool
) -> None:
    order = "<" if is_little_endian else ">"
    element = rows(order, is_implicit_vr=is_implicit_vr)
    defined = head(order, 0xE000, len(element)) + element
    undefined = head(order, 0xE000, UNDEFINED) + element + head(order, 0xE00D, 0)
    empty = head(order, 0xE000, 0)
    for value, expected in (
        (b"", []),
        (defined, [{"Rows": 7}]),
        (undefined, [{"Rows": 7}]),
        (defined + empty + undefined + defined, [{"Rows": 7}, {}, {"Rows": 7}, {"Rows": 7}]),
        (defined + head(order, 0xE0DD, 0) + defined, [{"Rows": 7}]),
    ):
        found = items_of(value, is_implicit_vr=is_implicit_vr, is_little_endian=is_little_endian)
        assert found == expected


@ENCODINGS
def test_what_is_not_an_item_or_has_another_length_than_it_says_is_refused(
    is_implicit_vr: bool, is_little_endian: bool
) -> None:
    order = "<" if is_little_endian else ">"
    element = rows(order, is_implicit_vr=is_implicit_vr)
    item = head(order, 0xE000, len(element)) + element
    for value, reason in (
        (element, "something other than items"),
        (item + element, "something other than items"),
        (item[:6], "shorter than its content"),
        (item + item[:-1], "shorter than its content"),
        (head(order, 0xE000, UNDEFINED) + element, "shorter than its content"),
        (head(order, 0xE000, len(element) - 2) + element, "An item is"),
        (head(order, 0xE000, len(element)) + rows(order, is_implicit_vr=is_implicit_vr, length=4), "An item is"),
        (head(order, 0xE000, len(element)) + rows(order, is_implicit_vr=is_implicit_vr, length=40), "An item is"),
        (head(order, 0xE000, len(element) + 8) + head(order, 0xE00D, 0) + element, "An item is longer or shorter"),
    ):
        with pytest.raises(Malformed, match=reason):
            items_of(value, is_implicit_vr=is_implicit_vr, is_little_endian=is_little_endian)

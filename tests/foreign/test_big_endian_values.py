"""Values of every VR in big endian, and of UN, which are in little endian (PS3.5 6.2.2): as DCMTK reads them."""

import struct
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
from pydicom.uid import ExplicitVRBigEndian

from shared.dicom.byte_order import WORD_BYTES
from shared.dicom.explicit_vr import explicit_vr_little_endian
from shared.dicom.file_meta import read_header
from shared.dicom.parsing import DicomFileLimits
from tests.support.dcmtk import dcm2json, in_little_endian
from tests.support.encoded_elements import UNDEFINED, element, head, implicit, item, sequence, sequence_end
from tests.support.part10_files import part10_of, read, read_bulk_value

BEFORE = element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.7\0", ">") + element(0x00080018, "UI", b"1.2.3.44", ">")
AFTER = b"".join(
    [
        element(0x00100020, "LO", b"ID", ">"),
        element(0x0020000D, "UI", b"1.2\0", ">"),
        element(0x0020000E, "UI", b"1.2.3\0", ">"),
    ]
)
NUMBERS = {
    "AT": struct.pack("<HH", 0x0010, 0x0020),
    "FD": struct.pack("<d", 1.5),
    "FL": struct.pack("<f", 2.5),
    "SL": struct.pack("<l", -70_000),
    "SS": struct.pack("<h", -3),
    "SV": struct.pack("<q", -5),
    "UL": struct.pack("<L", 70_000),
    "US": struct.pack("<H", 259),
    "UV": struct.pack("<Q", 2**40 + 3),
}
TEXTS = {
    "AE": b"TITLE ", "AS": b"042Y", "CS": b"CODE", "DA": b"20260101", "DS": b"1.5 ", "DT": b"2026", "IS": b"12",
    "LO": b"text", "LT": b"text", "PN": b"Doe^John", "SH": b"text", "ST": b"text", "TM": b"10", "UC": b"text",
    "UI": b"1.2\0", "UR": b"urn:", "UT": b"text",
}  # fmt: skip
# In little endian; words as long as the VR says.
VALUES = {**NUMBERS, **TEXTS, **dict.fromkeys(("OB", "OD", "OF", "OL", "OV", "OW", "UN"), bytes(range(1, 17)))}
STANDARD = {
    "AT": 0x00280009, "FD": 0x00189073, "LO": 0x00081030, "OW": 0x00660023, "PN": 0x00081070, "SL": 0x00186020,
    "SS": 0x00281041, "UL": 0x00081161, "US": 0x00280010,
}  # fmt: skip
CREATOR = element(0x00090010, "LO", b"MAKER ", ">")
PRIVATE, OUTER = 0x00091001, 0x00091002


def top(found: bytes) -> bytes:
    return found


def in_item(found: bytes) -> bytes:
    return CREATOR + sequence(OUTER, item(CREATOR + found, ">"), ">")


def in_item_of_undefined_length(found: bytes) -> bytes:
    return CREATOR + sequence(OUTER, item(CREATOR + found, ">", is_undefined=True), ">", is_undefined=True)


PLACE = pytest.mark.parametrize("place", [top, in_item, in_item_of_undefined_length])


def big_endian(vr: str) -> bytes:
    size = WORD_BYTES.get(vr, 1)
    value = VALUES[vr]
    return b"".join(value[start : start + size][::-1] for start in range(0, len(value), size))


def check(found: bytes, *, is_first: bool = True, is_read_elsewhere: bool = True) -> dict[str, Any]:
    """Check that a data set with these elements is read alike here, transcoded, and by DCMTK; return its metadata."""
    file = part10_of(BEFORE + (found + AFTER if is_first else AFTER + found), ExplicitVRBigEndian)
    stored, instance = read(file)
    assert stored == file
    _, data_set = read_header(file, DicomFileLimits())
    transcoded = part10_of(explicit_vr_little_endian(data_set))
    assert read(transcoded)[1].metadata == instance.metadata
    for theirs in (dcm2json(in_little_endian(file)),) if is_read_elsewhere else ():
        alike(file, instance.metadata, theirs)
        alike(transcoded, instance.metadata, dcm2json(transcoded))
    return instance.metadata


def alike(file: bytes, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Check our metadata against DCMTK's, which leave UN as it is and hold bulk values."""
    assert ours.keys() == theirs.keys()
    for tag, attribute in ours.items():
        if "BulkDataURI" in attribute:
            value, _ = read_bulk_value(file, attribute["BulkDataURI"].removeprefix("bulkdata/"))
            assert value == b64decode(theirs[tag]["InlineBinary"])
        elif theirs[tag]["vr"] == "SQ":
            for item_here, item_there in zip(attribute["Value"], theirs[tag]["Value"], strict=True):
                alike(file, item_here, item_there)
        elif theirs[tag]["vr"] != "UN":
            assert attribute["vr"] == theirs[tag]["vr"]
            assert [str(value) for value in attribute["Value"]] == [str(value) for value in theirs[tag]["Value"]]


def found_in(metadata: dict[str, Any], tag: int) -> dict[str, Any]:
    items = metadata.get(f"{OUTER:08X}", {}).get("Value", [metadata])
    attribute: dict[str, Any] = items[0][f"{tag:08X}"]
    return attribute


@PLACE
def test_values_are_turned_word_by_word(place: Callable[[bytes], bytes]) -> None:
    values = {vr: VALUES["UN"] if vr == "UN" else big_endian(vr) for vr in VALUES}
    tags = range(PRIVATE + 0x10, PRIVATE + 0x10 + len(values))
    found = b"".join(element(tag, vr, value, ">") for tag, (vr, value) in zip(tags, values.items(), strict=True))
    metadata = check(place(found) if place is not top else CREATOR + found)
    assert [found_in(metadata, tag)["vr"] for tag in tags] == list(VALUES)


@PLACE
def test_values_of_un_are_little_endian(place: Callable[[bytes], bytes]) -> None:
    tags = {tag: vr for vr, tag in STANDARD.items()}
    unknown = b"".join(element(tag, "UN", VALUES[tags[tag]], ">") for tag in sorted(tags))
    known = b"".join(element(tag, tags[tag], big_endian(tags[tag]), ">") for tag in sorted(tags))
    metadata, expected = (check(place(found), is_first=place is not top) for found in (unknown, known))
    assert metadata == expected
    assert {tag: found_in(metadata, tag)["vr"] for tag in tags} == tags


@PLACE
@pytest.mark.parametrize("is_undefined", [False, True], ids=["defined", "undefined"])
@pytest.mark.parametrize("items_are_undefined", [False, True], ids=["items defined", "items undefined"])
@pytest.mark.parametrize("is_implicit", [False, True], ids=["explicit", "implicit"])
def test_sequences_in_un_are_little_endian(
    place: Callable[[bytes], bytes], is_undefined: bool, items_are_undefined: bool, is_implicit: bool
) -> None:
    values = {0x00081150: ("UI", b"1.2.3.4\0"), 0x00280010: ("US", b"\3\1")}
    content = b"".join(
        implicit(tag, value) if is_implicit else element(tag, vr, value) for tag, (vr, value) in values.items()
    )
    items = item(content, is_undefined=items_are_undefined)
    begin = head(0x00081140, "UN", UNDEFINED if is_undefined else len(items), ">")
    # Explicit VR is not what the standard asks for there; DCMTK refuses it where the length is undefined.
    metadata = check(
        place(begin + items + (sequence_end() if is_undefined else b"")),
        is_read_elsewhere=is_implicit or not is_undefined,
    )
    expected = [{"00081150": {"vr": "UI", "Value": ["1.2.3.4"]}, "00280010": {"vr": "US", "Value": [259]}}]
    assert found_in(metadata, 0x00081140) == {"vr": "SQ", "Value": expected}

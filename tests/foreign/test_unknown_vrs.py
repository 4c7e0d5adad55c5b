"""Elements of VRs that do not exist: read as DCMTK, GDCM and pydicom do, wherever they stand and whatever they are."""

from base64 import b64decode
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from shared.dicom.explicit_vr import explicit_vr_little_endian
from shared.dicom.file_meta import read_header
from shared.dicom.parsing import DicomFileLimits
from tests.support.dcmtk import dcm2json
from tests.support.encoded_elements import element, item, sequence
from tests.support.gdcm_files import rewritten
from tests.support.part10_files import chunks, part10_of, read, read_chunks

# As devices write them: GE's blank, what DCMTK and GDCM once wrote, nulls, VRs in lower case, and ones yet to come.
VRS = ("  ", "??", "--", "12", "us", "Us", "ZZ", "XX", "\0\0")
BEFORE = element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.7\0") + element(0x00080018, "UI", b"1.2.3.44")
AFTER = b"".join(
    [
        element(0x00100020, "LO", b"ID"),
        element(0x0020000D, "UI", b"1.2\0"),
        element(0x0020000E, "UI", b"1.2.3\0"),
    ]
)
# One of nulls with a length of 32 bits cannot be told from an element in Implicit VR.
FORMS = pytest.mark.parametrize(
    ("vr", "is_long"), [*((vr, False) for vr in VRS), *((vr, True) for vr in VRS if vr != "\0\0")]
)
SEQUENCE = 0x00081140
TEXT = (0x00081155, b"1.2.840.10008.1.2.3.4.5.6\0")


def in_item(*, is_undefined: bool) -> Callable[[bytes], bytes]:
    def placed(found: bytes) -> bytes:
        return BEFORE + sequence(SEQUENCE, item(found, is_undefined=is_undefined), is_undefined=is_undefined) + AFTER

    return placed


def in_long_sequence(found: bytes) -> bytes:
    first = item(element(0x00081150, "UI", b"1.2 ") + element(0x0040A160, "UT", bytes(70_000)))
    return BEFORE + sequence(SEQUENCE, first + item(found)) + AFTER


PLACES: dict[str, Callable[[bytes], bytes]] = {
    "top": lambda found: BEFORE + found + AFTER,
    "end": lambda found: BEFORE + AFTER + found.replace(b"\x08\x00\x55\x11", b"\x20\x00\x52\x00", 1),
    "item": in_item(is_undefined=False),
    "item of undefined length": in_item(is_undefined=True),
    "among others": lambda found: in_item(is_undefined=True)(element(0x00081150, "UI", b"1.2 ") + found + AFTER),
    "long sequence": in_long_sequence,
}


def read_elsewhere(file: bytes, vr: str, *, is_long: bool) -> bytes:
    """The value as another reader finds it: each reads some of the forms."""
    if not is_long and not (vr.isalpha() and vr.isupper()):
        found: dict[str, Any] = dcm2json(file)
        if (sequence_found := found.get(f"{SEQUENCE:08X}")) is not None:
            found = sequence_found["Value"][-1]
        return b64decode((found.get("00081155") or found["00200052"])["InlineBinary"])
    dataset = dcmread(BytesIO(rewritten(file) if is_long else file))
    if SEQUENCE in dataset:
        dataset = dataset[SEQUENCE].value[-1]
    return bytes((dataset.get_item(0x00081155) or dataset.get_item(0x00200052)).value)


@pytest.mark.parametrize("place", PLACES)
@FORMS
def test_are_read_as_the_attribute_that_they_are(vr: str, is_long: bool, place: str) -> None:
    tag, value = TEXT
    file = part10_of(PLACES[place](element(tag, vr, value, is_long=is_long)))
    stored, instance = read(file)
    assert stored == file
    assert instance.metadata == read(part10_of(PLACES[place](element(tag, "UI", value))))[1].metadata
    assert instance.assumptions == ("Elements have a VR that does not exist; that of the dictionary is assumed.",)
    assert read_chunks(chunks(file, seed=3)) == (stored, instance)
    if len(file) < 4000:
        assert read_chunks(bytes([byte]) for byte in file) == (stored, instance)

    _, data_set = read_header(stored, DicomFileLimits())
    transcoded = read(part10_of(explicit_vr_little_endian(data_set)))[1]
    assert transcoded.metadata == instance.metadata
    assert transcoded.assumptions == ()
    if place != "long sequence":  # which GDCM and DCMTK read alike, but show otherwise
        assert read_elsewhere(file, vr, is_long=is_long) == value


@FORMS
def test_several_are_read(vr: str, is_long: bool) -> None:
    values = {0x00080060: b"SR", 0x00081030: b"dose", 0x00081048: b"", 0x00081070: b"Doe^John", 0x00100010: b"Doe"}

    def file(vrs: list[str], is_long: bool | None) -> bytes:
        found = (element(tag, vr, value, is_long=is_long) for (tag, value), vr in zip(values.items(), vrs, strict=True))
        return part10_of(BEFORE + b"".join(found) + AFTER)

    expected = read(file(["CS", "LO", "PN", "PN", "PN"], None))[1]
    assert read(file([vr] * 5, is_long))[1].metadata == expected.metadata


@pytest.mark.parametrize("vr", VRS, ids=repr)
def test_are_read_in_big_endian(vr: str) -> None:
    files = [
        part10_of(
            b"".join(
                [
                    element(0x00080018, "UI", b"1.2.3.44", ">"),
                    element(0x00081155, which, b"1.2.840.1", ">", is_long=False),
                    element(0x0020000D, "UI", b"1.2\0", ">"),
                ]
            ),
            ExplicitVRBigEndian,
        )
        for which in (vr, "UI")
    ]
    assert read(files[0])[1].metadata == read(files[1])[1].metadata


@pytest.mark.parametrize("length", [0x2020, 0x3F3F, 0x10000, 0x20000, 0x12020])
@pytest.mark.parametrize("filling", [b"\0", b"\x20", b"\x08"])
def test_an_element_in_implicit_vr_whose_length_looks_like_one_keeps_it(length: int, filling: bytes) -> None:
    # Some devices write a few elements of Implicit VR into a data set of Explicit VR, as pydicom reads them.
    tag, value = 0x00091001, filling * length
    found = tag.to_bytes(4, "little")[2:] + tag.to_bytes(4, "little")[:2] + length.to_bytes(4, "little") + value
    _, instance = read(part10_of(BEFORE + element(0x00090010, "LO", b"MAKER ") + found + AFTER, ExplicitVRLittleEndian))
    assert instance.metadata["00091001"]["vr"] == "UN"
    assert instance.metadata["00100020"]["Value"] == ["ID"]
    assert instance.assumptions == ()

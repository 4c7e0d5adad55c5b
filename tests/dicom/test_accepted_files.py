"""What would be accepted, and then not be readable as it is sent, or say two things, is refused or says one thing."""

import struct
import zlib

import pytest
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from shared.dicom.long_elements import LONG_BYTES
from tests.support.accepted_files import check_accepted
from tests.support.part10_files import ALL_ENCODINGS, data_set, part10, part10_of, read, refusal

TRANSFER_SYNTAX = struct.pack("<HH2sH", 0x0002, 0x0010, b"UI", 6) + b"1.2.3\0"
SERIES = struct.pack("<HH2sH", 0x0020, 0x000E, b"UI", 6) + b"1.2.3\0"
PIXEL_DATA = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, 2) + b"\0\0"
ITEM, SEQUENCE_END = b"\xfe\xff\0\xe0", b"\xfe\xff\xdd\xe0" + bytes(4)


def deflated(encoded: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return part10_of(compressor.compress(encoded) + compressor.flush(), DeflatedExplicitVRLittleEndian)


def sequence(tag: int, content: bytes, *, is_undefined: bool = False) -> bytes:
    """A sequence of one item, in Explicit VR."""
    item = ITEM + struct.pack("<L", len(content)) + content
    length = 0xFFFFFFFF if is_undefined else len(item)
    head = struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, b"SQ", 0, length)
    return head + item + (SEQUENCE_END if is_undefined else b"")


class TestElementsOfTheFileMetaGroup:
    """Where nothing stands between them and the group, they would change what it says."""

    def test_do_not_begin_a_deflated_data_set(self) -> None:
        assert "begins with an element of the file meta group" in refusal(deflated(TRANSFER_SYNTAX + SERIES))

    def test_do_not_follow_pixel_data_that_begins_a_data_set(self) -> None:
        assert "begins with an element of the file meta group" in refusal(part10_of(PIXEL_DATA + TRANSFER_SYNTAX))

    @pytest.mark.parametrize("file", [part10_of(SERIES + TRANSFER_SYNTAX), deflated(SERIES + TRANSFER_SYNTAX)])
    def test_are_left_out_elsewhere(self, file: bytes) -> None:
        stored, instance = read(file)
        assert instance.metadata.keys() == {"0020000E"}
        check_accepted(stored, instance)


class TestASpecificCharacterSetThatIsASequence:
    @pytest.mark.parametrize("is_nested", [False, True])
    def test_is_refused(self, is_nested: bool) -> None:
        encoded = sequence(0x00080005, b"", is_undefined=True)
        assert "is a sequence" in refusal(part10_of(sequence(0x0040A730, encoded) if is_nested else encoded))

    @ALL_ENCODINGS
    def test_is_refused_in_every_encoding(self, syntax: UID) -> None:
        order, group = (">", b"\0\x08\0\x05") if not syntax.is_little_endian else ("<", b"\x08\0\x05\0")
        vr = b"" if syntax.is_implicit_VR else b"SQ\0\0"
        series = part10(data_set(), syntax)[-len(SERIES) :]
        encoded = group + vr + struct.pack(f"{order}L", 0xFFFFFFFF) + SEQUENCE_END
        assert "is a sequence" in refusal(part10_of(encoded + series, syntax))

    def test_is_refused_however_long(self) -> None:
        text = struct.pack("<HH2sH", 0x0008, 0x0104, b"LO", LONG_BYTES - 2) + b" " * (LONG_BYTES - 2)
        assert "Specific Character Set is longer" in refusal(part10_of(sequence(0x00080005, text)))


@pytest.mark.parametrize("vr", ["PN", "LT", "US", "AT", "FL"])
def test_a_specific_character_set_is_text_whatever_its_vr(vr: str) -> None:
    encoded = struct.pack("<HH2sH", 0x0008, 0x0005, vr.encode(), 10) + b"ISO_IR 100"
    name = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 2) + "é ".encode("latin-1")
    stored, instance = read(part10_of(encoded + name))
    assert instance.metadata["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert instance.metadata["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "é"}]}
    check_accepted(stored, instance)


@pytest.mark.parametrize("size_bytes", [4, LONG_BYTES])
def test_pixels_are_signed_by_a_number_only(size_bytes: int) -> None:
    """Not by the bytes of a sequence, which are there or not, depending on how many they are."""
    smallest = struct.pack("<HH2sHH", 0x0028, 0x0106, b"UN", 0, 0)[:8] + struct.pack("<L", 2) + b"\xff\xff"
    code = struct.pack("<HH2sHL", 0x0008, 0x0104, b"UT", 0, size_bytes) + b" " * size_bytes
    stored, instance = read(part10_of(sequence(0x00280103, code) + smallest))
    assert instance.metadata["00280106"] == {"vr": "US", "Value": [65535]}
    check_accepted(stored, instance)

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from shared.dicom.bulk_data_uris import BULK_DATA
from shared.dicom.dicom_file import DicomFileError, DicomFileLimits
from shared.dicom.dicom_json import JsonConverter
from shared.dicom.element_reader import ElementReader
from shared.dicom.element_values import NOTHING_INHERITED
from shared.dicom.explicit_vr import explicit_vr_little_endian
from shared.dicom.file_meta import FileMetaReader
from shared.dicom.parsing import Encoding
from shared.dicom.pixel_data import PIXEL_DATA_TAGS
from tests.support.part10_files import SAMPLES, data_set, part10, part10_of, read

LIMITS = DicomFileLimits()
LITTLE, BIG, IMPLICIT = Encoding(), Encoding(is_little_endian=False), Encoding(is_implicit_vr=True)
ENCODINGS = {ImplicitVRLittleEndian: IMPLICIT, ExplicitVRLittleEndian: LITTLE, ExplicitVRBigEndian: BIG}
UNDEFINED = 0xFFFFFFFF
LONG_VRS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


def header_of(stored: bytes) -> Dataset:
    """What comes before Pixel Data, as raw elements."""
    meta = FileMetaReader(LIMITS).feed(stored, is_last=True)
    assert meta is not None
    plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(meta.following) if meta.is_deflated else meta.following
    reader = ElementReader(meta.encoding, limits=LIMITS)
    reader.feed(plain, stop=lambda head: head.tag in PIXEL_DATA_TAGS, is_last=True)
    return reader.data_set


def parsed(encoded: bytes, encoding: Encoding = LITTLE) -> Dataset:
    reader = ElementReader(encoding, limits=LIMITS)
    reader.feed(encoded, is_last=True)
    return reader.data_set


def json_of(data_set: Dataset) -> dict[str, dict[str, Any]]:
    return JsonConverter(LIMITS).attributes(data_set, BULK_DATA, NOTHING_INHERITED)


def rewritten(encoded: bytes, encoding: Encoding = LITTLE, **options: Any) -> bytes:
    return explicit_vr_little_endian(parsed(encoded, encoding), **options)


def element(tag: int, vr: str, value: bytes, *, order: str = "<", length: int | None = None) -> bytes:
    """An element in Explicit VR."""
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    form = "HL" if vr in LONG_VRS else "H"
    numbers = (0,) if vr in LONG_VRS else ()
    return head + struct.pack(f"{order}{form}", *numbers, len(value) if length is None else length) + value


def implicit(tag: int, value: bytes = b"", *, order: str = "<", length: int | None = None) -> bytes:
    """An element in Implicit VR, an item or a delimiter."""
    return struct.pack(f"{order}HHL", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


class TestSamples:
    @pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
    def test_say_the_same(self, path: Path) -> None:
        header = header_of(read(path.read_bytes())[0])
        encoded = explicit_vr_little_endian(header)
        assert json_of(parsed(encoded)) == json_of(header)
        assert rewritten(encoded) == encoded

    @pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
    def test_say_the_same_to_pydicom(self, path: Path) -> None:
        stored = read(path.read_bytes())[0]
        encoded = explicit_vr_little_endian(header_of(stored))
        expected = said(pydicom.dcmread(BytesIO(stored), stop_before_pixels=True))
        assert said(pydicom.dcmread(BytesIO(part10_of(encoded)))) == expected


def said(dataset: Dataset) -> dict[int, tuple[str, object]]:
    """VR and value of every attribute, except group lengths and trailing padding; bytes of even length."""
    found: dict[int, tuple[str, object]] = {}
    for attribute in dataset:
        value = attribute.value
        if isinstance(value, bytes):
            value += bytes(len(value) % 2)
        if attribute.tag.element and attribute.tag != 0xFFFCFFFC:
            said_of_it = [said(item) for item in value] if attribute.VR == "SQ" else repr(value)
            found[int(attribute.tag)] = (attribute.VR, said_of_it)
    return found


class TestValues:
    @pytest.mark.parametrize(
        ("vr", "big", "little"),
        [
            ("AT", "00181020", "18002010"),
            ("FD", "0102030405060708", "0807060504030201"),
            ("FL", "01020304", "04030201"),
            ("OB", "0102", "0102"),
            ("OD", "0102030405060708", "0807060504030201"),
            ("OF", "01020304", "04030201"),
            ("OL", "01020304", "04030201"),
            ("OV", "0102030405060708", "0807060504030201"),
            ("OW", "01020304", "02010403"),
            ("SL", "01020304", "04030201"),
            ("SS", "01020304", "02010403"),
            ("SV", "0102030405060708", "0807060504030201"),
            ("UL", "0102030405060708", "0403020108070605"),
            ("US", "0102", "0201"),
            ("UV", "0102030405060708", "0807060504030201"),
            ("LO", "4142", "4142"),
            ("UN", "01020304", "01020304"),
        ],
    )
    def test_in_big_endian_have_their_words_swapped(self, vr: str, big: str, little: str) -> None:
        plain = element(0x00091001, vr, bytes.fromhex(big), order=">")
        assert rewritten(plain, BIG) == element(0x00091001, vr, bytes.fromhex(little))
        nested = element(0x00081199, "SQ", implicit(ITEM, plain, order=">"), order=">")
        expected = element(0x00081199, "SQ", implicit(ITEM, element(0x00091001, vr, bytes.fromhex(little))))
        assert rewritten(nested, BIG) == expected

    def test_of_un_are_already_in_little_endian(self) -> None:
        assert rewritten(element(0x00280010, "UN", b"\x01\x02", order=">"), BIG) == element(
            0x00280010, "US", b"\x01\x02"
        )

    @pytest.mark.parametrize(
        ("vr", "padding"),
        [(vr, b" ") for vr in ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM")]
        + [(vr, b" ") for vr in ("UC", "UR", "UT")]
        + [("UI", b"\0"), ("OB", b"\0"), ("UN", b"\0")],
    )
    def test_of_odd_length_are_padded(self, vr: str, padding: bytes) -> None:
        assert rewritten(element(0x00091001, vr, b"123")) == element(0x00091001, vr, b"123" + padding)

    @pytest.mark.parametrize("value", [b"not a date", b"\xff\xfe\x00\x80", b"\\\\\\\\"])
    def test_that_are_wrong_stay_as_they_are(self, value: bytes) -> None:
        for vr in ("DA", "DS", "IS", "PN", "UI", "CS", "TM"):
            assert rewritten(element(0x00091001, vr, value)) == element(0x00091001, vr, value)

    def test_of_an_impossible_length_are_un(self) -> None:
        expected = element(0x00280010, "UN", b"\1\2\3\0")
        assert rewritten(element(0x00280010, "US", b"\1\2\3", order=">"), BIG) == expected

    def test_too_long_for_their_vr_are_un(self) -> None:
        longest = b"x" * 65_534
        assert rewritten(implicit(0x00081030, longest), IMPLICIT) == element(0x00081030, "LO", longest)
        for value in (longest + b"x", longest + b"xx"):
            encoded = rewritten(implicit(0x00081030, value), IMPLICIT)
            assert encoded == element(0x00081030, "UN", value.ljust(65_536))
            assert rewritten(encoded) == encoded
        assert rewritten(implicit(0x0040A160, longest + b"xx"), IMPLICIT) == element(0x0040A160, "UT", longest + b"xx")

    def test_of_unknown_vr_are_un(self) -> None:
        creator, value = implicit(0x00090010, b"ACME"), implicit(0x00091001, b"1234")
        assert rewritten(creator + value, IMPLICIT) == element(0x00090010, "LO", b"ACME") + element(
            0x00091001, "UN", b"1234"
        )
        assert rewritten(element(0x00091001, "ZZ", b"12")) == element(0x00091001, "UN", b"12")

    def test_of_two_possible_vrs_have_that_of_the_pixels(self) -> None:
        values = b"".join(implicit(tag, b"\xff\xff") for tag in (0x00280106, 0x00280120))
        for representation, vr in ((b"\0\0", "US"), (b"\1\0", "SS")):
            encoded = rewritten(implicit(0x00280103, representation) + values, IMPLICIT)
            assert encoded == element(0x00280103, "US", representation) + b"".join(
                element(tag, vr, b"\xff\xff") for tag in (0x00280106, 0x00280120)
            )

    def test_of_two_possible_vrs_have_that_of_the_enclosing_data_set(self) -> None:
        around = NOTHING_INHERITED.by(parsed(element(0x00280103, "US", b"\1\0")))
        padding = implicit(0x00280120, b"\xff\xff")
        assert rewritten(padding, IMPLICIT, inherited=around) == element(0x00280120, "SS", b"\xff\xff")


class TestSequences:
    @pytest.mark.parametrize("is_undefined", [False, True])
    def test_and_items_may_be_empty(self, is_undefined: bool) -> None:
        inner = implicit(0x00081140, b"")
        items = implicit(ITEM) + implicit(ITEM, inner) + implicit(ITEM)
        if is_undefined:
            item_end = implicit(ITEM_END)
            inner = implicit(0x00081140, implicit(SEQUENCE_END), length=UNDEFINED)
            empty = implicit(ITEM, item_end, length=UNDEFINED)
            items = empty + implicit(ITEM, inner + item_end, length=UNDEFINED) + empty + implicit(SEQUENCE_END)
        sequence = implicit(0x00081115, items, length=UNDEFINED if is_undefined else None)
        expected = implicit(ITEM) + implicit(ITEM, element(0x00081140, "SQ", b"")) + implicit(ITEM)
        assert rewritten(sequence, IMPLICIT) == element(0x00081115, "SQ", expected)

    def test_in_un_are_read_in_implicit_vr_little_endian(self) -> None:
        items = implicit(ITEM, implicit(0x00081150, b"1.2\0"))
        expected = element(0x00081199, "SQ", implicit(ITEM, element(0x00081150, "UI", b"1.2\0")))
        undefined = items + implicit(SEQUENCE_END)
        assert rewritten(element(0x00081199, "UN", items)) == expected
        assert rewritten(element(0x00081199, "UN", undefined, length=UNDEFINED)) == expected
        assert rewritten(element(0x00081199, "UN", items, order=">"), BIG) == expected

    def test_that_are_private_are_recognized_by_their_form_alone(self) -> None:
        creator, value = implicit(0x00090010, b"ACME"), implicit(0x00091002, b"1234")
        undefined = implicit(0x00091001, implicit(ITEM, value) + implicit(SEQUENCE_END), length=UNDEFINED)
        expected = element(0x00091001, "SQ", implicit(ITEM, element(0x00091002, "UN", b"1234")))
        assert rewritten(creator + undefined, IMPLICIT) == element(0x00090010, "LO", b"ACME") + expected
        # With a defined length nothing shows it; what UN holds is in Implicit VR, so it may stay.
        defined = implicit(ITEM, value)
        expected = element(0x00091001, "UN", defined)
        assert rewritten(implicit(0x00091001, defined), IMPLICIT) == expected

    def test_that_hold_no_items_are_un(self) -> None:
        broken = implicit(ITEM, element(0x00081150, "UI", b"1.2\0"), length=60)
        encoded = rewritten(element(0x00081199, "SQ", broken) + element(0x00100020, "LO", b"ID"))
        assert encoded == element(0x00081199, "UN", broken) + element(0x00100020, "LO", b"ID")

    def test_that_are_broken_within_whole_ones_are_un(self) -> None:
        broken = element(0x00081199, "SQ", b"no items")
        whole = element(0x00081115, "SQ", implicit(ITEM, broken + element(0x0020000E, "UI", b"1.2\0")))
        assert rewritten(whole) == whole.replace(b"SQ\0\0\x08\0\0\0no", b"UN\0\0\x08\0\0\0no")

    def test_lose_group_lengths_and_all_else_that_is_not_an_attribute(self) -> None:
        extra = element(0x00080000, "UL", b"\x0c\0\0\0")
        kept = element(0x00081150, "UI", b"1.2\0")
        padding = element(0xFFFCFFFC, "OB", bytes(4))
        sequence = element(0x00081199, "SQ", implicit(ITEM, extra + kept + padding))
        expected = element(0x00081199, "SQ", implicit(ITEM, kept))
        assert rewritten(element(0x00020010, "UI", b"1.2\0") + extra + sequence + padding) == expected

    def test_nested_too_deep_are_refused(self) -> None:
        encoded = b""
        for _ in range(4):
            encoded = element(0x0040A730, "SQ", implicit(ITEM, encoded))
        assert rewritten(encoded, limits=DicomFileLimits(max_sequence_depth=4)) == encoded
        with pytest.raises(DicomFileError, match="deeper than 3 levels"):
            rewritten(encoded, limits=DicomFileLimits(max_sequence_depth=3))


class TestEncapsulatedValues:
    FRAGMENTS = (b"", b"\xff\xd8", b"\xff\xd9")

    def icon(self, vr: str, order: str, pixels: bytes) -> bytes:
        icon = element(0x7FE00010, vr, pixels + implicit(SEQUENCE_END, order=order), order=order, length=UNDEFINED)
        item = implicit(ITEM, icon, order=order)
        return element(0x00880200, "SQ", item, order=order)

    @pytest.mark.parametrize(("encoding", "order"), [(LITTLE, "<"), (BIG, ">")])
    def test_keep_their_fragments(self, encoding: Encoding, order: str) -> None:
        fragments = b"".join(implicit(ITEM, fragment, order=order) for fragment in self.FRAGMENTS)
        encoded = rewritten(self.icon("OB", order, fragments), encoding)
        assert encoded == self.icon("OB", "<", b"".join(map(implicit, [ITEM] * 3, self.FRAGMENTS)))
        assert rewritten(encoded) == encoded

    def test_also_have_a_vr_in_implicit_vr(self) -> None:
        fragments = b"".join(map(implicit, [ITEM] * 3, self.FRAGMENTS))
        icon = implicit(0x7FE00010, fragments + implicit(SEQUENCE_END), length=UNDEFINED)
        encoded = rewritten(implicit(0x00880200, implicit(ITEM, icon)), IMPLICIT)
        assert encoded == self.icon("OB", "<", fragments)

    def test_of_fragments_of_odd_length_are_padded(self) -> None:
        odd = implicit(ITEM) + implicit(ITEM, b"123")
        assert rewritten(self.icon("OB", "<", odd)) == self.icon("OB", "<", implicit(ITEM) + implicit(ITEM, b"123\0"))

    @pytest.mark.parametrize(("vr", "written"), [("OW", "OW"), ("UT", "OB")])
    def test_that_have_no_fragments_get_a_length(self, vr: str, written: str) -> None:
        following = element(0x00091002, "OB", bytes(10_000))  # as pydicom needs to find the end of such a value
        broken = element(0x00091001, vr, b"no items" + implicit(SEQUENCE_END), length=UNDEFINED)
        encoded = rewritten(broken + following)
        assert encoded == element(0x00091001, written, b"no items") + following
        assert rewritten(encoded) == encoded


class TestReplaced:
    HEADER = (
        element(0x00080060, "CS", b"US")
        + element(0x00280004, "CS", b"YBR_FULL_422")
        + element(0x00280010, "US", b"\1\0")
    )

    def test_at_the_beginning_in_the_middle_and_at_the_end(self) -> None:
        replaced = {
            0x00282110: ("CS", b"01"),
            0x00280004: ("CS", b"RGB"),
            0x00280006: ("US", b"\0\0"),
            0x00080008: ("CS", b"DERIVED"),
        }
        assert rewritten(self.HEADER, replaced=replaced) == (
            element(0x00080008, "CS", b"DERIVED ")
            + element(0x00080060, "CS", b"US")
            + element(0x00280004, "CS", b"RGB ")
            + element(0x00280006, "US", b"\0\0")
            + element(0x00280010, "US", b"\1\0")
            + element(0x00282110, "CS", b"01")
        )

    def test_with_nothing(self) -> None:
        replaced = {0x00080060: None, 0x00280010: None, 0x00280011: None}
        assert rewritten(self.HEADER, replaced=replaced) == element(0x00280004, "CS", b"YBR_FULL_422")

    def test_by_values_in_little_endian_whatever_the_source(self) -> None:
        header = element(0x00280010, "US", b"\0\1", order=">")
        replaced = {0x00280011: ("US", b"\2\0")}
        expected = element(0x00280010, "US", b"\1\0") + element(0x00280011, "US", b"\2\0")
        assert rewritten(header, BIG, replaced=replaced) == expected

    def test_only_at_the_top(self) -> None:
        sequence = element(0x00880200, "SQ", implicit(ITEM, self.HEADER))
        assert rewritten(sequence, replaced={0x00280004: None}) == sequence

    def test_leaves_the_data_set_as_it_was(self) -> None:
        header = parsed(self.HEADER)
        explicit_vr_little_endian(header, replaced={0x00280004: None, 0x00280006: ("US", b"\0\0")})
        assert explicit_vr_little_endian(header) == self.HEADER


def test_a_converted_element_is_the_callers_error() -> None:
    header = parsed(element(0x00280010, "US", b"\1\0"))
    assert header.Rows == 1
    with pytest.raises(TypeError, match="converted"):
        explicit_vr_little_endian(header)


# Standard attributes, whose VR a dictionary knows, and values that pydicom writes in any encoding.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "PatientID": st.text("ABC 12", max_size=9),
    "ImageType": st.lists(st.sampled_from(["ORIGINAL", "PRIMARY", "A"]), min_size=1, max_size=4),
    "FrameOfReferenceUID": st.sampled_from(["1.2", "1.2.3", "1.22.333"]),
    "PatientName": st.sampled_from(["Doe^Jane", "A=B", "A"]),
    "PatientWeight": st.sampled_from(["1.5", "70", "2e3"]),
    "TextValue": st.text("ABC\\ 12", max_size=9),
    "Rows": st.integers(0, 2**16 - 1),
    "RegionFlags": st.integers(0, 2**32 - 1),
    "ReferencePixelX0": st.integers(-(2**31), 2**31 - 1),
    "DiffusionBValue": st.floats(),
    "RecommendedDisplayFrameRateInFloat": st.floats(width=32),
    "TagAngleSecondAxis": st.integers(-(2**15), 2**15 - 1),
    "FrameIncrementPointer": st.lists(st.sampled_from([0x00181063, 0x00540010]), min_size=1, max_size=3),
    "PixelRepresentation": st.integers(0, 1),
    "EncapsulatedDocument": st.binary(max_size=9),
}
SEQUENCES = ("ReferencedSeriesSequence", "ContentSequence", "IconImageSequence")


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 3) -> Dataset:
    dataset = data_set()
    for keyword in draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=6)):
        setattr(dataset, keyword, draw(VALUES[keyword]))
    for keyword in draw(st.lists(st.sampled_from(SEQUENCES), unique=True, max_size=2 if depth else 0)):
        items = draw(st.lists(data_sets(depth - 1), max_size=3))
        for item in items:
            item.is_undefined_length_sequence_item = draw(st.booleans())
        setattr(dataset, keyword, items)
        dataset[keyword].is_undefined_length = draw(st.booleans())
    return dataset


@pytest.mark.property
@settings(max_examples=100)
@given(data_sets())
def test_the_encoding_of_the_source_makes_no_difference(dataset: Dataset) -> None:
    written = {syntax: header_of(part10(dataset, syntax)) for syntax in ENCODINGS}
    encoded = {syntax: explicit_vr_little_endian(header) for syntax, header in written.items()}
    once = encoded[ExplicitVRLittleEndian]
    assert set(encoded.values()) == {once}
    assert json_of(parsed(once)) == json_of(written[ImplicitVRLittleEndian])
    assert rewritten(once) == once

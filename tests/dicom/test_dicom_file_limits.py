"""What a file may cost: nesting, elements, fragments and bytes."""

import struct

import pytest
from pydicom.uid import RLELossless

from shared.dicom.dicom_file import DicomFileError, DicomFileLimits, DicomFileReader
from tests.support.part10_files import (
    image,
    nested,
    part10,
    part10_of,
    read,
    read_chunks,
    refusal,
)


class TestLimits:
    @pytest.mark.parametrize("is_undefined", [True, False])
    @pytest.mark.parametrize("depth", [65, 5_000])
    def test_of_nesting(self, depth: int, is_undefined: bool) -> None:
        assert "deeper than 64" in refusal(part10_of(nested(depth, is_undefined=is_undefined)))
        assert read(part10_of(nested(64, is_undefined=is_undefined)))

    @pytest.mark.parametrize("length", [0x7FFFFFFF, 0x80000000, 0xFFFFFFFE])
    @pytest.mark.parametrize("vr", [b"OB", b"SQ", b"UT"])
    def test_of_the_header_apply_to_what_is_claimed(self, vr: bytes, length: int) -> None:
        data = part10_of(struct.pack("<HH2sHL", 0x0042, 0x0011, vr, 0, length))
        reader = DicomFileReader()
        with pytest.raises(DicomFileError, match="larger than 67108864 bytes"):
            reader.feed(data)

    @pytest.mark.parametrize("is_undefined", [True, False])
    def test_of_the_header_apply_to_what_comes(self, is_undefined: bool) -> None:
        value = struct.pack("<HH2sHL", 0x0042, 0x0011, b"OB", 0, 60_000) + bytes(60_000)
        if is_undefined:
            value = (
                struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF)
                + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
                + value
            )
            value += bytes.fromhex("feff0de000000000 feffdde000000000")
        assert "larger than 50000 bytes" in refusal(part10_of(value), DicomFileLimits(max_header_bytes=50_000))
        assert read(part10_of(value), DicomFileLimits(max_header_bytes=len(value)))

    def test_of_what_sequences_of_defined_length_hold(self) -> None:
        # pydicom copies what is in each level, and all levels are in memory at once.
        document = struct.pack("<HH2sHL", 0x0042, 0x0011, b"OB", 0, 9_000) + bytes(9_000)
        for depth, is_kept in ((3, True), (5, False)):
            encoded = document
            for _ in range(depth):
                item = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(encoded)) + encoded
                encoded = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, len(item)) + item
            limits = DicomFileLimits(max_header_bytes=10_000)
            if is_kept:
                assert read(part10_of(encoded), limits)
            else:
                assert "nested too deep" in refusal(part10_of(encoded), limits)

    @pytest.mark.parametrize("is_nested", [True, False])
    def test_of_specific_character_set(self, is_nested: bool) -> None:
        encoded = struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", 2_000) + (b"\\ISO_IR 192" * 150).ljust(2_000)
        if is_nested:
            encoded = struct.pack("<HH2sHL4sL", 0x0040, 0xA730, b"SQ", 0, 2_016, b"\xfe\xff\0\xe0", 2_008) + encoded
        assert "Specific Character Set is longer" in refusal(part10_of(encoded))

    def test_an_item_out_of_place_is_refused(self) -> None:
        item = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"
        assert "FFFE,E000" in refusal(part10_of(item + struct.pack("<HH2sH", 0x0008, 0x0060, b"CS", 2) + b"CT"))

    def test_of_elements(self) -> None:
        items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 1001
        data = part10_of(struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, len(items)) + items)
        assert "more than 1000 elements and items" in refusal(data, DicomFileLimits(max_elements=1000))
        assert read(data, DicomFileLimits(max_elements=1001))

    @pytest.mark.parametrize("length", [0xFFFFFFFF, None])
    def test_of_elements_at_once_are_those_at_the_top_and_in_one_item(self, length: int | None) -> None:
        code = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"
        inner = struct.pack("<HH2sHL", 0x0040, 0xA043, b"SQ", 0, 8 * 8_000) + code * 8_000
        item = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(inner)) + inner
        ends = bytes.fromhex("feffdde000000000") if length else b""
        data = part10_of(struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, length or 3 * len(item)) + 3 * item + ends)
        assert read(data, DicomFileLimits(max_elements_at_once=8_100))
        assert "within one item" in refusal(data, DicomFileLimits(max_elements_at_once=7_900))

    def test_of_short_bytes_leave_out_what_is_long(self) -> None:
        text = struct.pack("<HH2sH", 0x0020, 0x4000, b"LT", 60_000) + b"x" * 60_000
        long_value = struct.pack("<HH2sHL", 0x0042, 0x0011, b"OB", 0, 100_000) + bytes(100_000)
        limits = DicomFileLimits(max_short_bytes=70_000)
        assert read(part10_of(text + long_value), limits)
        assert "more than 50000 bytes besides" in refusal(
            part10_of(text + long_value), DicomFileLimits(max_short_bytes=50_000)
        )

    def test_of_fragments(self) -> None:
        data = part10(image(bytes.fromhex("feff00e000000000") * 12, NumberOfFrames=11), RLELossless)
        assert "more than 10 fragments" in refusal(data, DicomFileLimits(max_fragments=10))
        assert read(data, DicomFileLimits(max_fragments=11))

    def test_items_of_fragments_may_not_be_of_undefined_length(self) -> None:
        data = part10(image(bytes.fromhex("feff00e0ffffffff")), RLELossless)
        assert "fragment is expected" in refusal(data)

    def test_a_large_header_in_small_chunks_takes_linear_time(self) -> None:
        # If each chunk started the sequence again, this would be 12,000 times the whole.
        item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + struct.pack("<HH2sH", 0x0008, 0x0100, b"SH", 4) + b"CODE"
        item += bytes.fromhex("feff0de000000000")
        encoded = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + item * 20_000
        data = part10_of(encoded + bytes.fromhex("feffdde000000000"))
        _, instance = read_chunks(data[begin : begin + 50] for begin in range(0, len(data), 50))
        assert len(instance.metadata["0040A730"]["Value"]) == 20_000

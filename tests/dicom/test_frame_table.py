import random
import struct
import zlib

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from shared.dicom.frame_table import FrameTable, FrameUnavailable
from tests.support.part10_files import data_set, frames_of, image, part10, read


def item(value: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<L", len(value)) + value


def offset_table(*offsets: int) -> bytes:
    return item(struct.pack(f"<{len(offsets)}L", *offsets))


def encapsulated(value: bytes, frame_count: int, syntax: UID = RLELossless) -> bytes:
    return part10(image(value, NumberOfFrames=frame_count), syntax)


class TestNativeFrames:
    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, UID("1.2.840.10008.1.2.1"), ExplicitVRBigEndian])
    def test_one_after_another(self, syntax: UID) -> None:
        stored, instance = read(part10(image(b"first.second", NumberOfFrames=2), syntax))
        assert frames_of(stored, instance) == [b"first.", b"second"]

    @pytest.mark.parametrize(
        ("attributes", "length"),
        [
            pytest.param({}, 6, id="one byte a pixel"),
            pytest.param({"BitsAllocated": 16}, 12, id="two bytes"),
            pytest.param({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, 18, id="three samples"),
            pytest.param({"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422"}, 12, id="shared chroma"),
            pytest.param({"Rows": 300, "Columns": 200}, 60_000, id="many pixels"),
        ],
    )
    def test_are_as_long_as_the_attributes_say(self, attributes: dict[str, object], length: int) -> None:
        pixels = bytes(range(256)) * (2 * length // 256 + 1)
        stored, instance = read(part10(image(pixels[: 2 * length], NumberOfFrames=2, **attributes)))
        assert frames_of(stored, instance) == [pixels[:length], pixels[length : 2 * length]]

    @pytest.mark.parametrize(("keyword", "bits"), [("FloatPixelData", 32), ("DoubleFloatPixelData", 64)])
    def test_of_floats(self, keyword: str, bits: int) -> None:
        dataset = image(b"")
        del dataset.PixelData
        dataset.BitsAllocated = bits
        dataset.NumberOfFrames = 2
        pixels = bytes(range(2 * 6 * bits // 8))
        setattr(dataset, keyword, pixels)
        stored, instance = read(part10(dataset))
        assert frames_of(stored, instance) == [pixels[: len(pixels) // 2], pixels[len(pixels) // 2 :]]

    def test_of_single_bits_are_aligned_when_cut(self) -> None:
        # PS3.5 8.1.1: 15 pixels a frame follow one another without padding, first pixel lowest.
        frames = [0b101_0101_0101_0101, 0b000_1111_0000_1111, 0b111_0000_0000_0001]
        bits = frames[0] | frames[1] << 15 | frames[2] << 30
        dataset = image(bits.to_bytes(6, "little"), Rows=5, BitsAllocated=1, BitsStored=1, HighBit=0, NumberOfFrames=3)
        stored, instance = read(part10(dataset))
        assert frames_of(stored, instance) == [frame.to_bytes(2, "little") for frame in frames]

    def test_only_whole_frames_are_counted(self) -> None:
        stored, instance = read(part10(image(b"first.seco", NumberOfFrames=2)))
        assert frames_of(stored, instance) == [b"first."]

    def test_what_follows_the_last_frame_is_left_out(self) -> None:
        stored, instance = read(part10(image(b"first.padded", NumberOfFrames=1)))
        assert frames_of(stored, instance) == [b"first."]

    @pytest.mark.parametrize(
        ("dataset", "reason"),
        [
            (image(b"four"), "shorter than a frame"),
            (image(b""), "shorter than a frame"),
            (image(b"pixels", Rows=0), "Rows"),
            (image(b"pixels", BitsAllocated=0), "Bits Allocated"),
        ],
    )
    def test_that_are_impossible_are_unavailable(self, dataset: Dataset, reason: str) -> None:
        _, instance = read(part10(dataset))
        assert instance.frames is not None
        assert instance.frames.frame_count == 0
        with pytest.raises(FrameUnavailable, match=reason):
            instance.frames.byte_ranges(1)


class TestEncapsulatedFrames:
    FRAMES = (b"\x00first", b"\x00seconds", b"\x00third")

    @pytest.mark.parametrize(("has_bot", "fragments_per_frame"), [(True, 1), (True, 2), (False, 1)])
    def test_are_found_by_their_fragments(self, has_bot: bool, fragments_per_frame: int) -> None:
        value = encapsulate(list(self.FRAMES), fragments_per_frame=fragments_per_frame, has_bot=has_bot)
        stored, instance = read(encapsulated(value, 3))
        assert frames_of(stored, instance) == [frame + b"\0" * (len(frame) % 2) for frame in self.FRAMES]

    def test_by_an_extended_offset_table_are_without_padding(self) -> None:
        frames = [b"odd", b"even", b"odder"]
        value, offsets, lengths = encapsulate_extended(frames)
        dataset = image(value, NumberOfFrames=3)
        dataset.ExtendedOffsetTable = offsets
        dataset.ExtendedOffsetTableLengths = struct.pack("<3Q", *map(len, frames))
        assert len(lengths) == 24
        stored, instance = read(part10(dataset, RLELossless))
        assert frames_of(stored, instance) == frames
        assert instance.metadata["7FE00001"] == {"vr": "OV", "BulkDataURI": "bulkdata/7FE00001"}

    @pytest.mark.parametrize(
        ("offsets", "lengths"),
        [
            ((0, 10), (4, 4)),
            ((0, 12), (4, 5)),
            ((0, 12), (4, 2)),
            ((0, 2**63), (4, 4)),
            ((0, 12, 24), (4, 4, 4)),
            ((0,), (4,)),
            ((), ()),
        ],
    )
    def test_a_false_extended_offset_table_is_ignored(self, offsets: tuple[int, ...], lengths: tuple[int, ...]) -> None:
        dataset = image(encapsulate([b"1111", b"2222"], has_bot=False), NumberOfFrames=2)
        dataset.ExtendedOffsetTable = struct.pack(f"<{len(offsets)}Q", *offsets)
        dataset.ExtendedOffsetTableLengths = struct.pack(f"<{len(lengths)}Q", *lengths)
        stored, instance = read(part10(dataset, RLELossless))
        assert frames_of(stored, instance) == [b"1111", b"2222"]

    @pytest.mark.parametrize(
        "table",
        [(0, 10), (0, 2**32 - 1), (12, 0), (0, 0), (12, 24), (0,), (0, 12, 24), (0, 12, 24, 36)],
    )
    def test_a_false_basic_offset_table_is_ignored(self, table: tuple[int, ...]) -> None:
        value = offset_table(*table) + item(b"1111") + item(b"2222")
        stored, instance = read(encapsulated(value, 2))
        assert frames_of(stored, instance) == [b"1111", b"2222"]

    def test_a_single_one_has_all_fragments(self) -> None:
        stored, instance = read(encapsulated(item(b"") + item(b"11") + item(b"") + item(b"2222"), 1))
        assert frames_of(stored, instance) == [b"112222"]
        assert instance.frames is not None
        assert len(instance.frames.byte_ranges(1)) == 3

    @pytest.mark.parametrize("last", [b"4\xff\xd9\0", b"cut4"], ids=["complete", "last without marker"])
    def test_end_where_jpeg_images_end(self, last: bytes) -> None:
        value = item(b"") + item(b"1111") + item(b"22\xff\xd9") + item(b"3333") + item(last)
        stored, instance = read(encapsulated(value, 2, JPEGBaseline8Bit))
        assert frames_of(stored, instance) == [b"111122\xff\xd9", b"3333" + last]

    @pytest.mark.parametrize(
        ("fragments", "frame_count"),
        [
            pytest.param((b"1111", b"2222", b"3333"), 2, id="no markers"),
            pytest.param((b"1\xff\xd9\0", b"2\xff\xd9\0", b"3\xff\xd9\0"), 2, id="too many markers"),
            pytest.param((), 1, id="no fragments"),
        ],
    )
    def test_that_cannot_be_told_apart_are_unavailable(self, fragments: tuple[bytes, ...], frame_count: int) -> None:
        _, instance = read(encapsulated(item(b"") + b"".join(map(item, fragments)), frame_count))
        assert instance.frames is not None
        assert instance.frames.frame_count == 0
        with pytest.raises(FrameUnavailable, match=r"fragments for|empty"):
            instance.frames.byte_ranges(1)

    @pytest.mark.parametrize(("actual", "said"), [(b".2.1", b".2.5"), (b".2.5", b".2.1")])
    def test_are_unavailable_where_the_transfer_syntax_says_otherwise(self, actual: bytes, said: bytes) -> None:
        data = part10(image(item(b"") + item(b"pixels")), UID(f"1.2.840.10008.1{actual.decode()}"))
        _, instance = read(data.replace(b"1.2.840.10008.1" + actual, b"1.2.840.10008.1" + said))
        assert instance.frames is not None
        assert "transfer syntax" in instance.frames.unavailable

    def test_value_and_end_are_where_the_element_is(self) -> None:
        value = item(b"") + item(b"1111")
        stored, instance = read(encapsulated(value, 1))
        table = instance.frames
        assert table is not None
        assert stored[table.value_offset : table.value_offset + table.value_bytes] == value
        assert stored[instance.header_bytes :].startswith(b"\xe0\x7f\x10\x00OB")
        assert table.end_offset == len(stored)


class TestFrameTable:
    def test_numbers_begin_at_1(self) -> None:
        _, instance = read(part10(image(b"first.second", NumberOfFrames=2)))
        assert instance.frames is not None
        for number in (-1, 0, 3):
            with pytest.raises(FrameUnavailable, match="frames 1 to 2"):
                instance.frames.byte_ranges(number)

    @pytest.mark.parametrize(
        "data",
        [
            part10(image(b"first.second", NumberOfFrames=2)),
            part10(image(b"four")),
            encapsulated(item(b"") + item(b"1111") + item(b"22"), 2),
            encapsulated(offset_table(0, 12) + item(b"1111") + item(b"22") + item(b"3333"), 2),
        ],
        ids=["native", "unavailable", "one fragment each", "more fragments"],
    )
    def test_comes_back_from_its_bytes(self, data: bytes) -> None:
        _, instance = read(data)
        assert instance.frames is not None
        again = FrameTable.from_bytes(instance.frames.to_bytes())
        assert again.to_bytes() == instance.frames.to_bytes()
        for number in range(1, instance.frames.frame_count + 1):
            assert again.byte_ranges(number) == instance.frames.byte_ranges(number)
        assert (again.unavailable, again.end_offset) == (instance.frames.unavailable, instance.frames.end_offset)

    def test_of_a_hundred_thousand_frames_stays_small(self) -> None:
        rng = random.Random(1)
        fragments = [item(bytes(rng.randrange(0, 200, 2))) for _ in range(100_000)]
        _, instance = read(encapsulated(item(b"") + b"".join(fragments), len(fragments)))
        assert instance.frames is not None
        assert len(instance.frames.to_bytes()) < 120_000
        assert instance.frames.byte_ranges(100_000)[0][1] == len(fragments[-1]) - 8

    @pytest.mark.parametrize(
        "data",
        [b"", b"{}", b"x\x9c\x03\x00\x00\x00\x00\x01", b"\x00" * 40, zlib.compress(b"[" * 100_000)],
        ids=["nothing", "not deflated", "empty", "zeros", "nested without end"],
    )
    def test_is_not_read_from_other_bytes(self, data: bytes) -> None:
        with pytest.raises(ValueError, match="not a frame table"):
            FrameTable.from_bytes(data)

    def test_is_none_without_pixel_data(self) -> None:
        stored, instance = read(part10(data_set(Modality="SR")))
        assert instance.frames is None
        assert instance.header_bytes == instance.size_bytes == len(stored)

import struct
from typing import Any

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    EnhancedXAImageStorage,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
)

from shared.imaging.frame_attributes import words_of
from shared.web.rendering_parameters import Window, WindowFunction
from tests.imaging.pictures import BIPLANE, CT, data_set, frame_of, levels, lookup_table, rendered


class TestWindow:
    @pytest.mark.parametrize("dtype", ["int16", "int32"])
    @pytest.mark.parametrize(
        ("window", "values", "expected"),
        [
            # PS3.3 C.11.2.1.2.1: from c - 0.5 - (w - 1) / 2 to c - 0.5 + (w - 1) / 2
            (Window(128, 256), [-1, 0, 1, 127, 254, 255, 256], [0, 0, 1, 127, 254, 255, 255]),
            (Window(0, 100), [-50, -49, 0, 49, 50], [0, 3, 129, 255, 255]),
            (Window(10, 1), [9, 10], [0, 255]),
            (Window(10, 2), [8, 9, 10], [0, 0, 255]),
            # C.11.2.1.3.2: from c - w / 2 to c + w / 2
            (Window(0, 100, WindowFunction.LINEAR_EXACT), [-50, -49, 0, 25, 50], [0, 3, 128, 191, 255]),
            (Window(10, 0.5, WindowFunction.LINEAR_EXACT), [9, 10, 11], [0, 128, 255]),
            # C.11.2.1.3.1: 255 / (1 + exp(-4 (x - c) / w))
            (Window(0, 100, WindowFunction.SIGMOID), [-9999, -50, 0, 25, 50, 9999], [0, 30, 128, 186, 225, 255]),
        ],
    )
    def test_maps_values_to_levels(self, window: Window, values: list[int], expected: list[int], dtype: str) -> None:
        assert levels(values, dtype, window=window) == expected

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_maps_floats_to_levels(self, dtype: str) -> None:
        values = [-1, -0.5, 0, 0.25, 0.5, 1, float("nan"), float("inf"), float("-inf")]
        window = Window(0, 1, WindowFunction.LINEAR_EXACT)
        assert levels(values, dtype, window=window) == [0, 0, 128, 191, 255, 255, 0, 255, 0]

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("width", [1, 0.5])
    def test_of_fractions_is_exact_though_it_is_called_linear(self, dtype: str, width: float) -> None:
        described = data_set(WindowCenter=0.5, WindowWidth=width)
        values = [0.5 + width * share for share in (-0.5, -0.25, 0, 0.25, 0.5)]
        assert levels(values, dtype, described) == [0, 64, 128, 191, 255]
        assert levels(values, dtype, window=Window(0.5, width)) == [0, 64, 128, 191, 255]

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_of_floats_that_is_wide_is_as_the_standard_has_it(self, dtype: str) -> None:
        assert levels([-50, -49, 0, 49, 50], dtype, window=Window(0, 100)) == [0, 3, 129, 255, 255]

    def test_of_the_data_set_is_the_first_of_several(self) -> None:
        described = data_set(WindowCenter=[128, 0], WindowWidth=[256, 1])
        assert levels([0, 100, 255], "uint16", described) == [0, 100, 255]

    def test_of_the_data_set_has_its_function(self) -> None:
        described = data_set(WindowCenter=0, WindowWidth=100, VOILUTFunction="SIGMOID")
        assert levels([-50, 0, 25], "int16", described) == [30, 128, 186]

    def test_of_the_request_overrides_that_of_the_data_set(self) -> None:
        described = data_set(WindowCenter=0, WindowWidth=1)
        assert levels([0, 100, 255], "uint16", described, window=Window(128, 256)) == [0, 100, 255]

    def test_applies_to_rescaled_values(self) -> None:
        # Stored 50, 100 and 177.5 are 0, 100 and 255.
        assert levels([50, 100, 178], "uint16", data_set(**CT), window=Window(128, 256)) == [0, 100, 255]

    def test_narrower_than_allowed_is_taken_as_exact(self) -> None:
        described = data_set(WindowCenter=0.5, WindowWidth=0.5)
        assert levels([0.25, 0.5, 0.625], "float32", described, keyword="FloatPixelData") == [0, 128, 191]

    @pytest.mark.parametrize(
        "attributes",
        [
            {"WindowCenter": 5},
            {"WindowCenter": 5, "WindowWidth": 0},
            {"WindowCenter": 5, "WindowWidth": -3},
            {"WindowCenter": "", "WindowWidth": 3},
        ],
    )
    def test_that_is_invalid_is_left_out(self, attributes: dict[str, object]) -> None:
        assert levels([0, 100, 200], "uint16", data_set(**attributes)) == [0, 128, 255]

    @pytest.mark.parametrize("value", [b"x ", b"nan ", b"1e9999", b"5\\" * 50_000])
    def test_that_cannot_be_read_is_left_out(self, value: bytes) -> None:
        described = data_set(WindowWidth=3)
        tag = Tag(0x00281050)
        described[tag] = RawDataElement(tag, "DS", len(value), value, 0, False, True)
        assert levels([0, 100, 200], "uint16", described) == [0, 128, 255]


class TestFunctionalGroups:
    @pytest.mark.parametrize(("frame_number", "expected"), [(1, [255, 255]), (2, [0, 128]), (3, [255, 255])])
    def test_of_the_frame_override_the_shared_ones(self, frame_number: int, expected: list[int]) -> None:
        narrow = data_set(FrameVOILUTSequence=[data_set(WindowCenter=-1000, WindowWidth=1)])
        wide = data_set(
            FrameVOILUTSequence=[data_set(WindowCenter=0, WindowWidth=100, VOILUTFunction="LINEAR_EXACT")],
            PixelValueTransformationSequence=[data_set(**CT)],
        )
        described = data_set(
            SharedFunctionalGroupsSequence=[narrow], PerFrameFunctionalGroupsSequence=[Dataset(), wide]
        )
        frame = frame_of([[25, 50]])
        assert rendered(frame, described, frame_number=frame_number)[0].tolist() == expected

    def test_that_rescale_by_nothing_override_the_data_set(self) -> None:
        unchanged = data_set(PixelValueTransformationSequence=[data_set(RescaleSlope=1, RescaleIntercept=0)])
        described = data_set(PerFrameFunctionalGroupsSequence=[unchanged], **CT)
        assert levels([0, 100, 255], "uint8", described, window=Window(128, 256)) == [0, 100, 255]

    def test_are_read_from_encoded_items(self) -> None:
        # A frame's item with Frame VOI LUT Sequence, whose item has a center of 100 and a width of 1.
        window = struct.pack("<HH2sH", 0x28, 0x1050, b"DS", 4) + b"100 " + struct.pack("<HH2sH", 0x28, 0x1051, b"DS", 2)
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(window) + 2) + window + b"1 "
        group = struct.pack("<HH2sHL", 0x28, 0x9132, b"SQ", 0, len(item)) + item
        value = struct.pack("<HHL", 0xFFFE, 0xE000, len(group)) + group
        tag = Tag(0x52009230)
        described = Dataset({tag: RawDataElement(tag, "SQ", len(value), value, 0, False, True)})
        assert levels([99, 100, 101], "uint8", described) == [0, 255, 255]


class TestValuesWithoutWindow:
    @pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
    def test_are_spread_from_black_to_white(self, dtype: str) -> None:
        assert levels([-100, 0, 100], dtype) == [0, 128, 255]

    def test_are_spread_as_they_are_rescaled(self) -> None:
        assert levels([0, 50, 100], "uint16", data_set(RescaleSlope=-1, RescaleIntercept=0)) == [255, 128, 0]

    @pytest.mark.parametrize("dtype", ["int16", "int32"])
    def test_are_spread_without_the_padding(self, dtype: str) -> None:
        described = data_set(PixelRepresentation=1, PixelPaddingValue=-2000)
        assert levels([-2000, -1000, 0, 1000], dtype, described) == [0, 0, 128, 255]
        assert levels([-2000, -2000], dtype, described) == [0, 0]
        described.PixelPaddingRangeLimit = -1990
        assert levels([-2000, -1995, -1000, 0, 1000], dtype, described) == [0, 0, 0, 128, 255]

    def test_are_spread_without_padding_written_as_unsigned(self) -> None:
        assert levels([-2000, -1000, 0, 1000], "int16", data_set(PixelPaddingValue=63536)) == [0, 0, 128, 255]

    def test_of_floats_are_spread_without_nan(self) -> None:
        described = data_set(FloatPixelPaddingValue=1000.0)
        values = [0, float("inf"), float("nan"), 1000, 2]
        assert levels(values, "float32", described, keyword="FloatPixelData") == [0, 255, 0, 255, 255]

    @pytest.mark.parametrize(("value", "expected"), [(0, 0), (255, 255), (7, 255)])
    def test_that_are_all_the_same_are_white_or_black_at_0(self, value: int, expected: int) -> None:
        assert levels([value, value], "uint8") == [expected, expected]

    @pytest.mark.parametrize(("values", "expected"), [([0, 1], [0, 255]), ([1, 1], [255, 255]), ([0, 0], [0, 0])])
    def test_of_single_bits_are_black_and_white(self, values: list[int], expected: list[int]) -> None:
        assert levels(values, "uint8", bits_stored=1) == expected


class TestStoredValues:
    @pytest.mark.parametrize("dtype", ["uint16", "uint32"])
    def test_are_without_the_bits_above_bits_stored(self, dtype: str) -> None:
        assert levels([0xF000, 0x17FF, 0x0FFF], dtype, bits_stored=12) == [0, 127, 255]

    def test_are_signed_by_the_highest_bit_stored(self) -> None:
        assert levels([0x0800, 0x0000, 0x07FF], "int16", bits_stored=12) == [0, 128, 255]

    def test_of_all_types_make_the_same_picture(self) -> None:
        values = list(range(0, 30_000, 37))
        pictures = [levels(values, dtype) for dtype in ("uint16", "int16", "uint32", "int32", "float64")]
        assert all(picture == pictures[0] for picture in pictures)
        assert len(set(pictures[0])) == 256

    def test_are_mapped_in_frames_larger_than_a_block(self) -> None:
        frame = frame_of([[row % 256] * 600 for row in range(1024)])
        assert (rendered(frame) == frame.samples).all()
        wide = frame_of(frame.samples, "int32")
        assert (rendered(wide) == frame.samples).all()


class TestInversion:
    def test_makes_the_least_value_of_monochrome1_white(self) -> None:
        assert levels([0, 100, 255], "uint8", photometric_interpretation="MONOCHROME1") == [255, 155, 0]
        assert levels([0, 1], "uint8", bits_stored=1, photometric_interpretation="MONOCHROME1") == [255, 0]

    def test_is_requested_by_presentation_lut_shape(self) -> None:
        assert levels([0, 100, 255], "uint8", data_set(PresentationLUTShape="INVERSE")) == [255, 155, 0]

    def test_is_not_made_twice(self) -> None:
        described = data_set(PresentationLUTShape="INVERSE")
        assert levels([0, 100, 255], "uint8", described, photometric_interpretation="MONOCHROME1") == [255, 155, 0]


class TestLookupTables:
    def test_of_modality_apply_before_the_window(self) -> None:
        described = data_set(ModalityLUTSequence=[lookup_table([0, 255, 100], 10)], WindowCenter=128, WindowWidth=256)
        assert levels([0, 10, 11, 12, 13], "uint8", described) == [0, 0, 255, 100, 100]

    @pytest.mark.parametrize("transform", [CT, {"ModalityLUTSequence": [lookup_table([255, 100, 0])]}])
    @pytest.mark.parametrize("relationship", [None, "LIN", "LOG", "DISP"])
    def test_of_modality_are_not_for_display_where_they_lead_back_to_intensities(
        self, transform: dict[str, Any], relationship: str | None
    ) -> None:
        described = data_set(
            WindowCenter=1, WindowWidth=2, VOILUTFunction="LINEAR_EXACT", PixelIntensityRelationship=relationship
        )
        for keyword, value in transform.items():
            setattr(described, keyword, value)
        rescaled = levels([0, 1, 2], "uint8", described)
        assert rescaled != [0, 128, 255]
        for sop_class in (XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage, BIPLANE):
            described.SOPClassUID = sop_class
            assert levels([0, 1, 2], "uint8", described) == [0, 128, 255]
        for sop_class in (EnhancedXAImageStorage, DigitalXRayImageStorageForPresentation):
            described.SOPClassUID = sop_class
            assert levels([0, 1, 2], "uint8", described) == rescaled

    def test_of_voi_map_rescaled_values_to_levels(self) -> None:
        described = data_set(VOILUTSequence=[lookup_table([0, 4095, 2048], -100, bits=12)], **CT)
        assert levels([0, 1, 2], "uint16", described) == [0, 128, 128]
        described = data_set(VOILUTSequence=[lookup_table([0, 1, 4095], -101, bits=12)], **CT)
        assert levels([0, 1, 2], "uint16", described) == [0, 255, 255]

    def test_of_voi_yield_to_the_window(self) -> None:
        described = data_set(VOILUTSequence=[lookup_table([9, 9])], WindowCenter=128, WindowWidth=256)
        assert levels([0, 100, 255], "uint8", described) == [0, 100, 255]

    @pytest.mark.parametrize("bits", [0, 8, 9, 10, 11, 12, 14, 16, 17, 32, 255, 65535])
    def test_of_voi_may_state_the_wrong_number_of_bits(self, bits: int) -> None:
        described = data_set(VOILUTSequence=[lookup_table([0, 512, 1023], bits=bits)])
        assert levels([0, 1, 2], "uint8", described) == ([0, 64, 127] if bits == 11 else [0, 128, 255])

    @pytest.mark.parametrize("bits", [8, 9, 16])
    def test_of_voi_may_be_all_black(self, bits: int) -> None:
        assert levels([0, 1], "uint8", data_set(VOILUTSequence=[lookup_table([0, 0], bits=bits)])) == [0, 0]

    @pytest.mark.parametrize("bits", [8, 16, 255])
    def test_may_have_two_entries_in_a_word(self, bits: int) -> None:
        table = lookup_table([0, 0, 0, 0], bits=bits)
        table["LUTData"].value = bytes([7, 0, 200, 255])
        assert levels([0, 1, 2, 3], "uint8", data_set(VOILUTSequence=[table])) == [7, 0, 200, 255]

    def test_are_read_in_big_endian(self) -> None:
        table = Dataset()
        for tag, vr, value in ((0x00283002, "US", "000200000010"), (0x00283006, "OW", "FFFF0000")):
            data = bytes.fromhex(value)
            table[tag] = RawDataElement(Tag(tag), vr, len(data), data, 0, False, False)
        assert levels([0, 1], "uint8", data_set(VOILUTSequence=[table])) == [255, 0]

    def test_of_65536_entries_are_described_as_having_0(self) -> None:
        table = lookup_table([0] * 65535 + [255])
        table["LUTDescriptor"].value = [0, 0, 8]
        assert levels([0, 65534, 65535], "uint16", data_set(VOILUTSequence=[table])) == [0, 0, 255]

    def test_are_not_read_beyond_the_longest_possible(self) -> None:
        described = data_set(SegmentedRedPaletteColorLookupTableData=bytes(2_000_000))
        assert len(words_of(described, "SegmentedRedPaletteColorLookupTableData")) == 4 * 65536

    @pytest.mark.parametrize(
        "table",
        [
            Dataset(),
            data_set(LUTDescriptor=2, LUTData=bytes(4)),
            lookup_table([]),
        ],
    )
    @pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
    def test_that_are_invalid_are_left_out(self, keyword: str, table: Dataset) -> None:
        assert levels([0, 100, 200], "uint8", data_set(**{keyword: [table]})) == [0, 128, 255]

import struct

import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from tests.imaging.pictures import bundled, frame_of, rendered


def palette(entries: dict[str, list[int]], *, first_value: int = 0, bits: int = 16, segmented: str = "") -> Dataset:
    made = Dataset()
    for color, numbers in entries.items():
        count = 8 if segmented else len(numbers)
        setattr(made, f"{color}PaletteColorLookupTableDescriptor", [count, first_value, bits])
        code = "B" if bits == 8 else "H"
        data = struct.pack(f"<{len(numbers)}{code}", *numbers)
        setattr(made, f"{segmented}{color}PaletteColorLookupTableData", data)
    return made


class TestPalette:
    INDICES = frame_of([[0, 9, 10, 11, 12, 99]], photometric_interpretation="PALETTE COLOR")

    def test_maps_values_to_colors(self) -> None:
        described = palette({"Red": [0, 0x8000, 0xFFFF], "Green": [0xFFFF, 0, 0], "Blue": [0, 0, 0]}, first_value=10)
        assert rendered(self.INDICES, described)[0].tolist() == [
            *[[0, 255, 0]] * 3,
            [128, 0, 0],
            [255, 0, 0],
            [255, 0, 0],
        ]

    @pytest.mark.parametrize("bits", [8, 16])
    def test_may_have_entries_of_eight_bits(self, bits: int) -> None:
        described = palette({"Red": [1, 2, 3, 4], "Green": [5, 6, 7, 8], "Blue": [0, 0, 0, 255]}, bits=bits)
        indices = frame_of([[0, 1, 2, 3]], photometric_interpretation="PALETTE COLOR")
        assert rendered(indices, described)[0].tolist() == [[1, 5, 0], [2, 6, 0], [3, 7, 0], [4, 8, 255]]

    @pytest.mark.parametrize("bits", [8, 16])
    def test_may_be_segmented(self, bits: int) -> None:
        # Discrete 10, 20; linear to 40 in 2; discrete 20; the second segment again; discrete 50 and too many.
        offset = [4, 0, 0, 0] if bits == 8 else [8, 0]
        segments = [0, 2, 10, 20, 1, 2, 40, 0, 1, 20, 2, 1, *offset, 0, 3, 50, 60, 70]
        flat = [0, 1, 7, 1, 7, 7]
        described = palette({"Red": segments, "Green": flat, "Blue": flat}, bits=bits, segmented="Segmented")
        indices = frame_of([list(range(9))], photometric_interpretation="PALETTE COLOR")
        assert rendered(indices, described)[0, :, 0].tolist() == [10, 20, 30, 40, 20, 30, 40, 50, 50]

    def test_ends_at_a_segment_of_no_length(self) -> None:
        segments = [0, 1, 5, 0, 0, 0, 1, 9]
        described = palette(dict.fromkeys(("Red", "Green", "Blue"), segments), segmented="Segmented")
        assert rendered(self.INDICES, described)[0].tolist() == [[5, 5, 5]] * 6

    def test_without_one_of_its_colors_leaves_the_image_gray(self) -> None:
        described = palette({"Red": [1, 2], "Green": [1, 2]})
        assert rendered(self.INDICES, described).tolist() == [[0, 23, 26, 28, 31, 255]]

    @pytest.mark.parametrize(
        "segments",
        [
            [1, 2, 40],
            [0, 0] * 9,
            [3, 1, 1],
            [2, 1, 0, 0],
            [0, 9, 1],
        ],
        ids=["linear first", "empty", "unknown", "of itself", "cut short"],
    )
    def test_segmented_into_nothing_leaves_the_image_gray(self, segments: list[int]) -> None:
        described = palette(dict.fromkeys(("Red", "Green", "Blue"), segments), segmented="Segmented")
        assert rendered(self.INDICES, described).tolist() == [[0, 23, 26, 28, 31, 255]]

    def test_that_repeats_segments_without_end_is_cut(self) -> None:
        # The second segment stands for all that follow it, which make 1,200 million entries.
        segments = [0, 1, 1, 2, 65535, 14, 0, *[1, 60_000, 1] * 20_000]
        described = palette(dict.fromkeys(("Red", "Green", "Blue"), segments), segmented="Segmented")
        assert rendered(self.INDICES, described)[0].tolist() == [[1, 1, 1]] * 6

    def test_of_a_bundled_image_is_as_in_pydicom(self) -> None:
        frame, described = bundled("examples_palette.dcm")
        expected = apply_color_lut(frame.samples, described) >> 8
        assert (rendered(frame, described) == expected).all()

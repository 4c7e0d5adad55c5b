import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.processing import apply_color_lut

from shared.errors import BadRequest, NotAcceptable
from shared.imaging.color import SRGB_PROFILE
from shared.imaging.decoding import DecodedFrame, decode_frame
from shared.imaging.image_pixels import ImagePixels
from shared.imaging.pictures import render
from shared.web.rendering_parameters import IccProfile, RenderingParameters, SourceRegion
from shared.web.representations import PICTURES
from tests.imaging.pictures import data_set, frame_of, opened, rendered

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
RAMP = frame_of([[10 * row + column for column in range(10)] for row in range(6)])

# That of sRGB with red and blue exchanged, by the names of its tags.
PROFILE = SRGB_PROFILE.replace(b"rXYZ", b"----", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"----", b"bXYZ", 1)
RED = frame_of([[[255, 0, 0]] * 4] * 4, photometric_interpretation="RGB")


def bundled(name: str) -> tuple[DecodedFrame, Dataset]:
    described = pydicom.dcmread(FILES / name)
    pixels = ImagePixels.of(described)
    syntax = described.file_meta.TransferSyntaxUID
    is_native = not syntax.is_encapsulated
    value = described.PixelData
    frame = value[: pixels.frame_bytes] if is_native else get_frame(value, 0, number_of_frames=1)
    del described.PixelData
    return decode_frame(frame, syntax, pixels, max_frame_bytes=10**8), described


def corners(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> list[int]:
    return [int(picture[row, column]) for row in (0, -1) for column in (0, -1)]


class TestFormats:
    @pytest.mark.parametrize("media_type", PICTURES)
    @pytest.mark.parametrize("name", ["CT_small.dcm", "SC_rgb_rle.dcm", "examples_palette.dcm", "rtdose_1frame.dcm"])
    def test_of_bundled_images_show_them(self, media_type: str, name: str) -> None:
        frame, described = bundled(name)
        picture = opened(render([frame], described, media_type, RenderingParameters(), frame_numbers=[1]))
        assert Image.MIME[picture.format or ""] == media_type
        expected = rendered(frame, described)
        shown = np.asarray(picture.convert("L" if expected.ndim == 2 else "RGB"))
        assert np.abs(shown.astype(int) - expected).mean() < 3
        assert expected.std() > 20

    def test_have_the_quality_asked_for(self) -> None:
        frame, described = bundled("CT_small.dcm")
        sizes = [
            len(render([frame], described, "image/jpeg", RenderingParameters(quality=quality), frame_numbers=[1]))
            for quality in (1, 50, 90, 100)
        ]
        assert sizes == sorted(sizes)
        assert 5 * sizes[0] < sizes[-1]
        assert len(render([frame], described, "image/jpeg", RenderingParameters(), frame_numbers=[1])) == sizes[2]

    @pytest.mark.parametrize(("quality", "chroma"), [(89, 0x22), (90, 0x11)])
    def test_of_high_quality_have_a_color_for_each_pixel(self, quality: int, chroma: int) -> None:
        data = render([RED], Dataset(), "image/jpeg", RenderingParameters(quality=quality), frame_numbers=[1])
        baseline = data.index(b"\xff\xc0")
        assert data[baseline + 11] == chroma

    @pytest.mark.parametrize("media_type", ["image/jp2", "image/webp", "video/mp4", ""])
    def test_that_cannot_be_had_are_refused_with_those_that_can(self, media_type: str) -> None:
        with pytest.raises(NotAcceptable, match="image/jpeg, image/png, image/gif"):
            render([RED], Dataset(), media_type, RenderingParameters(), frame_numbers=[1])

    @pytest.mark.parametrize("media_type", ["image/jpeg", "image/png"])
    def test_of_one_picture_are_refused_for_several_frames(self, media_type: str) -> None:
        with pytest.raises(NotAcceptable, match="image/gif only"):
            render([RED, RED], Dataset(), media_type, RenderingParameters(), frame_numbers=[1, 2])

    def test_are_refused_for_what_makes_no_picture_without_saying_what_is_in_it(self) -> None:
        frame = frame_of([[[0.25, 0, 0]]], "float32", photometric_interpretation="RGB")
        with pytest.raises(NotAcceptable, match="cannot be rendered") as refused:
            render([frame], Dataset(), "image/png", RenderingParameters(), frame_numbers=[1])
        assert "shift" not in str(refused.value)

    def test_are_refused_as_the_frame_is(self) -> None:
        def frames() -> Iterator[DecodedFrame]:
            yield RED
            raise NotAcceptable("The second is damaged.")

        with pytest.raises(NotAcceptable, match="The second is damaged"):
            render(frames(), Dataset(), "image/gif", RenderingParameters(), frame_numbers=[1, 2])


class TestSize:
    @pytest.mark.parametrize(
        ("viewport", "shape"),
        [(None, (6, 10)), ((20, 20), (12, 20)), ((5, 100), (3, 5)), ((100, 3), (3, 5)), ((1, 1), (1, 1))],
    )
    def test_fits_the_viewport_without_distortion(self, viewport: tuple[int, int], shape: tuple[int, int]) -> None:
        assert rendered(RAMP, parameters=RenderingParameters(viewport=viewport)).shape == shape

    @pytest.mark.parametrize(
        ("thumbnail_pixels", "viewport", "shape"), [(5, None, (3, 5)), (100, None, (6, 10)), (5, (20, 20), (12, 20))]
    )
    def test_of_a_thumbnail_fits_its_square(
        self, thumbnail_pixels: int, viewport: tuple[int, int] | None, shape: tuple[int, int]
    ) -> None:
        parameters = RenderingParameters(viewport=viewport)
        assert rendered(RAMP, None, parameters, thumbnail_pixels=thumbnail_pixels).shape == shape

    def test_of_a_region_is_its_own(self) -> None:
        part = rendered(RAMP, parameters=RenderingParameters(region=SourceRegion(2, 1, 4, 3)))
        assert (part == rendered(RAMP)[1:4, 2:6]).all()

    def test_of_a_region_fits_the_viewport(self) -> None:
        parameters = RenderingParameters(region=SourceRegion(2, 1, 4, 3), viewport=(40, 40))
        picture = rendered(RAMP, parameters=parameters)
        assert picture.shape == (30, 40)
        assert corners(picture) == corners(rendered(RAMP)[1:4, 2:6])

    def test_is_kept_when_flipped(self) -> None:
        across = SourceRegion(2, 1, 4, 3, is_flipped_horizontally=True)
        assert (
            rendered(RAMP, parameters=RenderingParameters(region=across)) == rendered(RAMP)[1:4, 2:6][:, ::-1]
        ).all()
        upside_down = SourceRegion(is_flipped_vertically=True)
        assert (rendered(RAMP, parameters=RenderingParameters(region=upside_down)) == rendered(RAMP)[::-1]).all()

    def test_levels_are_averaged_when_smaller(self) -> None:
        stripes = frame_of([[0, 200] * 50] * 100)
        picture = rendered(stripes, data_set(WindowCenter=128, WindowWidth=256), RenderingParameters(viewport=(10, 10)))
        assert np.abs(picture.astype(int) - 100).max() < 8

    def test_region_outside_is_refused(self) -> None:
        with pytest.raises(BadRequest, match="outside"):
            rendered(RAMP, parameters=RenderingParameters(region=SourceRegion(10, 0)))

    @pytest.mark.parametrize(
        ("attributes", "shape"),
        [
            ({"PixelSpacing": [0.5, 0.5]}, (6, 10)),
            ({"PixelSpacing": [0.5, 0.504]}, (6, 10)),
            ({"PixelSpacing": [1.0, 0.5]}, (12, 10)),
            ({"PixelSpacing": [0.5, 1.0]}, (6, 20)),
            ({"PixelAspectRatio": [2, 1]}, (12, 10)),
            ({"PixelSpacing": [1.0, 1.0], "PixelAspectRatio": [2, 1]}, (6, 10)),
            ({"PixelSpacing": [1.0, 0.0], "PixelAspectRatio": [2, 1]}, (12, 10)),
            ({"PixelSpacing": [1e300, 1e-300]}, (6, 10)),
            ({"PixelSpacing": [30.0, 1.0]}, (6, 10)),
            ({"PixelSpacing": [1.0]}, (6, 10)),
        ],
    )
    def test_is_that_of_square_pixels(self, attributes: dict[str, object], shape: tuple[int, int]) -> None:
        assert rendered(RAMP, data_set(**attributes)).shape == shape
        groups = [data_set(PixelMeasuresSequence=[data_set(**attributes)])]
        if "PixelAspectRatio" not in attributes:
            assert rendered(RAMP, data_set(SharedFunctionalGroupsSequence=groups)).shape == shape

    @pytest.mark.parametrize(("spacing", "columns"), [(1.009, 100), (1.02, 102)])
    def test_is_that_of_square_pixels_beyond_a_hundredth(self, spacing: float, columns: int) -> None:
        frame = frame_of(np.zeros((100, 100)))
        assert rendered(frame, data_set(PixelSpacing=[1.0, spacing])).shape == (100, columns)

    def test_of_stretched_pixels_is_limited(self) -> None:
        picture = rendered(frame_of(np.zeros((6000, 2))), data_set(PixelSpacing=[4.0, 1.0]))
        assert picture.shape == (8192, 1)


class TestColor:
    @pytest.mark.parametrize(
        ("interpretation", "samples", "expected"),
        [
            ("RGB", [1, 2, 3], [1, 2, 3]),
            ("YBR_RCT", [1, 2, 3], [1, 2, 3]),
            ("YBR_FULL", [76, 85, 255], [254, 0, 0]),
            ("YBR_FULL_422", [76, 85, 255], [254, 0, 0]),
            ("YBR_FULL", [128, 128, 128], [128, 128, 128]),
            ("YBR_PARTIAL_420", [16, 128, 128], [0, 0, 0]),
            ("YBR_PARTIAL_422", [235, 128, 128], [255, 255, 255]),
            ("YBR_PARTIAL_422", [81, 90, 240], [254, 0, 0]),
        ],
    )
    def test_is_rgb(self, interpretation: str, samples: list[int], expected: list[int]) -> None:
        assert rendered(frame_of([[samples]], photometric_interpretation=interpretation)).tolist() == [[expected]]

    @pytest.mark.parametrize(
        ("dtype", "bits_stored", "samples", "expected"),
        [
            ("uint16", 16, [0xFFFF, 0x8000, 0x00FF], [255, 128, 0]),
            ("uint16", 12, [0x0FFF, 0xF800, 0x000F], [255, 128, 0]),
            ("uint32", 32, [0xFFFFFFFF, 0x80000000, 0], [255, 128, 0]),
            ("uint8", 4, [15, 8, 0], [240, 128, 0]),
        ],
    )
    def test_has_eight_bits(self, dtype: str, bits_stored: int, samples: list[int], expected: list[int]) -> None:
        frame = frame_of([[samples]], dtype, photometric_interpretation="RGB", bits_stored=bits_stored)
        assert rendered(frame).tolist() == [[expected]]


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
        # The second of them stands for all that follow it, which make 1,200 million entries.
        segments = [0, 1, 1, 2, 65535, 14, 0, *[1, 60_000, 1] * 20_000]
        described = palette(dict.fromkeys(("Red", "Green", "Blue"), segments), segmented="Segmented")
        assert rendered(self.INDICES, described)[0].tolist() == [[1, 1, 1]] * 6

    def test_of_a_bundled_image_is_as_pydicom_has_it(self) -> None:
        frame, described = bundled("examples_palette.dcm")
        expected = apply_color_lut(frame.samples, described) >> 8
        assert (rendered(frame, described) == expected).all()


class TestColorProfile:
    @pytest.mark.parametrize("media_type", ["image/jpeg", "image/png"])
    @pytest.mark.parametrize(
        "described",
        [data_set(ICCProfile=PROFILE), data_set(OpticalPathSequence=[data_set(ICCProfile=PROFILE + b"\0\0")])],
        ids=["image", "optical path"],
    )
    def test_of_the_data_set_goes_with_color(self, media_type: str, described: Dataset) -> None:
        picture = opened(render([RED], described, media_type, RenderingParameters(), frame_numbers=[1]))
        assert picture.info["icc_profile"] == PROFILE

    @pytest.mark.parametrize(
        "profile",
        [b"", PROFILE[:-2], b"\0" * 200, PROFILE.replace(b"RGB ", b"CMYK", 1), PROFILE.replace(b"acsp", b"----")],
    )
    def test_that_is_none_for_rgb_is_left_out(self, profile: bytes) -> None:
        described = data_set(ICCProfile=profile)
        assert (
            "icc_profile"
            not in opened(render([RED], described, "image/png", RenderingParameters(), frame_numbers=[1])).info
        )

    @pytest.mark.parametrize("icc_profile", [IccProfile.YES, IccProfile.SRGB])
    def test_is_none_of_gray(self, icc_profile: IccProfile) -> None:
        parameters = RenderingParameters(icc_profile=icc_profile)
        described = data_set(ICCProfile=PROFILE)
        picture = opened(render([RAMP], described, "image/png", parameters, frame_numbers=[1]))
        assert "icc_profile" not in picture.info

    def test_is_left_out_where_not_wanted(self) -> None:
        parameters = RenderingParameters(icc_profile=IccProfile.NO)
        described = data_set(ICCProfile=PROFILE)
        picture = opened(render([RED], described, "image/png", parameters, frame_numbers=[1]))
        assert "icc_profile" not in picture.info
        assert np.asarray(picture)[0, 0].tolist() == [255, 0, 0]

    def test_of_srgb_comes_with_its_colors(self) -> None:
        frame = frame_of([[[200, 100, 50]]], photometric_interpretation="RGB")
        parameters = RenderingParameters(icc_profile=IccProfile.SRGB)
        picture = opened(render([frame], data_set(ICCProfile=PROFILE), "image/png", parameters, frame_numbers=[1]))
        pixel = picture.getpixel((0, 0))
        assert isinstance(pixel, tuple)
        assert pixel == pytest.approx((50, 100, 200), abs=1)
        assert picture.info["icc_profile"] == SRGB_PROFILE

    @pytest.mark.parametrize("profile", [b"", PROFILE[:300].replace(PROFILE[:4], (300).to_bytes(4, "big"))])
    def test_that_makes_no_transform_leaves_the_colors(self, profile: bytes) -> None:
        parameters = RenderingParameters(icc_profile=IccProfile.SRGB)
        described = data_set(ICCProfile=profile)
        assert rendered(RED, described, parameters)[0, 0].tolist() == [255, 0, 0]

    @pytest.mark.parametrize("icc_profile", [IccProfile.ADOBERGB, IccProfile.ROMMRGB])
    def test_that_cannot_be_had_is_refused(self, icc_profile: IccProfile) -> None:
        with pytest.raises(NotAcceptable, match="no, yes, srgb"):
            rendered(RED, parameters=RenderingParameters(icc_profile=icc_profile))

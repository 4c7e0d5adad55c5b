from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from shared.errors import BadRequest, NotAcceptable
from shared.imaging.decoding import DecodedFrame
from shared.web.offers import PICTURES
from shared.web.rendering_parameters import RenderingParameters, SourceRegion
from tests.imaging.pictures import bundled, data_set, frame_of, opened, render, rendered

RAMP = frame_of([[10 * row + column for column in range(10)] for row in range(6)])
RED = frame_of([[[255, 0, 0]] * 4] * 4, photometric_interpretation="RGB")


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

    def test_have_the_requested_quality(self) -> None:
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
    def test_that_are_not_offered_are_refused_with_those_that_are(self, media_type: str) -> None:
        with pytest.raises(NotAcceptable, match="image/jpeg, image/png, image/gif"):
            render([RED], Dataset(), media_type, RenderingParameters(), frame_numbers=[1])

    @pytest.mark.parametrize("media_type", ["image/jpeg", "image/png"])
    def test_of_one_picture_are_refused_for_several_frames(self, media_type: str) -> None:
        with pytest.raises(NotAcceptable, match="image/gif only"):
            render([RED, RED], Dataset(), media_type, RenderingParameters(), frame_numbers=[1, 2])

    def test_are_refused_for_what_makes_no_picture_without_its_content(self) -> None:
        frame = frame_of([[[0.25, 0, 0]]], "float32", photometric_interpretation="RGB")
        with pytest.raises(NotAcceptable, match="cannot be rendered") as refused:
            render([frame], Dataset(), "image/png", RenderingParameters(), frame_numbers=[1])
        assert "shift" not in str(refused.value)

    def test_are_refused_as_their_frame_is(self) -> None:
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

    def test_of_a_region_is_that_of_the_region(self) -> None:
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
            ("YBR_FULL", [128, 128, 128], [128, 128, 128]),
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

from typing import Any

import pytest

from shared.errors import NotAcceptable
from shared.imaging.image_pixels import ImagePixels
from tests.imaging.pictures import data_set

IMAGE = {"Rows": 64, "Columns": 48, "BitsAllocated": 16, "BitsStored": 12, "PhotometricInterpretation": "MONOCHROME1"}
COLOR = {"SamplesPerPixel": 3, "BitsAllocated": 8, "BitsStored": 8, "PhotometricInterpretation": "RGB"}


@pytest.mark.parametrize(
    ("attributes", "keyword", "expected"),
    [
        pytest.param({}, "PixelData", ImagePixels(64, 48, 1, 16, 12, False, "MONOCHROME1"), id="gray"),
        pytest.param(
            {"PixelRepresentation": 1}, "PixelData", ImagePixels(64, 48, 1, 16, 12, True, "MONOCHROME1"), id="signed"
        ),
        pytest.param(
            {**COLOR, "PlanarConfiguration": 1}, "PixelData", ImagePixels(64, 48, 3, 8, 8, False, "RGB", 1), id="planes"
        ),
        pytest.param(COLOR, "PixelData", ImagePixels(64, 48, 3, 8, 8, False, "RGB"), id="color"),
        pytest.param(
            {"PlanarConfiguration": 1},
            "PixelData",
            ImagePixels(64, 48, 1, 16, 12, False, "MONOCHROME1"),
            id="planes of one sample",
        ),
        pytest.param(
            {"BitsStored": None, "PhotometricInterpretation": None},
            "PixelData",
            ImagePixels(64, 48, 1, 16, 16, False, "MONOCHROME2"),
            id="defaults",
        ),
        pytest.param(
            {"PhotometricInterpretation": "RGB \0"},
            "PixelData",
            ImagePixels(64, 48, 1, 16, 12, False, "RGB"),
            id="padding",
        ),
        pytest.param(
            {"Rows": 65535, "Columns": 1},
            "PixelData",
            ImagePixels(65535, 1, 1, 16, 12, False, "MONOCHROME1"),
            id="side",
        ),
        pytest.param(
            {},
            "FloatPixelData",
            ImagePixels(64, 48, 1, 32, 32, False, "MONOCHROME1", keyword="FloatPixelData"),
            id="floats",
        ),
        pytest.param(
            {},
            "DoubleFloatPixelData",
            ImagePixels(64, 48, 1, 64, 64, False, "MONOCHROME1", keyword="DoubleFloatPixelData"),
            id="doubles",
        ),
    ],
)
def test_the_module_of_a_data_set(attributes: dict[str, Any], keyword: str, expected: ImagePixels) -> None:
    assert ImagePixels.of(data_set(**{**IMAGE, **attributes}), keyword) == expected


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Rows": None}, "Rows or Columns"),
        ({"Rows": 0}, "Rows or Columns"),
        ({"Columns": 0}, "Rows or Columns"),
        ({"Columns": None}, "Rows or Columns"),
        ({"SamplesPerPixel": 2}, "2 samples a pixel with 16 bits"),
        ({"SamplesPerPixel": 0}, "0 samples a pixel"),
        ({"BitsAllocated": 12}, "1 samples a pixel with 12 bits"),
        ({"BitsAllocated": None}, "with 0 bits"),
        ({"BitsStored": 17}, "Bits Stored"),
        ({"BitsStored": 0}, "Bits Stored"),
    ],
)
def test_what_does_not_describe_an_image_is_refused(attributes: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotAcceptable, match=reason):
        ImagePixels.of(data_set(**{**IMAGE, **attributes}))


@pytest.mark.parametrize(
    ("pixels", "frame_bytes"),
    [
        (ImagePixels(64, 48, 1, 16, 12, False, "MONOCHROME2"), 6144),
        (ImagePixels(64, 48, 3, 8, 8, False, "RGB"), 9216),
        (ImagePixels(3, 3, 1, 1, 1, False, "MONOCHROME2"), 2),
        (ImagePixels(2, 4, 1, 1, 1, False, "MONOCHROME2"), 1),
    ],
)
def test_the_size_of_a_frame(pixels: ImagePixels, frame_bytes: int) -> None:
    assert pixels.frame_bytes == frame_bytes

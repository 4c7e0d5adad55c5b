from dataclasses import replace

import numpy as np
import pytest

from shared.errors import NotAcceptable
from shared.imaging.decoding import DecodedFrame
from shared.imaging.image_pixels import ImagePixels
from shared.imaging.native_frames import described_bytes, in_described_colors, native_bytes
from tests.imaging.pictures import frame_of

RED = [[[255, 0, 0], [255, 0, 0]]]
RED_YBR = [[[76, 85, 255], [76, 85, 255]]]


def described(interpretation: str, planar_configuration: int = 0) -> ImagePixels:
    return ImagePixels(1, 2, 3, 8, 8, False, interpretation, planar_configuration)


def color(samples: object, interpretation: str, dtype: str = "uint8") -> DecodedFrame:
    return frame_of(samples, dtype, photometric_interpretation=interpretation)


@pytest.mark.parametrize(
    ("frame", "interpretation", "by_pixel", "by_plane"),
    [
        (color(RED, "RGB"), "RGB", "ff0000ff0000", "ffff00000000"),
        (color(RED_YBR, "YBR_FULL"), "YBR_FULL", "4c55ff4c55ff", "4c4c5555ffff"),
        (color(RED, "RGB"), "YBR_FULL", "4c54ff4c54ff", "4c4c5454ffff"),
        (color(RED_YBR, "YBR_FULL"), "RGB", "fe0000fe0000", "fefe00000000"),
        *(
            (color(RED_YBR, "YBR_FULL"), interpretation, "fe0000fe0000", "fe0000fe0000")
            for interpretation in ("YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")
        ),
        (color(RED, "HSV"), "HSV", "ff0000ff0000", "ffff00000000"),
    ],
)
def test_color_is_as_described(frame: DecodedFrame, interpretation: str, by_pixel: str, by_plane: str) -> None:
    assert described_bytes(frame, described(interpretation)).hex() == by_pixel
    assert described_bytes(frame, described(interpretation, 1)).hex() == by_plane


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
def test_gray_is_as_it_is(dtype: str) -> None:
    frame = frame_of([[1, 2, 3]], dtype)
    assert described_bytes(frame, frame.pixels) == native_bytes(frame) == np.array([1, 2, 3], dtype).tobytes()


def test_single_bits_are_packed() -> None:
    bits = frame_of([[1, 0, 0, 0, 0, 0, 0, 0, 0, 1]], bits_stored=1)
    bits = replace(bits, pixels=replace(bits.pixels, bits_allocated=1))
    assert described_bytes(bits, bits.pixels) == native_bytes(bits) == b"\x01\x02"


def test_more_than_8_bits_are_not_converted() -> None:
    frame = color(RED_YBR, "YBR_FULL", "uint16")
    assert in_described_colors(frame, described("YBR_FULL")) is frame
    with pytest.raises(NotAcceptable, match="more than 8 bits"):
        described_bytes(frame, described("RGB"))

"""Frames of JPEG that are more, or less, than they should be."""

from typing import Any

import numpy as np
import pytest

from shared.errors import NotAcceptable
from shared.imaging.decoding import DecodedFrame, decode_frame
from shared.imaging.image_pixels import ImagePixels
from tests.support.bundled_files import stored_frame
from tests.support.frame_encoders import COLUMNS, ROWS, color_samples, jpeg_of, ybr_of

EXTENDED = "1.2.840.10008.1.2.4.51"


def decoded(frame: bytes, pixels: ImagePixels, syntax: str = EXTENDED, **options: Any) -> DecodedFrame:
    return decode_frame(frame, syntax, pixels, max_frame_bytes=1 << 26, **options)


class TestJpegOf12Bits:
    @pytest.mark.parametrize("bits_stored", [9, 10, 12, 16])
    def test_stays_white_where_it_comes_back_a_little_brighter(self, bits_stored: int) -> None:
        white = min(1 << bits_stored, 4096) - 1
        samples = np.where(np.random.default_rng(1).integers(0, 2, (32, 40)), white, 0).astype(np.uint16)
        pixels = ImagePixels(32, 40, 1, 16, bits_stored, False, "MONOCHROME2")
        result = decoded(jpeg_of(samples, 12, level=80), pixels).samples
        assert result.max() <= white
        assert np.abs(result.astype(int) - samples).max() < white // 3

    @pytest.mark.parametrize("keeps_ybr", [True, False])
    def test_has_color(self, keeps_ybr: bool) -> None:
        rgb = color_samples().astype(np.uint16) * 16
        frame = jpeg_of(rgb, 12, level=98, colorspace="RGB", outcolorspace="YCBCR")
        pixels = ImagePixels(ROWS, COLUMNS, 3, 16, 12, False, "YBR_FULL", planar_configuration=1)
        result = decoded(frame, pixels, keeps_ybr=keeps_ybr)
        expected = np.clip(ybr_of(color_samples()).astype(int) * 16 if keeps_ybr else rgb, 0, 4095)
        assert np.abs(result.samples.astype(int) - expected).max() < 128
        assert result.pixels.photometric_interpretation == ("YBR_FULL" if keeps_ybr else "RGB")


@pytest.mark.parametrize("name", ["SC_rgb_small_odd_jpeg.dcm", "SC_rgb_jpeg_gdcm.dcm", "JPGExtended.dcm"])
def test_jpeg_is_not_made_up_where_it_is_cut(name: str) -> None:
    frame, syntax, pixels = stored_frame(name)
    end = frame.rindex(b"\xff\xd9")
    decoded(frame[: end + 2], pixels, syntax)
    decoded(frame[: end + 2] + b"\0\0", pixels, syntax)
    for length in (end, end + 1, end - 4):
        with pytest.raises(NotAcceptable, match="damaged"):
            decoded(frame[:length], pixels, syntax)

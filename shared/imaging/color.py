"""Turns color frames into pictures in RGB, by their Photometric Interpretation (PS3.3 C.7.6.3.1.2)."""

import numpy as np
from PIL import Image

from shared.imaging.decoding import DecodedFrame
from shared.imaging.sample_values import Samples, drawn_in_rgb


def color_picture(frame: DecodedFrame) -> Image.Image:
    """A frame of three samples a pixel in RGB of 8 bits each, by its Photometric Interpretation.

    YBR_RCT is taken for RGB, since codecs undo that transform, as is one that is not for three samples.
    """
    bits = frame.pixels.bits_stored
    is_ybr = frame.pixels.photometric_interpretation in ("YBR_FULL", "YBR_ICT")

    def draw(samples: Samples) -> Image.Image:
        levels = (samples >> bits - 8 if bits > 8 else samples << 8 - bits).astype(np.uint8, copy=False)
        return Image.fromarray(levels, "YCbCr").convert("RGB") if is_ybr else Image.fromarray(levels)

    return drawn_in_rgb(frame.samples, draw)

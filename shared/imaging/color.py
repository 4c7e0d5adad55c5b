"""Turns color frames into pictures in RGB, by their Photometric Interpretation (PS3.3 C.7.6.3.1.2)."""

from typing import Final

import numpy as np
from PIL import Image

from shared.imaging.decoding import DecodedFrame
from shared.imaging.sample_values import Samples, drawn_in_rgb

# ITU-R BT.601: brightness is 16 to 235, the color differences 16 to 240 (PS3.3 C.7.6.3.1.2).
_FULL_FROM_PARTIAL: Final = [
    *(min(max(round((level - 16) * 255 / 219), 0), 255) for level in range(256)),
    *2 * [min(max(round((level - 128) * 255 / 224 + 128), 0), 255) for level in range(256)],
]


def color_picture(frame: DecodedFrame) -> Image.Image:
    """A frame of three samples a pixel in RGB of 8 bits each, by its Photometric Interpretation.

    YBR_RCT is taken for RGB, since codecs undo that transform, as is one that is not for three samples.
    """
    bits = frame.pixels.bits_stored
    interpretation = frame.pixels.photometric_interpretation
    is_partial = interpretation.startswith("YBR_PARTIAL")
    is_ybr = is_partial or interpretation in ("YBR_FULL", "YBR_FULL_422", "YBR_ICT")

    def draw(samples: Samples) -> Image.Image:
        levels = (samples >> bits - 8 if bits > 8 else samples << 8 - bits).astype(np.uint8, copy=False)
        if not is_ybr:
            return Image.fromarray(levels)
        picture = Image.fromarray(levels, "YCbCr")
        return (picture.point(_FULL_FROM_PARTIAL) if is_partial else picture).convert("RGB")

    return drawn_in_rgb(frame.samples, draw)

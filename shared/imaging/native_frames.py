"""Decoded frames in native form (PS3.5 8.1), and in the colors that a data set says, which not all codestreams have."""

from dataclasses import replace
from typing import Final

import numpy as np

from shared.dicom.frame_layout import SHARED_CHROMA
from shared.imaging.color_spaces import RGB, YBR_FULL, converted, in_planes
from shared.imaging.decoding import DecodedFrame
from shared.imaging.image_pixels import ImagePixels

_BY_PIXEL: Final = frozenset({*SHARED_CHROMA, "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT"})


def native_bytes(frame: DecodedFrame) -> bytes:
    """The frame, color-by-pixel; its last byte is filled with zero bits."""
    if frame.pixels.bits_allocated == 1:
        return np.packbits(frame.samples, axis=None, bitorder="little").tobytes()  # PS3.5 8.1.1
    return frame.samples.tobytes()


def in_described_colors(frame: DecodedFrame, described: ImagePixels) -> DecodedFrame:
    """A frame with color in YBR_FULL where `described` says so, else in RGB.

    Raises NotAcceptable where that takes a conversion of more than 8 bits.
    """
    if frame.pixels.samples_per_pixel == 1:
        return frame
    wanted = YBR_FULL if described.photometric_interpretation == YBR_FULL else RGB
    samples = converted(frame.samples, frame.pixels.photometric_interpretation, wanted)
    if samples is frame.samples:
        return frame
    return replace(frame, samples=samples, pixels=replace(frame.pixels, photometric_interpretation=wanted))


def described_bytes(frame: DecodedFrame, described: ImagePixels) -> bytes:
    """The frame as one who knows nothing but `described`, its data set as it is stored, expects it in native form.

    Color is as `in_described_colors` has it, in planes by Planar Configuration. Photometric Interpretations that native
    pixels do not have, or not with three samples each, stand for RGB, color-by-pixel.
    """
    is_in_planes = described.planar_configuration == 1 and described.photometric_interpretation not in _BY_PIXEL
    shown = in_described_colors(frame, described)
    return in_planes(shown.samples).tobytes() if is_in_planes else native_bytes(shown)

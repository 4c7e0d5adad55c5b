"""A plugin for pydicom's decoders: JPEG of up to 16 bits, lossless or not, by the libjpeg-turbo of imagecodecs.

Of pydicom's own plugins only GDCM reads such frames, and a damaged one makes it end the process.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Final

from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

PLUGIN: Final = "libjpeg"
DECODER_DEPENDENCIES: Final = dict.fromkeys((JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), ("imagecodecs",))
"""pydicom requires this of a plugin, and also `is_available`."""


def is_available(uid: str) -> bool:
    """Whether frames in this transfer syntax can be decoded here."""
    return uid in DECODER_DEPENDENCIES and find_spec("imagecodecs") is not None


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """The samples of a frame, in the colors that it is encoded in, color-by-pixel. Sets their size in `runner`.

    Raises what imagecodecs raises where the frame is damaged.
    """
    # It has many codecs, each loaded at its first use.
    decode = import_module("imagecodecs").jpeg8_decode
    is_color = runner.samples_per_pixel > 1
    # Both are named the same, whichever they are, so that nothing is converted.
    samples = decode(frame, colorspace="YCBCR", outcolorspace="YCBCR") if is_color else decode(frame)
    runner.set_option("bits_allocated", 8 * samples.dtype.itemsize)
    runner.set_option("planar_configuration", 0)
    encoded: bytes = samples.tobytes()
    return encoded

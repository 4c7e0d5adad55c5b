"""A plugin of pydicom's decoders: JPEG of up to 16 bits, lossless or not, by the libjpeg-turbo of imagecodecs.

Of pydicom's own plugins only GDCM reads such frames, and it ends the process where it finds one damaged.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Final

from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

PLUGIN: Final = "libjpeg"
DECODER_DEPENDENCIES: Final = dict.fromkeys((JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), ("imagecodecs",))
"""What pydicom asks of a plugin to have; so is `is_available`."""


def is_available(uid: str) -> bool:
    """Whether frames in this transfer syntax can be decoded here."""
    return uid in DECODER_DEPENDENCIES and find_spec("imagecodecs") is not None


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """The samples of a frame, in the colours that it is encoded in, color-by-pixel. `runner` is told of their size.

    Raises what imagecodecs raises where the frame is damaged.
    """
    # Of many codecs, each loaded at its first use.
    decode = import_module("imagecodecs").jpeg8_decode
    is_color = runner.samples_per_pixel > 1
    # Named the same, whichever they are, so that they are not converted.
    samples = decode(frame, colorspace="YCBCR", outcolorspace="YCBCR") if is_color else decode(frame)
    runner.set_option("bits_allocated", 8 * samples.dtype.itemsize)
    runner.set_option("planar_configuration", 0)
    encoded: bytes = samples.tobytes()
    return encoded

"""JPEG by libjpeg-turbo: Pillow's for lossy processes of 8 bits, imagecodecs' for lossless ones and up to 16 bits.

Of pydicom's own plugins only GDCM reads the latter, and a damaged frame makes it end the process. Those that read the
former take the file's color space from its markers alone.
"""

from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.imaging.codestreams import BASELINE, EXTENDED, PROGRESSIVE, CodestreamHeader

LOSSY_PROCESSES: Final = frozenset({BASELINE, EXTENDED, PROGRESSIVE})
_MODES: Final = {1: "L", 3: "YCbCr", 4: "CMYK"}  # Pillow's names; by components


def decode_jpeg(frame: bytes, header: CodestreamHeader, *, to_rgb: bool) -> NDArray[Any]:
    """The samples of a frame: (rows, columns), or (rows, columns, components), in the colors that it is encoded in.

    With `to_rgb`, three components are YCbCr, whatever the frame says, and become RGB. Raises what the libraries raise
    where the frame is damaged.
    """
    if header.process in LOSSY_PROCESSES and header.bits_per_sample == 8:
        mode = _MODES[header.components]
        decoded = "RGB" if to_rgb else mode
        return np.asarray(Image.frombytes(decoded, (header.columns, header.rows), frame, "jpeg", decoded, mode))
    # It has many codecs, each loaded at its first use.
    decode = import_module("imagecodecs").jpeg8_decode
    if header.components == 1:
        return np.asarray(decode(frame))
    # Both are named the same, whichever they are, so that nothing is converted.
    return np.asarray(decode(frame, colorspace="YCBCR", outcolorspace="RGB" if to_rgb else "YCBCR"))

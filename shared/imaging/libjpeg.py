"""JPEG of 8 to 16 bits, lossless or not, by the libjpeg-turbo of imagecodecs.

Of pydicom's own plugins, one reads only 8 bits, and believes the data set about colors where the frame says otherwise;
the other ends the process on a damaged frame.
"""

from importlib import import_module
from typing import Any, Final

from numpy.typing import NDArray

from shared.imaging.codestreams import BASELINE, EXTENDED, PROGRESSIVE, CodestreamHeader

LOSSY_PROCESSES: Final = frozenset({BASELINE, EXTENDED, PROGRESSIVE})
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"


def decode_jpeg(frame: bytes, header: CodestreamHeader, *, to_rgb: bool) -> NDArray[Any]:
    """The samples of a frame: (rows, columns), or (rows, columns, components), in the colors that it is encoded in.

    With `to_rgb`, three components are YCbCr, whatever the frame says, and become RGB. Raises ValueError where the
    frame is cut short, and what imagecodecs raises where it is damaged.
    """
    if _END_OF_IMAGE not in frame[frame.rfind(_START_OF_SCAN) :]:
        raise ValueError("The frame is cut short: libjpeg would make up the rest.")
    # It has many codecs, each loaded at its first use.
    decode = import_module("imagecodecs").jpeg8_decode
    # Where both are named the same, whichever they are, nothing is converted.
    names = {"colorspace": "YCBCR", "outcolorspace": "RGB" if to_rgb else "YCBCR"} if header.components == 3 else {}
    samples: NDArray[Any] = decode(frame, **names)
    return samples

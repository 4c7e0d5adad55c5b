"""JPEG of 8 to 16 bits, lossless or not, and JPEG-LS, by the libjpeg-turbo and the CharLS of imagecodecs.

Both leave the interpreter to other threads. Of pydicom's own plugins for JPEG, one reads only 8 bits, and believes the
data set about colors where the frame says otherwise; the other ends the process on a damaged frame. Those for JPEG-LS
keep the interpreter, and one takes twice as long.
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
    _check_end(frame)  # libjpeg would make up the rest
    # imagecodecs has many codecs, each loaded at its first use.
    decode = import_module("imagecodecs").jpeg8_decode
    # Where both are named the same, whichever they are, nothing is converted.
    names = {"colorspace": "YCBCR", "outcolorspace": "RGB" if to_rgb else "YCBCR"} if header.components == 3 else {}
    samples: NDArray[Any] = decode(frame, **names)
    return samples


def decode_jpeg_ls(frame: bytes) -> NDArray[Any]:
    """The samples of a frame, unsigned: (rows, columns), or (rows, columns, components).

    Raises as `decode_jpeg` does.
    """
    _check_end(frame)  # CharLS would look for the rest for seconds
    samples: NDArray[Any] = import_module("imagecodecs").jpegls_decode(frame)
    return samples


def _check_end(frame: bytes) -> None:
    """Raises ValueError where the last scan does not end."""
    end = frame.rfind(_END_OF_IMAGE)
    if end < 0 or frame.find(_START_OF_SCAN, end) >= 0:
        raise ValueError("The frame is cut short.")

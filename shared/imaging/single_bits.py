"""RLE of single bits, which PS3.5 does not describe: some writers encode packed bytes, some a byte for each pixel."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rle.utils import decode_pixel_data

_BUFFER: Final = 2  # version of the function: one that returns bytes


def decode_rle_bits(frame: bytes, rows: int, columns: int) -> NDArray[Any]:
    """The pixels of a frame with Bits Allocated 1: (rows, columns), 0 or 1. Raises ValueError for neither form."""
    count = rows * columns
    try:
        # The longer form first: the codec panics where there is more than is expected.
        single = decode_pixel_data(frame, version=_BUFFER, rows=rows, columns=columns, bits_allocated=8)
        return np.not_equal(np.frombuffer(single, np.uint8).reshape(rows, columns), 0).view(np.uint8)
    except ValueError:
        packed = decode_pixel_data(frame, version=_BUFFER, rows=1, columns=-(-count // 8), bits_allocated=8)
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=count, bitorder="little")  # PS3.5 8.1.1
    return bits.reshape(rows, columns)

"""RLE (PS3.5 Annex G), by pylibjpeg's codec."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rle.utils import decode_pixel_data

from shared.imaging.color_spaces import by_pixel

_BUFFER: Final = 2  # version of the function: one that returns bytes


def decode_rle(frame: bytes, rows: int, columns: int, samples_per_pixel: int, bits_allocated: int) -> NDArray[Any]:
    """The pixels of a frame of whole bytes, unsigned: (rows, columns), or (rows, columns, samples).

    Raises ValueError where the frame does not hold them, and what the codec raises where it is damaged.
    """
    planes = decode_pixel_data(frame, version=_BUFFER, rows=rows, columns=columns, bits_allocated=bits_allocated)
    samples: NDArray[Any] = np.frombuffer(planes, f"<u{bits_allocated // 8}").reshape(samples_per_pixel, rows, columns)
    return by_pixel(samples) if samples_per_pixel > 1 else samples.reshape(rows, columns)


def decode_rle_bits(frame: bytes, rows: int, columns: int) -> NDArray[Any]:
    """The pixels of a frame with Bits Allocated 1: (rows, columns), 0 or 1. Raises ValueError for neither form.

    PS3.5 does not describe it: some writers encode packed bytes, some a byte for each pixel.
    """
    try:
        # The longer form first: the codec panics where there is more than is expected.
        of_bytes = decode_rle(frame, rows, columns, 1, 8)
        single: NDArray[Any] = np.not_equal(of_bytes, 0).view(np.uint8)
        return single
    except ValueError:
        count = rows * columns
        packed = decode_rle(frame, 1, -(-count // 8), 1, 8)
    bits: NDArray[Any] = np.unpackbits(packed, axis=None, count=count, bitorder="little")  # PS3.5 8.1.1
    return bits.reshape(rows, columns)

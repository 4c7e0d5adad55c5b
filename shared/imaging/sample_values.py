"""Maps the samples of frames, a value at a time: by a table where there are few possible values."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.imaging.decoding import DecodedFrame

Levels = NDArray[np.uint8]
"""Levels of gray or of a color: 0 to 255."""

Values = NDArray[np.float64]
"""Stored values, or what they were mapped to."""

_BLOCK_PIXELS: Final = 1 << 18  # mapped at a time: an index or a float takes eight bytes for a sample of one or two
_MAX_TABLE_BYTES: Final = 2  # of a sample


def mapped(frame: DecodedFrame, to_levels: Callable[[Values], Levels]) -> Levels:
    """Map each stored value of a frame with one sample a pixel by `to_levels`.

    It takes arrays of one dimension, and returns one level, or several, for each value: the result is
    (rows, columns), or (rows, columns, levels). Bits above Bits Stored are not part of a value (PS3.3 C.7.6.3.1.1).
    """
    samples, bits_stored = np.ravel(frame.samples), frame.pixels.bits_stored
    levels_of_one = to_levels(np.zeros(1)).shape[1:]
    levels = np.empty((samples.size, *levels_of_one), np.uint8)
    if _fits_table(samples):
        table = to_levels(_stored(_every(samples.dtype), bits_stored))
        for begin, block in _blocks(samples.view(f"u{samples.itemsize}")):
            levels[begin : begin + block.size] = table[block]
    else:
        for begin, block in _blocks(samples):
            levels[begin : begin + block.size] = to_levels(_stored(block, bits_stored))
    return levels.reshape(*frame.samples.shape, *levels_of_one)


def occurring(frame: DecodedFrame) -> Iterator[Values]:
    """The stored values of a frame in blocks, each value at least once."""
    samples, bits_stored = np.ravel(frame.samples), frame.pixels.bits_stored
    if not _fits_table(samples):
        for _, block in _blocks(samples):
            yield _stored(block, bits_stored)
        return
    every = _every(samples.dtype)
    occurs = np.zeros(every.size, np.bool_)
    for _, block in _blocks(samples.view(f"u{samples.itemsize}")):
        occurs[block] = True
    yield _stored(every[occurs], bits_stored)


def _stored(samples: NDArray[Any], bits_stored: int) -> Values:
    if samples.dtype.kind == "f":
        return samples.astype(np.float64)
    unused = max(8 * samples.itemsize - bits_stored, 0)
    return ((samples << unused) >> unused).astype(np.float64)


def _fits_table(samples: NDArray[Any]) -> bool:
    return samples.dtype.kind in "iu" and samples.itemsize <= _MAX_TABLE_BYTES


def _every(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Every value of an integer type, in the order of its bits as an unsigned number."""
    return np.arange(1 << 8 * dtype.itemsize, dtype=f"u{dtype.itemsize}").view(dtype)


def _blocks(samples: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    return ((begin, samples[begin : begin + _BLOCK_PIXELS]) for begin in range(0, samples.size, _BLOCK_PIXELS))

"""Maps the samples of frames, a value at a time: by a table where there are few possible values.

A block of samples at a time, so that what lies between samples and levels never takes the memory of a whole frame.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.imaging.decoding import DecodedFrame

Levels = NDArray[np.uint8]
"""Levels of gray or of a color: 0 to 255."""

Samples = NDArray[Any]
"""Samples of a frame, as they are decoded."""

Values = NDArray[np.float64]
"""Stored values, or what they were mapped to."""

_BLOCK_PIXELS: Final = 1 << 18  # mapped at a time: an index or a float takes eight bytes for a sample of one or two
_MAX_TABLE_BYTES: Final = 2  # of a sample


def mapped(frame: DecodedFrame, to_levels: Callable[[Values], Levels]) -> Levels:
    """The level of each pixel of a frame with one sample a pixel, (rows, columns), as `mapping` maps them."""
    samples, to_levels_of = np.ravel(frame.samples), mapping(frame, to_levels)
    levels = np.empty(samples.size, np.uint8)
    for begin, block in _blocks(samples):
        levels[begin : begin + block.size] = to_levels_of(block)
    return levels.reshape(frame.samples.shape)


def mapping(frame: DecodedFrame, to_levels: Callable[[Values], Levels]) -> Callable[[Samples], Levels]:
    """What maps samples of a frame, in an array of any shape, by `to_levels`, to one level each or several.

    `to_levels` takes stored values in one dimension. Bits above Bits Stored are not part of a value (PS3.3
    C.7.6.3.1.1).
    """
    bits_stored = frame.pixels.bits_stored
    if _fits_table(frame.samples):
        possible, unsigned = _possible(frame.samples), f"u{frame.samples.itemsize}"
        table, least = to_levels(_stored(possible, bits_stored)), possible.view(unsigned)[0]
        # The distance from the least value, also of signed ones. All are in the table; only numpy's search for others
        # is left out, which takes as long again.
        return lambda samples: table.take(samples.view(unsigned) - least, axis=0, mode="clip")

    def direct(samples: Samples) -> Levels:
        levels = to_levels(_stored(np.ravel(samples), bits_stored))
        return levels.reshape(*samples.shape, *levels.shape[1:])

    return direct


def drawn_in_rgb(samples: Samples, draw: Callable[[Samples], Image.Image]) -> Image.Image:
    """The picture of samples (rows, columns, …), a few rows of which `draw` makes pictures in RGB of at a time.

    Pillow takes four bytes for a pixel: so there is one such picture besides the samples, and nothing else as large.
    """
    rows, columns = samples.shape[:2]
    picture = Image.new("RGB", (columns, rows))
    step = max(_BLOCK_PIXELS // columns, 1)
    for top in range(0, rows, step):
        picture.paste(draw(samples[top : top + step]), (0, top))
    return picture


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


def _possible(samples: NDArray[Any]) -> NDArray[Any]:
    """The values from the least of some samples to their greatest: few of all that their type has."""
    return np.arange(int(samples.min()), int(samples.max()) + 1).astype(samples.dtype)


def _every(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Every value of an integer type, in the order of its bits as an unsigned number."""
    return np.arange(1 << 8 * dtype.itemsize, dtype=f"u{dtype.itemsize}").view(dtype)


def _blocks(samples: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    return ((begin, samples[begin : begin + _BLOCK_PIXELS]) for begin in range(0, samples.size, _BLOCK_PIXELS))

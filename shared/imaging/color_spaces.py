"""Samples of three colors, from one color space or layout into another (PS3.3 C.7.6.3.1.2, C.7.6.3.1.3).

All arrays are (rows, columns, 3).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.errors import NotAcceptable

Colors = NDArray[Any]

RGB: Final = "RGB"
YBR_FULL: Final = "YBR_FULL"

_PILLOW_MODES: Final = {RGB: "RGB", YBR_FULL: "YCbCr"}
# ITU-R BT.601: brightness is 16 to 235, the color differences 16 to 240.
_LEVELS: Final = np.arange(256)
_FULL_FROM_PARTIAL: Final = [
    np.clip(np.rint((_LEVELS - 16) * 255 / 219), 0, 255).astype(np.uint8),
    *2 * [np.clip(np.rint((_LEVELS - 128) * 255 / 224 + 128), 0, 255).astype(np.uint8)],
]


def converted(samples: Colors, interpretation: str, wanted: str) -> Colors:
    """The samples in another of RGB and YBR_FULL; the same where that is theirs, or it is neither.

    Raises NotAcceptable for samples of more than 8 bits.
    """
    if interpretation == wanted or not {interpretation, wanted} <= _PILLOW_MODES.keys():
        return samples
    if samples.dtype != np.uint8:
        raise NotAcceptable(f"Colors of more than 8 bits cannot be converted from {interpretation} to {wanted}.")
    picture = Image.fromarray(samples, _PILLOW_MODES[interpretation])
    return np.asarray(picture.convert(_PILLOW_MODES[wanted]))


def in_full_range(samples: Colors) -> Colors:
    """YBR_FULL of YBR_PARTIAL. Raises NotAcceptable for samples of more than 8 bits."""
    if samples.dtype != np.uint8:
        raise NotAcceptable("Colors of more than 8 bits in partial range are not supported.")
    return np.stack([table[samples[..., color]] for color, table in enumerate(_FULL_FROM_PARTIAL)], axis=-1)


def in_planes(samples: Colors) -> Colors:
    """The samples of each color together: (3, rows, columns)."""
    planes = np.empty((samples.shape[-1], *samples.shape[:-1]), samples.dtype)
    for index, plane in enumerate(planes):  # four times as quick as all at once
        plane[...] = samples[..., index]
    return planes


def by_pixel(planes: Colors) -> Colors:
    """The other way round, of any number of colors: (rows, columns, colors) of (colors, rows, columns)."""
    samples = np.empty((*planes.shape[1:], len(planes)), planes.dtype)
    for index, plane in enumerate(planes):
        samples[..., index] = plane
    return samples

"""A chest and a head of simple shapes, a transverse slice at a time: what sample images depict.

Coordinates are those of DICOM's patient, in mm from the middle: x to the left, y to the back, z to the head.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

AIR, SCALP, SKULL, FLUID, GREY, WHITE, LESION = range(7)
"""The tissues of a head."""

_VESSELS: Final = 60  # of both lungs
_VERTEBRA, _DISC, _RIB_STEP, _RIB_HALF = 26, 5, 26, 5.5  # mm
_RIB_SLOPE: Final = 0.5  # ribs descend from the spine to the sternum


def softened(image: NDArray[Any]) -> Image:
    """The image with each pixel mixed with its neighbours, as edges within a pixel are."""
    for axis in (0, 1):
        image = (np.roll(image, 1, axis) + 2 * image + np.roll(image, -1, axis)) / 4
    return image.astype(np.float32)


def _ellipsoid(
    x: Image, y: Image, z: float, centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> Mask:
    (left, back, up), (wide, deep, high) = centre, radii
    inside: Mask = ((x - left) / wide) ** 2 + ((y - back) / deep) ** 2 + ((z - up) / high) ** 2 < 1
    return inside


def _rod(x: Image, y: Image, begin: tuple[float, float], end: tuple[float, float], radius: float) -> Mask:
    """What lies no further than `radius` from the line between two points of the slice."""
    across, along = end[0] - begin[0], end[1] - begin[1]
    part = np.clip(((x - begin[0]) * across + (y - begin[1]) * along) / (across**2 + along**2), 0, 1)
    near: Mask = np.hypot(x - begin[0] - part * across, y - begin[1] - part * along) < radius
    return near


def chest(x: Image, y: Image, z: float) -> Image:
    """Hounsfield units of a chest at a height from -170 to 150 mm: its arms are raised, its vessels have contrast."""
    taper = 1 - 0.35 * max(0, (z - 50) / 100) ** 2
    units = np.full(np.broadcast_shapes(x.shape, y.shape), -1000, np.float32)
    body = (np.abs(x) / (165 * (1 + taper) / 2)) ** 2.4 + (np.abs(y) / 110) ** 2.4
    units[body < 1] = -100
    units[body < 0.8] = 45
    for side in (-1, 1):
        if 20 < z < 120:
            units[_rod(x, y, (98 * side, 64), (60 * side, 92), 4)] = 400  # the shoulder blade
    cage = np.hypot(x / (135 * taper), y / (88 * taper))
    wall = (cage > 0.92) & (cage < 1)
    phase = np.abs((z - _RIB_SLOPE * y) % _RIB_STEP - _RIB_STEP / 2)
    units[wall & (phase < _RIB_HALF)] = 450
    units[wall & (phase < _RIB_HALF - 2.5)] = 180
    units[wall & (y < -62 * taper)] = 80  # cartilage
    units[wall & (np.abs(x) < 17) & (y < 0)] = 260  # the sternum
    within = cage < 0.9
    units[within] = -60
    dome = np.where(x < 0, -72 - ((x + 68) ** 2 + y**2) / 150, -88 - ((x - 68) ** 2 + y**2) / 150)
    top = 132 - ((np.abs(x) - 58) ** 2 + (y - 10) ** 2) / 90
    lungs = within & (np.abs(x) > 23 + 5 * np.cos(z / 30)) & (z > dome) & (z < top)
    units[lungs] = -840
    for left, back, radius in _vessels_at(z):
        units[lungs & (np.hypot(x - left, y - back) < radius)] = 60
    units[lungs & _ellipsoid(x, y, z, (-66, 24, 38), (9, 8, 9))] = 45  # a nodule
    _paint_heart(units, x, y, z)
    _paint_belly(units, x, y, z, within & (z <= dome))
    _paint_spine(units, x, y, z)
    if z > 20:
        units[np.hypot(x, y - 18) < 9] = -980  # the trachea, and the bronchi
    elif z > -15:
        for side in (-1, 1):
            units[np.hypot(x - side * (5 + (20 - z)), y - 18) < 7] = -970
    return units


@cache
def _vessels() -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Where vessels run from the roots of the lungs to all sides: begin and end."""
    random = np.random.default_rng(2)
    found = []
    for number in range(_VESSELS):
        side = 1 if number % 2 else -1
        end = random.uniform((55, -55, -110), (115, 60, 110)) * (side, 1, 1)
        found.append((np.array((38 * side, 12, random.uniform(-25, 20))), end))
    return found


def _vessels_at(z: float) -> Iterator[tuple[float, float, float]]:
    """Where vessels cross a slice: x, y, radius."""
    for begin, end in _vessels():
        part = (z - begin[2]) / (end[2] - begin[2])
        if 0 < part < 1:
            left, back, _ = begin + part * (end - begin)
            yield left, back, 4.5 - 3 * part


def _paint_heart(units: Image, x: Image, y: Image, z: float) -> None:
    units[_ellipsoid(x, y, z, (16, -22, -42), (62, 46, 58))] = 50
    for centre, radii, value in (
        ((40, -14, -48), (21, 19, 36), 190),  # left ventricle
        ((2, -44, -50), (30, 15, 34), 165),  # right ventricle
        ((10, 12, -14), (27, 15, 18), 190),  # left atrium
        ((-28, -22, -30), (18, 22, 28), 165),  # right atrium
    ):
        units[_ellipsoid(x, y, z, centre, radii)] = value
    if z < 48:
        units[np.hypot(x - 24, y - 46) < 12] = 200  # the descending aorta
    if -10 < z < 48:
        units[np.hypot(x + 8, y + 14) < 15] = 200
    if abs(z - 48) < 14:
        units[_rod(x, y, (-8, -14), (24, 46), 13 * (1 - ((z - 48) / 14) ** 2) ** 0.5)] = 200  # its arch
    if abs(z - 12) < 12:
        radius = 12 * (1 - ((z - 12) / 12) ** 2) ** 0.5
        units[_rod(x, y, (14, -24), (10, 2), radius) | _rod(x, y, (-42, 8), (46, 8), radius * 0.7)] = 175
    if z > 0:
        units[np.hypot(x + 26, y + 8) < 9] = 165  # the superior vena cava
    if z > 55:
        for left, back in ((-20, -12), (0, -6), (20, 4)):
            units[np.hypot(x - left * (1 + (z - 55) / 160), y - back) < 6] = 200


def _paint_belly(units: Image, x: Image, y: Image, z: float, below: Mask) -> None:
    """Paint what is below the diaphragm."""
    units[below & (x < 35 - 0.3 * y)] = 110  # the liver
    units[below & _ellipsoid(x, y, z, (88, 42, -125), (34, 30, 40))] = 125  # the spleen
    stomach = below & _ellipsoid(x, y, z, (62, -20, -125), (38, 34, 34))
    units[stomach] = 25
    units[stomach & (y < -34)] = -950
    units[below & (np.hypot(x - 24, y - 46) < 12)] = 200


def _paint_spine(units: Image, x: Image, y: Image, z: float) -> None:
    body = np.hypot(x / 19, (y - 64) / 15)
    if z % _VERTEBRA < _DISC:
        units[body < 1] = 85
    else:
        units[body < 1] = 480
        units[body < 0.85] = 190
        units[_rod(x, y, (-34, 88), (34, 88), 5)] = 350
    canal = np.hypot(x, y - 87)
    units[canal < 14] = 420
    units[canal < 9] = 25
    if z % _VERTEBRA > 8:
        units[_rod(x, y, (0, 98), (0, 103), 3)] = 380


def head(x: Image, y: Image, z: float) -> NDArray[np.uint8]:
    """The tissue at each place of a head, at a height from -60 to 75 mm."""
    radius = np.sqrt((x / 76) ** 2 + (y / 95) ** 2 + (z / 100) ** 2)
    angle = np.arctan2(y, x)
    folds = np.sin(11 * angle + 3 * np.sin(4 * angle + z / 9) + z / 7) * np.cos(6 * angle - z / 11)
    tissue = np.full(radius.shape, AIR, np.uint8)
    for limit, value in ((1, SCALP), (0.95, SKULL), (0.89, FLUID)):
        tissue[radius < limit] = value
    tissue[radius < 0.855 + 0.03 * folds] = GREY
    tissue[radius < 0.74 + 0.1 * folds] = WHITE
    tissue[(np.abs(x) < 1.5 + 0.5 * folds) & (radius < 0.89) & ((radius > 0.5) | (z > 30))] = FLUID
    for side in (-1, 1):
        for centre, radii in (((13, 10, 0), (9, 15, 12)), ((27, -8, 2), (6, 18, 12)), ((13, -22, 8), (5, 9, 12))):
            tissue[_ellipsoid(x, y, z, (side * centre[0], *centre[1:]), radii)] = GREY
        tissue[_ellipsoid(x - side * np.abs(y + 3) / 5, y, z, (side * 7, -3, 14), (6, 36, 13))] = FLUID
        tissue[_ellipsoid(x, y, z, (side * 31, -66, -44), (12, 12, 12))] = FLUID  # the eye
    if -18 < z < 4:
        tissue[(np.abs(x) < 2.5) & (np.abs(y - 2) < 15)] = FLUID
    if z < -15:
        cerebellum = (radius < 0.87) & _ellipsoid(x, y, z, (0, 44, -48), (52, 36, 28))
        tissue[cerebellum] = np.where(np.sin(np.hypot(x / 1.4, y - 18) / 1.6) > 0, GREY, WHITE)[cerebellum]
        tissue[_ellipsoid(x, y, z, (0, 8, -45), (24, 20, 24))] = FLUID
        tissue[_ellipsoid(x, y, z, (0, 12, -45), (15, 15, 32))] = WHITE
    tissue[_ellipsoid(x, y, z, (-34, 24, 26), (11, 9, 11))] = LESION
    return tissue

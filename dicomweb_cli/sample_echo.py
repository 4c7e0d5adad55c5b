"""The frames of an ultrasound clip: four chambers of a beating heart in a sector, and flow in colours."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomweb_cli.sample_anatomy import softened

FRAMES: Final = 30
"""One heartbeat, so that a loop is smooth."""

ROWS, COLUMNS = 320, 400
PIXEL_CM: Final = 0.05
SECTOR: Final = (6, 8, 374, 308)
"""Left, top, right and bottom of what is seen."""

_APEX: Final = (190, 8)
_REACH, _HALF_ANGLE = 300, 0.66  # pixels, radians
_FIRST: Final = 22  # the chambers fill: a still has colours
_VALVES: Final = 198  # their depth in pixels

Levels = NDArray[np.float64]
Mask = NDArray[np.bool_]


def echo_frames() -> Iterator[NDArray[np.uint8]]:
    """The frames in RGB: (rows, columns, 3)."""
    depth, across = np.mgrid[0:ROWS, 0:COLUMNS].astype(float)
    across, depth = across - _APEX[0], depth - _APEX[1]
    distance, angle = np.hypot(across, depth), np.arctan2(across, depth)
    seen = (distance > 4) & (distance < _REACH) & (np.abs(angle) < _HALF_ANGLE)
    random = np.random.default_rng(1)
    speckle = softened(random.rayleigh(0.8, (151, 240)))[
        np.clip(distance / 2, 0, 150).astype(int), np.clip((angle + 0.75) * 159, 0, 239).astype(int)
    ]
    bars = _bars()
    for frame in range(FRAMES):
        phase = 2 * np.pi * (frame + _FIRST) / FRAMES
        squeeze, is_filling = (1 - np.cos(phase)) / 2, np.sin(phase) < 0  # 1 at the end of systole
        opening = max(0.0, -np.sin(phase))
        echo, cavity = _heart(across, depth, squeeze, opening)
        grain = speckle * (0.85 + 0.3 * random.random(speckle.shape))
        level = np.clip(echo * grain * (1.15 - distance / 900), 0, 1.2) ** 0.6 * 200
        picture = np.repeat(np.where(seen, softened(np.where(seen, level, 0)), 0)[..., None], 3, axis=2)
        flow = _flow(across, depth, max(opening, np.sin(phase)), is_filling) * (0.75 + 0.35 * softened(grain))
        coloured = seen & cavity & (np.abs(flow) > 0.18)
        picture[coloured] = _colours(flow[coloured])
        yield np.maximum(np.clip(picture, 0, 255).astype(np.uint8), bars)


def _oval(across: Levels, depth: Levels, centre: tuple[float, float], radii: tuple[float, float]) -> Levels:
    """Less than 1 within an ellipse."""
    distance: Levels = np.hypot((across - centre[0]) / radii[0], (depth - centre[1]) / radii[1])
    return distance


def _heart(across: Levels, depth: Levels, squeeze: float, opening: float) -> tuple[Levels, Mask]:
    """How much each place reflects, and which places hold blood."""
    echo = np.full(across.shape, 0.22)
    heart = _oval(across, depth, (0, 165), (112 - 8 * squeeze, 142 - 4 * squeeze))
    echo[heart < 1] = 0.5
    echo[(heart > 0.97) & (heart < 1.02)] = 0.95  # the pericardium
    chambers = (
        ((44, 124), (42 - 14 * squeeze, 78 - 16 * squeeze)),
        ((-46, 132), (33 - 9 * squeeze, 66 - 12 * squeeze)),
        ((44, 244), (37 + 7 * squeeze, 38 + 6 * squeeze)),
        ((-44, 242), (35 + 6 * squeeze, 36 + 5 * squeeze)),
    )
    cavity = np.zeros(across.shape, bool)
    for centre, radii in chambers:
        oval = _oval(across, depth, centre, radii)
        echo[(oval < 1.06) & (oval >= 1)] = 0.8
        cavity |= oval < 1
    for middle, half in ((44, 28), (-45, 25)):  # the ways through the valves
        cavity |= _oval(across, depth, (middle, _VALVES), (half, 22)) < 1
    echo[cavity] = 0.035
    for middle, half in ((44, 28), (-45, 25)):
        aside = np.abs(across - middle)
        leaflet = _VALVES - opening * 30 * (half - aside) / half
        echo[(aside < half) & (aside > 0.6 * half * opening) & (np.abs(depth - leaflet) < 2.2)] = 0.9
    return echo, cavity


def _flow(across: Levels, depth: Levels, strength: float, is_filling: bool) -> Levels:
    """The speed of blood, 1 at most: positive is towards the probe."""
    middle, top, wide, long, sign = (44, 165, 17, 62, 1) if is_filling else (30, 150, 15, 52, -1)
    speed: Levels = sign * strength * np.exp(-(((across - middle) / wide) ** 2) - ((depth - top) / long) ** 2)
    return speed


def _colours(speed: Levels) -> Levels:
    """Red to yellow towards the probe, blue to cyan away from it."""
    fast = np.clip(np.abs(speed), 0, 1)
    bright, second, none = 90 + 165 * np.sqrt(fast), 255 * fast**2, np.zeros_like(fast)
    towards = np.stack([bright, second, none], axis=-1)
    away = np.stack([none, second, bright], axis=-1)
    return np.where((speed > 0)[..., None], towards, away)


def _bars() -> NDArray[np.uint8]:
    """The scales of grey and of colours, on the right."""
    bars = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    bars[30:130, 380:390] = np.linspace(255, 0, 100, dtype=np.uint8)[:, None, None]
    bars[160:260, 380:390] = _colours(np.linspace(1, -1, 100))[:, None, :].astype(np.uint8)
    return bars

"""Turns stored values of monochrome frames into gray levels: the pipeline of PS3.4 N.2.

Modality LUT, VOI LUT and Presentation LUT Shape, where the data set has them: a wrong or missing one is left out.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from shared.imaging.decoding import DecodedFrame
from shared.imaging.frame_attributes import FrameAttributes, numbers_of, text_of
from shared.imaging.lookup_tables import lookup_table
from shared.imaging.sample_values import Levels, Values, mapped, occurring
from shared.web.rendering_parameters import Window, WindowFunction

_ToValues = Callable[[Values], Values]
_ToLevels = Callable[[Values], Levels]

_WINDOW_FUNCTIONS: Final = {function.value: function for function in WindowFunction}
# Of X-Ray Angiographic (single plane and biplane) and Radiofluoroscopic images, the Modality LUT leads back to the
# intensity of the beam, and is not for display (PS3.3 C.8.7.1.1.2).
_X_RAY_INTENSITIES: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.12.{number}" for number in (1, 2, 3))
_PADDING: Final = {
    "PixelData": "PixelPadding",
    "FloatPixelData": "FloatPixelPadding",
    "DoubleFloatPixelData": "DoubleFloatPixelPadding",
}


def gray_levels(
    frame: DecodedFrame, attributes: FrameAttributes, frame_number: int, window: Window | None = None
) -> Levels:
    """The frame, of one sample a pixel, as displayed: (rows, columns), 0 black to 255 white.

    `frame_number` is its number from 1, which finds its functional groups. Values are windowed by `window`, else
    by the data set's first window, else by its first VOI LUT. Where it has none, the least value of the frame that is
    not padding is black and the greatest white; for single bits, 0 is black and 1 white.
    """
    is_signed = frame.samples.dtype.kind != "u"
    with np.errstate(all="ignore"):  # values that the data set makes infinite or NaN are drawn all the same
        to_values = _modality(attributes, frame_number, is_signed=is_signed)
        to_levels = _voi(attributes, frame_number, window, to_values, frame.samples.dtype.kind)
        if to_levels is None:
            low, high = _extremes(frame, attributes.data_set, to_values)
            to_levels = partial(_spread, low=low, high=high)
        levels = mapped(frame, lambda stored: to_levels(to_values(stored)))
    if (
        frame.pixels.photometric_interpretation == "MONOCHROME1"
        or text_of(attributes.data_set, "PresentationLUTShape") == "INVERSE"
    ):
        np.subtract(255, levels, out=levels)
    return levels


def _modality(attributes: FrameAttributes, frame_number: int, *, is_signed: bool) -> _ToValues:
    if text_of(attributes.data_set, "SOPClassUID") in _X_RAY_INTENSITIES:
        return lambda stored: stored
    item = attributes.lookup_tables.get("ModalityLUTSequence")
    if item and (table := lookup_table(item, is_signed=is_signed)):
        return table.map
    for data_set in attributes.of_frame(frame_number, "PixelValueTransformationSequence"):
        slopes, intercepts = numbers_of(data_set, "RescaleSlope"), numbers_of(data_set, "RescaleIntercept")
        slope, intercept = (*slopes, 1.0)[0], (*intercepts, 0.0)[0]
        if slope and (slopes or intercepts):
            return lambda stored: stored * slope + intercept
    return lambda stored: stored


def _voi(
    attributes: FrameAttributes, frame_number: int, window: Window | None, to_values: _ToValues, kind: str
) -> _ToLevels | None:
    """`kind` is that of the stored samples' type, as numpy names it."""
    for data_set in attributes.of_frame(frame_number, "FrameVOILUTSequence"):
        window = window or _stored_window(data_set)
    if window:
        if kind == "f" and window.function is WindowFunction.LINEAR and window.width <= 1:
            # It is meant for whole numbers, and makes a threshold of this width.
            window = replace(window, function=WindowFunction.LINEAR_EXACT)
        return partial(_windowed, window=window)
    item = attributes.lookup_tables.get("VOILUTSequence")
    maps_negatives = kind != "u" or bool(to_values(np.zeros(1))[0] < 0)
    table = lookup_table(item, is_signed=maps_negatives) if item else None
    if table is None:
        return None
    greatest = 2**table.bits - 1
    return lambda values: _rounded(table.map(values) * (255 / greatest))


def _stored_window(data_set: Dataset) -> Window | None:
    center, width = numbers_of(data_set, "WindowCenter"), numbers_of(data_set, "WindowWidth")
    if not center or not width or width[0] <= 0:
        return None
    function = _WINDOW_FUNCTIONS.get(text_of(data_set, "VOILUTFunction"), WindowFunction.LINEAR)
    if function is WindowFunction.LINEAR and width[0] < 1:
        # Not allowed, but meant by writers whose values are fractions.
        function = WindowFunction.LINEAR_EXACT
    return Window(center[0], width[0], function)


def _windowed(values: Values, window: Window) -> Levels:
    """By the formulas of PS3.3 C.11.2.1.2.1 and C.11.2.1.3."""
    center, width = window.center, window.width
    if window.function is WindowFunction.SIGMOID:
        return _rounded(255 / (1 + np.exp(-4 * (values - center) / width)))
    if window.function is WindowFunction.LINEAR:
        center, width = center - 0.5, width - 1
    if not width:
        return np.where(values > center, 255, 0).astype(np.uint8)
    levels = values - center
    levels /= width
    levels += 0.5
    levels *= 255
    return _rounded(levels)


def _spread(values: Values, low: float, high: float) -> Levels:
    return _rounded((values - low) / (high - low) * 255)


def _rounded(levels: Values) -> Levels:
    """Whole levels, 0 for NaN. `levels` are written to."""
    np.fmax(levels, 0, out=levels)
    np.minimum(levels, 255, out=levels)
    return np.rint(levels, out=levels).astype(np.uint8)


def _extremes(frame: DecodedFrame, data_set: Dataset, to_values: _ToValues) -> tuple[float, float]:
    """The least and the greatest finite value of a frame, without its padding.

    In a frame of one value, 0 is the other: a uniform frame is not black, and single bits keep their levels.
    """
    padding = _padding(data_set, frame)
    lows, highs = [], []
    for stored in occurring(frame):
        shown = stored[(stored < padding[0]) | (stored > padding[1])] if padding else stored
        values = to_values(shown)
        values = values[np.isfinite(values)]
        if values.size:
            lows.append(float(values.min()))
            highs.append(float(values.max()))
    low, high = min(lows, default=0.0), max(highs, default=0.0)
    return (low, high) if low < high else (min(low, 0.0), max(high, 0.0))


def _padding(data_set: Dataset, frame: DecodedFrame) -> tuple[float, float] | None:
    """The least and the greatest stored padding value (PS3.3 C.7.5.1.1.2 and C.7.6.24)."""
    prefix = _PADDING.get(frame.pixels.keyword, "PixelPadding")
    value, limit = (numbers_of(data_set, f"{prefix}{end}")[:1] for end in ("Value", "RangeLimit"))
    if not value:
        return None
    ends = (*value, *limit)
    if frame.samples.dtype.kind != "f":
        # Some writers encode it as signed, or unsigned, where the pixels are not.
        ends = tuple(_word(int(end), is_signed=frame.samples.dtype.kind == "i") for end in ends)
    return min(ends), max(ends)


def _word(number: int, *, is_signed: bool) -> float:
    word = number & 0xFFFF
    return float(word - 0x10000 if is_signed and word >= 0x8000 else word)

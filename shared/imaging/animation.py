"""Several frames in one moving picture (GIF89a), with the timing of the data set (PS3.3 C.7.6.5)."""

from collections.abc import Iterable, Sequence
from typing import Final

from PIL import Image
from PIL.GifImagePlugin import getdata
from pydicom.dataset import Dataset

from shared.imaging.frame_attributes import numbers_of

_DEFAULT_MS: Final = 100
_LEAST_MS: Final = 20  # browsers treat less as 100
_GREATEST_MS: Final = 655_350  # 65,535 hundredths of a second
_FOREVER: Final = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
_TRAILER: Final = b";"


def durations_ms(data_set: Dataset, frame_numbers: Sequence[int]) -> list[int]:
    """How long to show each frame, by its number from 1, in milliseconds that a GIF can express.

    By Frame Time; else by Frame Time Vector, which has the time since the frame before; else by Recommended Display
    Frame Rate or Cine Rate.
    """
    vector = [time for time in numbers_of(data_set, "FrameTimeVector") if time >= 0]
    time = next((time for time in numbers_of(data_set, "FrameTime")[:1] if time > 0), None)
    if time is None and len(vector) > 1:
        return [_bounded(vector[min(number, len(vector) - 1)]) for number in frame_numbers]
    rates = (numbers_of(data_set, keyword)[:1] for keyword in ("RecommendedDisplayFrameRate", "CineRate"))
    times = [1000 / rate[0] for rate in rates if rate and rate[0] > 0]
    return [_bounded(time or (*times, _DEFAULT_MS)[0])] * len(frame_numbers)


def animated_gif(pictures: Iterable[Image.Image], durations_ms: Iterable[int]) -> bytes:
    """The pictures, all of one size, in RGB or gray, one after another, in an endless loop.

    Each is compressed before the next is taken. An RGB picture gets the 256 colors that suit it best.
    """
    data = bytearray()
    for picture, duration in zip(pictures, durations_ms, strict=True):
        if not data:
            width, height = (side.to_bytes(2, "little") for side in picture.size)
            data += b"GIF89a" + width + height + b"\0\0\0" + _FOREVER
        colors = picture.convert("P") if picture.mode == "L" else picture.quantize(256)
        data += b"".join(getdata(colors, duration=duration, include_color_table=True))
    return bytes(data + _TRAILER)


def _bounded(time_ms: float) -> int:
    return 10 * round(min(max(time_ms, _LEAST_MS), _GREATEST_MS) / 10)

"""A frame decoded as the service decodes it, beside the codec alone: ``python -m benchmarks.codecs`` prints a table.

The frames are smooth images with noise, as modalities make them. Both decode in turn, so that other load on the machine
affects both alike, and the least time of each counts; then two threads decode side by side, as two requests do.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import imagecodecs
import numpy as np
from openjpeg.utils import decode_pixel_data as decode_jpeg_2000
from rle.utils import decode_pixel_data as decode_rle

from shared.imaging import codec_process
from shared.imaging.decoding import DecodedFrame
from shared.imaging.encoding import encode_frame
from shared.imaging.image_pixels import ImagePixels

_SIDES: Final = (64, 128, 256, 512, 1024, 2048)
_SYNTAXES: Final = {
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "RLE": "1.2.840.10008.1.2.5",
}
_LIMIT_BYTES: Final = 1 << 30
_BUFFER: Final = 2  # version of these functions: one that returns bytes
_SECONDS: Final = 3  # for a row
_FEWEST: Final = 5


def image(side: int, samples_per_pixel: int) -> DecodedFrame:
    """Gray of 12 bits, or RGB of 8."""
    random, (rows, columns) = np.random.default_rng(1), np.mgrid[:side, :side]
    smooth = 1000 + 800 * np.sin(columns / 37) * np.cos(rows / 53)
    if samples_per_pixel == 1:
        gray = (smooth + random.normal(0, 12, (side, side))).clip(0, 4095).astype("<u2")
        return DecodedFrame(gray, ImagePixels(side, side, 1, 16, 12, False, "MONOCHROME2"))
    noise = random.normal(0, 3, (side, side, 3))
    color = (smooth[..., np.newaxis] / 8 + 10 * np.arange(3) + noise).clip(0, 255).astype(np.uint8)
    return DecodedFrame(color, ImagePixels(side, side, 3, 8, 8, False, "RGB"))


def codec_alone(name: str, frame: bytes, pixels: ImagePixels) -> Callable[[], object]:
    """What decodes a frame with nothing around it."""
    if name == "JPEG-LS":
        return lambda: imagecodecs.jpegls_decode(frame)
    if name == "JPEG 2000":
        return lambda: decode_jpeg_2000(frame, version=_BUFFER)
    size: dict[str, Any] = {
        "rows": pixels.rows,
        "columns": pixels.columns,
        "bits_allocated": pixels.bits_allocated,
    }
    return lambda: decode_rle(frame, version=_BUFFER, **size)


def row(name: str, side: int, samples_per_pixel: int) -> str:
    """A row of the table."""
    decoded = image(side, samples_per_pixel)
    frame, uid, pixels = encode_frame(decoded, _SYNTAXES[name]), _SYNTAXES[name], decoded.pixels
    alone = codec_alone(name, frame, pixels)

    def ours() -> object:
        return codec_process.decode(frame, uid, pixels, max_frame_bytes=_LIMIT_BYTES)

    seconds: dict[Callable[[], object], list[float]] = {alone: [], ours: []}
    with ThreadPoolExecutor(2) as threads:
        for started in [threads.submit(ours) for _ in range(2)]:
            started.result()
        alone()
        give_up = time.monotonic() + _SECONDS
        while time.monotonic() < give_up or len(seconds[ours]) < _FEWEST:
            for decode, taken in seconds.items():
                taken.append(_seconds(decode))
        count = len(seconds[ours])
        both = _seconds(lambda: [one.result() for one in [threads.submit(ours) for _ in range(count)]])
    least = [min(taken) * 1000 for taken in (seconds[alone], seconds[ours])]
    side_by_side = both / sum(seconds[ours])
    color = ", color" if samples_per_pixel > 1 else ""
    ratio = least[1] / least[0]
    return f"| {name}, {side} x {side}{color} | {least[0]:.2f} | {least[1]:.2f} | {ratio:.2f} | {side_by_side:.2f} |"


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    print("| frame | codec alone, ms | ours, ms | ratio | two at once |\n| --- | --- | --- | --- | --- |")
    for name in _SYNTAXES:
        for samples_per_pixel in (1, 3):
            for side in _SIDES:
                print(row(name, side, samples_per_pixel), flush=True)


if __name__ == "__main__":
    main()

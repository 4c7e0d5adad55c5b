"""Encoders of frames, none of them the service's own, and samples to encode."""

import zlib
from functools import cache
from io import BytesIO
from typing import Any

import imagecodecs
import jpeg_ls as charls  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import RLELossless

Samples = NDArray[Any]

ROWS, COLUMNS = 34, 48
INTERLEAVINGS = ("planes", "lines", "samples")
SUBSAMPLINGS = {"444": 0, "422": 1, "420": 2}


@cache
def color_samples() -> Samples:
    """RGB of 8 bits: gradients that differ in each color and direction, so that a mistake of layout is seen."""
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS]
    red, green, blue = columns * 5, rows * 7, 255 - columns * 3 - rows * 2
    return np.stack([red, green, np.clip(blue, 0, 255)], axis=-1).astype(np.uint8)


def ybr_of(rgb: Samples) -> Samples:
    """YBR_FULL of RGB, both of 8 bits."""
    ybr: Samples = np.asarray(Image.fromarray(rgb, "RGB").convert("YCbCr"))
    return ybr


def rgb_of(ybr: Samples) -> Samples:
    """RGB of YBR_FULL, both of 8 bits."""
    rgb: Samples = np.asarray(Image.fromarray(np.ascontiguousarray(ybr), "YCbCr").convert("RGB"))
    return rgb


def gray_samples(bits: int, *, is_signed: bool, allocated: int) -> Samples:
    """A gradient over most values that there are."""
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS]
    values = (rows * COLUMNS + columns) * ((1 << bits) - 1) // (ROWS * COLUMNS)
    samples: Samples = (values - (1 << bits - 1) * is_signed).astype(f"<{'i' if is_signed else 'u'}{allocated // 8}")
    return samples


def planes(samples: Samples) -> bytes:
    """The samples of each color together (PS3.3 C.7.6.3.1.3)."""
    return in_planes(samples).tobytes()


def in_planes(samples: Samples) -> Samples:
    """The samples of each color together: (3, rows, columns)."""
    return np.ascontiguousarray(np.moveaxis(samples, -1, 0))


def deflate(data: bytes) -> bytes:
    """A deflated frame (PS3.5 A.4.13), without the head and the checksum of zlib."""
    encoder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return encoder.compress(data) + encoder.flush()


def rle(samples: Samples) -> bytes:
    """The segments of PS3.5 G, by pydicom's own encoder."""
    is_color = samples.ndim == 3
    return get_encoder(RLELossless).encode(
        samples,
        encoding_plugin="pydicom",
        rows=samples.shape[0],
        columns=samples.shape[1],
        samples_per_pixel=3 if is_color else 1,
        bits_allocated=8 * samples.itemsize,
        bits_stored=8 * samples.itemsize,
        pixel_representation=int(samples.dtype.kind == "i"),
        photometric_interpretation="RGB" if is_color else "MONOCHROME2",
        planar_configuration=0,
        number_of_frames=1,
    )


def jpeg_ls(samples: Samples, bits: int) -> bytes:
    """JPEG-LS of this precision of samples of one component, by CharLS."""
    return bytes(charls.encode_array(unsigned(samples, bits).astype(f"u{1 if bits <= 8 else 2}")))


def jpeg_ls_colors(samples: Samples, interleaving: str) -> bytes:
    """JPEG-LS of three components, which follow one another by planes, lines or samples, by CharLS."""
    mode = INTERLEAVINGS.index(interleaving)
    return bytes(charls.encode_array(samples if mode else in_planes(samples), interleave_mode=mode))


def jpeg_rgb(rgb: Samples, *, is_progressive: bool = False) -> bytes:
    """JPEG in RGB, with an Adobe marker that says so, and components called R, G and B."""
    data = BytesIO()
    Image.fromarray(rgb).save(data, "JPEG", quality=98, keep_rgb=True, progressive=is_progressive)
    return data.getvalue()


def jpeg_ybr(rgb: Samples, subsampling: str, *, is_progressive: bool = False) -> bytes:
    """JPEG in YCbCr, with a JFIF marker."""
    data = BytesIO()
    Image.fromarray(rgb).save(
        data, "JPEG", quality=98, subsampling=SUBSAMPLINGS[subsampling], progressive=is_progressive
    )
    return data.getvalue()


def adobe_ybr(rgb: Samples) -> bytes:
    """JPEG in YCbCr, with an Adobe marker alone."""
    marker = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01"
    frame = without_marker(jpeg_ybr(rgb, "444"), 0xE0)
    return frame[:2] + marker + frame[2:]


def without_marker(frame: bytes, marker: int) -> bytes:
    """A JPEG frame without its first segment of this marker."""
    start = frame.index(bytes((0xFF, marker)))
    return frame[:start] + frame[start + 2 + int.from_bytes(frame[start + 2 : start + 4]) :]


def jpeg_of(samples: Samples, bits: int, **options: Any) -> bytes:
    """JPEG by imagecodecs, of samples that have up to 16 bits."""
    if samples.ndim == 3:
        options = {"colorspace": "RGB", "outcolorspace": "RGB", **options}
    return bytes(imagecodecs.jpeg8_encode(unsigned(samples, bits), bitspersample=bits, **options))


def unsigned(samples: Samples, bits: int) -> Samples:
    """The bits of samples as unsigned numbers, which is how codecs without a sign see them."""
    return samples.view(f"u{samples.itemsize}") & ((1 << bits) - 1)

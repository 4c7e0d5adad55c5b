"""Other people's decoders of frames: each of another code base than the one that decodes here.

DCMTK has its own JPEG and RLE, ffmpeg its own JPEG 2000 and JPEG-LS. One that is not installed fails its tests.
"""

import subprocess
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pydicom import dcmread

from tests.support.frame_encoders import COLUMNS, ROWS, Samples
from tests.support.image_matrix import JPEG_2000, JPEG_LS, LOSSLESS_JPEG, LOSSY_JPEG, RLE, MatrixImage

_DCMDJPEG = ("dcmdjpeg", "+cn")  # which converts no colors
_TOOLS = dict.fromkeys((*LOSSY_JPEG, *LOSSLESS_JPEG), _DCMDJPEG) | {RLE: ("dcmdrle",)}
_DECODERS = dict.fromkeys(JPEG_LS, ("jpegls_pipe", "jpegls")) | dict.fromkeys(JPEG_2000, ("j2k_pipe", "jpeg2000"))


def is_read_elsewhere(image: MatrixImage) -> bool:
    """Whether such a decoder reads the frame: ffmpeg knows no JPEG-LS by samples, none knows RLE of single bits."""
    is_known = image.syntax in _TOOLS or image.syntax in _DECODERS
    return is_known and "by samples" not in image.name and image.described.bits_allocated > 1


def decoded_elsewhere(image: MatrixImage) -> Samples:
    """The samples of a frame as they are encoded, unsigned: (rows, columns) or (rows, columns, 3)."""
    return _by_dcmtk(image) if image.syntax in _TOOLS else _by_ffmpeg(image)


def _by_dcmtk(image: MatrixImage) -> Samples:
    if image.syntax == LOSSY_JPEG[0]:
        image = replace(image, syntax=LOSSY_JPEG[1])  # DCMTK reads no 12 bits as Baseline
    with TemporaryDirectory() as folder:
        encoded, decoded = Path(folder) / "encoded.dcm", Path(folder) / "decoded.dcm"
        encoded.write_bytes(image.part10())
        subprocess.run([*_TOOLS[image.syntax], encoded, decoded], check=True)  # noqa: S603
        native = dcmread(decoded)
    samples = np.frombuffer(native.PixelData, f"<u{native.BitsAllocated // 8}")
    if native.SamplesPerPixel == 1:
        return samples.reshape(ROWS, COLUMNS)
    if native.PlanarConfiguration:
        return np.moveaxis(samples.reshape(3, ROWS, COLUMNS), 0, -1)
    return samples.reshape(ROWS, COLUMNS, 3)


def _by_ffmpeg(image: MatrixImage) -> Samples:
    form, decoder = _DECODERS[image.syntax]
    is_color, is_wide = image.described.samples_per_pixel > 1, image.precision > 8
    layout = "rgb24" if is_color else "gray16le" if is_wide else "gray"
    options = ["-v", "error", "-c:v", decoder, "-f", form, "-i", "pipe:", "-f", "rawvideo", "-pix_fmt", layout, "pipe:"]
    raw = subprocess.run(["ffmpeg", *options], input=image.frame, check=True, capture_output=True).stdout  # noqa: S603, S607
    if is_color:
        return np.frombuffer(raw, np.uint8).reshape(ROWS, COLUMNS, 3)
    samples = np.frombuffer(raw, "<u2" if is_wide else np.uint8).reshape(ROWS, COLUMNS)
    if is_wide:
        samples = samples >> (16 - image.precision)
    # It adds half the range to samples of JPEG 2000, also where they are signed.
    is_shifted = image.described.is_signed and image.syntax in JPEG_2000
    return samples ^ (1 << image.precision - 1) if is_shifted else samples

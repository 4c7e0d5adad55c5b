"""Other people's decoders of frames: each of another code base than the one that decodes here.

DCMTK has its own JPEG and RLE, ffmpeg its own JPEG 2000 and JPEG-LS. One that is not installed fails its tests.
"""

import subprocess
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pydicom import dcmread

from tests.support.frame_encoders import Samples
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
        subprocess.run([*_TOOLS[image.syntax], encoded, decoded], check=True, capture_output=True)  # noqa: S603
        native = dcmread(decoded)
    rows, columns = native.Rows, native.Columns
    count = rows * columns * native.SamplesPerPixel
    samples = np.frombuffer(native.PixelData, f"<u{native.BitsAllocated // 8}", count)
    if native.SamplesPerPixel == 1:
        return samples.reshape(rows, columns)
    if native.PlanarConfiguration:
        return np.moveaxis(samples.reshape(3, rows, columns), 0, -1)
    return samples.reshape(rows, columns, 3)


def _by_ffmpeg(image: MatrixImage) -> Samples:
    form, decoder = _DECODERS[image.syntax]
    shape = image.described.rows, image.described.columns
    bits, is_signed = precision_of(image)
    is_color, is_wide = image.described.samples_per_pixel > 1, bits > 8
    layout = "rgb24" if is_color else "gray16le" if is_wide else "gray"
    options = ["-v", "error", "-c:v", decoder, "-f", form, "-i", "pipe:", "-f", "rawvideo", "-pix_fmt", layout, "pipe:"]
    raw = subprocess.run(["ffmpeg", *options], input=image.frame, check=True, capture_output=True).stdout  # noqa: S603, S607
    if is_color:
        return np.frombuffer(raw, np.uint8).reshape(*shape, 3)
    samples = np.frombuffer(raw, "<u2" if is_wide else np.uint8).reshape(shape)
    if is_wide:
        samples = samples >> (16 - bits)
    # It adds half the range to samples of JPEG 2000, also where they are signed.
    return samples ^ (1 << bits - 1) if is_signed else samples


def precision_of(image: MatrixImage) -> tuple[int, bool]:
    """How many bits a sample has in the codestream of JPEG-LS or JPEG 2000, and whether that says they are signed."""
    if image.syntax in JPEG_LS:
        return image.frame[image.frame.index(b"\xff\xf7") + 4], False
    depth = image.frame[image.frame.index(b"\xff\x4f\xff\x51") + 42]
    return (depth & 0x7F) + 1, depth > 0x7F

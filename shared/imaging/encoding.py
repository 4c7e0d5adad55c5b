"""Encodes a decoded frame without loss, in the transfer syntaxes that it can be requested in."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from threading import Lock
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import UID

from shared.dicom.transfer_syntaxes import TRANSFER_SYNTAXES, PixelCoding
from shared.errors import NotAcceptable
from shared.imaging.decoding import DecodedFrame
from shared.imaging.image_pixels import ImagePixels

# It logs every tile.
logging.getLogger("openjpeg").setLevel(logging.ERROR)

# OpenJPEG's binding keeps what it encodes where all threads see it; a second encoding at once ends the process.
_ONE_AT_A_TIME: Final = Lock()
_BITS_ALLOCATED: Final = (8, 16)  # PS3.5 Tables 8.2.2-1 to 8.2.4-1; JPEG 2000 allows more, its codec does not


@dataclass(frozen=True, slots=True)
class Encoding:
    """How frames are encoded.

    `plugin` names pydicom's codec. `min_side` is the least number of rows and of columns that it encodes.
    `is_of_precision`: what it writes says how many bits of a sample are used; there are at least `min_bits`,
    and never any of `unreadable_bits`, which some decoders get wrong.
    Encoding holds `held_times` the bytes of the samples and `held_bytes` for each of them, as measured.
    `is_of_signed`: it supports negative samples. `planar_configuration` is that of images of more than one
    sample a pixel (PS3.5 8.2.2 to 8.2.4, G.2).
    """

    plugin: str
    min_side: int = 1
    is_of_precision: bool = True
    min_bits: int = 1
    unreadable_bits: tuple[int, ...] = ()
    is_of_signed: bool = False
    planar_configuration: int = 0
    held_times: int = 6
    held_bytes: int = 0


_BY_CODING: Final = {
    PixelCoding.RLE: Encoding("pylibjpeg", is_of_precision=False, planar_configuration=1),
    PixelCoding.JPEG_LS: Encoding("pyjpegls", min_bits=2, unreadable_bits=(6, 7)),
    # OpenJPEG halves an image five times, whatever its size.
    PixelCoding.JPEG_2000: Encoding("pylibjpeg", min_side=32, is_of_signed=True, held_bytes=6),
}
ENCODINGS: Final[Mapping[str, Encoding]] = MappingProxyType(
    {
        row.uid: _BY_CODING[row.coding]
        for row in TRANSFER_SYNTAXES
        if row.encoding_preference and row.coding and row.coding is not PixelCoding.NATIVE
    }
)
"""The transfer syntaxes to encode in, by UID; a native one needs no codec."""


def pixels_encoded(pixels: ImagePixels, transfer_syntax_uid: str) -> ImagePixels:
    """The Image Pixel module of an image once it is encoded, given its module once it is decoded.

    Only Planar Configuration differs: samples keep their meaning, since no codec here may transform colors.
    Raises NotAcceptable, with the reason, where the image cannot be encoded so (PS3.5 8.2.2 to 8.2.4).
    """
    encoding = ENCODINGS.get(transfer_syntax_uid)
    name = UID(transfer_syntax_uid).name
    if encoding is None:
        raise NotAcceptable(f"Frames cannot be encoded in {name}.")
    if pixels.keyword != "PixelData":
        raise NotAcceptable(f"Images of floating point numbers cannot be encoded in {name}.")
    if pixels.bits_allocated not in _BITS_ALLOCATED:
        raise NotAcceptable(f"Images with Bits Allocated of {pixels.bits_allocated} cannot be encoded in {name}.")
    if pixels.samples_per_pixel not in (1, 3) or (pixels.samples_per_pixel > 1 and pixels.is_signed):
        raise NotAcceptable(f"Only images of one sample a pixel, or three unsigned ones, can be encoded in {name}.")
    if pixels.bits_stored in encoding.unreadable_bits:
        raise NotAcceptable(f"Images with Bits Stored of {pixels.bits_stored} cannot be encoded in {name} here.")
    if min(pixels.rows, pixels.columns) < encoding.min_side:
        raise NotAcceptable(
            f"Images of fewer than {encoding.min_side} rows or columns cannot be encoded in {name} here."
        )
    return replace(pixels, planar_configuration=encoding.planar_configuration if pixels.samples_per_pixel > 1 else 0)


def encoding_bytes(transfer_syntax_uid: str, pixels: ImagePixels) -> int:
    """About how many bytes `encode_frame` holds at most for a frame, that and its result included."""
    encoding = ENCODINGS.get(transfer_syntax_uid, Encoding(""))
    samples = pixels.rows * pixels.columns * pixels.samples_per_pixel
    return samples * (encoding.held_times * (pixels.bits_allocated // 8) + encoding.held_bytes)


def encode_frame(frame: DecodedFrame, transfer_syntax_uid: str) -> bytes:
    """The frame in a transfer syntax of ENCODINGS, of even length (PS3.5 A.4); decoding it returns the same samples.

    The codestream has Bits Stored, or Bits Allocated where samples exceed that.
    Raises NotAcceptable as `pixels_encoded` does, and where the codec fails, as it may for very few pixels.
    """
    pixels = pixels_encoded(frame.pixels, transfer_syntax_uid)
    encoding = ENCODINGS[transfer_syntax_uid]
    samples = frame.samples
    bits = pixels.bits_allocated
    if encoding.is_of_precision and _fits(samples, pixels):
        bits = max(pixels.bits_stored, encoding.min_bits)
    if not encoding.is_of_signed:
        samples = samples.view(f"<u{samples.itemsize}")
        if int(samples.max()) >> bits:
            samples = samples & ((1 << bits) - 1)
    try:
        with _ONE_AT_A_TIME:
            encoded = get_encoder(UID(transfer_syntax_uid)).encode(
                samples,
                encoding_plugin=encoding.plugin,
                rows=pixels.rows,
                columns=pixels.columns,
                samples_per_pixel=pixels.samples_per_pixel,
                bits_allocated=pixels.bits_allocated,
                bits_stored=bits,
                pixel_representation=int(samples.dtype.kind == "i"),
                # Any value that lets the codecs encode the samples as they are.
                photometric_interpretation="RGB" if pixels.samples_per_pixel > 1 else "MONOCHROME2",
                planar_configuration=0,
                number_of_frames=1,
            )
    except RuntimeError:
        # pyjpegls gives up where JPEG-LS is twice as long as the samples, as it may be where they are few.
        raise NotAcceptable(f"The frame cannot be encoded in {UID(transfer_syntax_uid).name}.") from None
    return bytes(encoded) + b"\0" * (len(encoded) % 2)


def _fits(samples: np.ndarray[Any, np.dtype[Any]], pixels: ImagePixels) -> bool:
    """Whether all samples are within Bits Stored."""
    if pixels.is_signed:
        limit = 1 << (pixels.bits_stored - 1)
        return bool(-limit <= samples.min() and samples.max() < limit)
    return bool(samples.max() < 1 << pixels.bits_stored)

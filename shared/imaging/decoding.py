"""Decodes one frame of an image, in any transfer syntax that pydicom's codecs read, to an array of its samples.

A frame is refused before a codec sees it if it would take more memory than is allowed, or does not have the size that
the data set says. Which codec reads what is fixed here, so that a frame looks the same wherever it is decoded.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from shared.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, TRANSFER_SYNTAXES, PixelCoding
from shared.errors import NotAcceptable
from shared.imaging import libjpeg
from shared.imaging.codestreams import (
    BASELINE,
    EXTENDED,
    JPEG_2000,
    JPEG_LS,
    LOSSLESS,
    CodestreamHeader,
    jpeg_2000_header,
    jpeg_header,
)
from shared.imaging.image_pixels import ImagePixels

# The client learns that a frame cannot be decoded; a traceback for each would only fill the log.
logging.getLogger("pydicom.pixels").setLevel(logging.CRITICAL)

_MAX_EXPANSION: Final = 4
_STORED_COPIES: Final = 3  # of an encapsulated frame: pydicom takes it out of fragments, codecs copy it
_MAX_HEADER_BYTES: Final = 64 * 1024
_TILE_BYTES: Final = 12 * 1024
_BLOCK_BYTES: Final = 600


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """The samples of a frame, and what they are now.

    `samples` has the shape (rows, columns), or (rows, columns, samples) where a pixel has more than one. Its type is
    an integer of Bits Allocated and of the sign that `pixels` says, uint8 of 0 and 1 for single bits, float32 or
    float64; little endian, C-contiguous; perhaps the bytes of the stored frame itself, which cannot be written to.
    `pixels` has Planar Configuration 0, and the Photometric Interpretation that the samples have been decoded to.
    """

    samples: np.ndarray[Any, np.dtype[Any]]
    pixels: ImagePixels


@dataclass(frozen=True, slots=True)
class Decoding:
    """How frames are decoded.

    `plugin` names pydicom's codec, "" where none is needed, `processes` the codestreams that it gets.
    `codec_bytes` is how much the codec holds for each sample, `converts_ybr` whether it turns YBR_FULL into RGB,
    `keeps_lock` whether it keeps the interpreter's lock while it works. As measured, decoding holds `held_times` the
    bytes of the samples and `held_bytes` for each of them, all in all.
    """

    read_header: Callable[[bytes], CodestreamHeader] | None = None
    processes: frozenset[int] = frozenset()
    plugin: str = ""
    codec_bytes: int = 1
    converts_ybr: bool = False
    keeps_lock: bool = False
    held_times: int = 1
    held_bytes: int = 0


for _uid in libjpeg.DECODER_DEPENDENCIES:
    get_decoder(_uid).add_plugin(libjpeg.PLUGIN, (libjpeg.__name__, libjpeg.decode_frame.__name__))
_JPEG: Final = Decoding(
    jpeg_header, frozenset({BASELINE, EXTENDED}), "pillow", codec_bytes=4, converts_ybr=True, held_bytes=10
)
_JPEG_EXTENDED_12_BITS: Final = replace(_JPEG, plugin=libjpeg.PLUGIN, converts_ybr=False)
_BY_CODING: Final = {
    PixelCoding.NATIVE: Decoding(),
    PixelCoding.ENCAPSULATED: Decoding(),
    PixelCoding.RLE: Decoding(plugin="pylibjpeg", keeps_lock=True, held_times=3),
    PixelCoding.JPEG: _JPEG,
    PixelCoding.JPEG_LOSSLESS: Decoding(
        jpeg_header, frozenset({LOSSLESS}), libjpeg.PLUGIN, codec_bytes=4, held_times=4
    ),
    # Not pyjpegls: one changed byte in a frame can keep it busy for twenty seconds.
    PixelCoding.JPEG_LS: Decoding(
        jpeg_header, frozenset({JPEG_LS}), "gdcm", codec_bytes=4, keeps_lock=True, held_times=6
    ),
    PixelCoding.JPEG_2000: Decoding(
        jpeg_2000_header,
        frozenset({JPEG_2000}),
        "pylibjpeg",
        codec_bytes=4,
        keeps_lock=True,
        held_times=0,
        held_bytes=9,
    ),
}
_CODINGS: Final = {row.uid: row.coding for row in TRANSFER_SYNTAXES if row.coding}
DECODINGS: Final[Mapping[str, Decoding]] = MappingProxyType(
    {uid: _BY_CODING[coding] for uid, coding in _CODINGS.items()}
)
"""The transfer syntaxes to decode, by UID."""


def decode_frame(
    frame: bytes, transfer_syntax_uid: str, pixels: ImagePixels, *, max_frame_bytes: int, vr: str = "OB"
) -> DecodedFrame:
    """The samples of `frame`, one frame as it is stored, which `pixels` describes.

    A native frame begins with its first pixel, at the lowest bit where pixels are single bits (PS3.5 8.1.1); its words
    are in big endian where the transfer syntax is; for pixels of 8 bits only where `vr`, the VR of the element
    that holds them, is OW. An encapsulated frame is its fragments joined (PS3.5 A.4).

    Lossy JPEG of YBR_FULL and YBR_FULL_422 becomes RGB, as does JPEG 2000 of YBR_ICT and YBR_RCT; native YBR_FULL_422
    becomes YBR_FULL (PS3.3 C.7.6.3.1.2). All other samples keep their meaning; bits beyond Bits Stored are set
    as the sign demands.

    Raises NotAcceptable where there is no codec, where it would use more than `max_frame_bytes` or fails, and where
    `frame` does not have the size that `pixels` says.
    """
    decoding = DECODINGS.get(transfer_syntax_uid)
    if decoding is None:
        raise NotAcceptable(f"Frames in {UID(transfer_syntax_uid).name} cannot be decoded.")
    if pixels.keyword == "PixelData" and pixels.bits_allocated == 64:
        raise NotAcceptable("Images of integers of 64 bits are not supported.")
    sample_count = pixels.rows * pixels.columns * pixels.samples_per_pixel
    codec_bytes = sample_count * max(decoding.codec_bytes, pixels.bits_allocated // 8)
    _check_bytes(codec_bytes, max_frame_bytes)
    if len(frame) > _MAX_EXPANSION * pixels.frame_bytes + _MAX_HEADER_BYTES:
        raise NotAcceptable("The frame is far longer than its pixels could be.")
    if decoding.read_header is not None:
        header = decoding.read_header(frame)
        _check_header(header, decoding, pixels)
        _check_bytes(codec_bytes + header.blocks * _BLOCK_BYTES + (header.tiles - 1) * _TILE_BYTES, max_frame_bytes)
        # What a JP2 file says beside its codestream, such as palettes, does not apply to DICOM images.
        frame = frame[header.offset :]
        if header.process == EXTENDED and header.bits_per_sample > 8:
            decoding = _JPEG_EXTENDED_12_BITS
    return _decoded(frame, decoding, transfer_syntax_uid, pixels, vr)


def decoding_bytes(stored_bytes: int, transfer_syntax_uid: str, pixels: ImagePixels) -> int:
    """About how many bytes `decode_frame` holds at most for a frame of `stored_bytes`, that and its result included."""
    decoding = DECODINGS.get(transfer_syntax_uid, Decoding())
    samples = pixels.rows * pixels.columns * pixels.samples_per_pixel
    sample_bytes = max(pixels.bits_allocated // 8, 1)
    copies = _STORED_COPIES if decoding.plugin else 1
    return copies * stored_bytes + samples * (decoding.held_times * sample_bytes + decoding.held_bytes)


def _check_bytes(codec_bytes: int, max_frame_bytes: int) -> None:
    if codec_bytes > max_frame_bytes:
        raise NotAcceptable(f"Decoding the frame would take {codec_bytes} bytes, over the limit of {max_frame_bytes}.")


def _check_header(header: CodestreamHeader, decoding: Decoding, pixels: ImagePixels) -> None:
    if header.process not in decoding.processes:
        raise NotAcceptable("The frame is not encoded as its transfer syntax says.")
    announced = (header.rows, header.columns, header.components)
    if announced != (pixels.rows, pixels.columns, pixels.samples_per_pixel):
        raise NotAcceptable("The frame does not have the Rows, Columns and Samples per Pixel that the data set says.")
    if header.bits_per_sample > pixels.bits_allocated:
        raise NotAcceptable("The frame has samples of more bits than Bits Allocated says.")


def _decoded(frame: bytes, decoding: Decoding, transfer_syntax_uid: str, pixels: ImagePixels, vr: str) -> DecodedFrame:
    if _CODINGS[transfer_syntax_uid] is PixelCoding.ENCAPSULATED:
        frame, transfer_syntax_uid = frame[: pixels.frame_bytes], EXPLICIT_VR_LITTLE_ENDIAN
    options: dict[str, Any] = {
        "rows": pixels.rows,
        "columns": pixels.columns,
        "samples_per_pixel": pixels.samples_per_pixel,
        "bits_allocated": pixels.bits_allocated,
        "bits_stored": pixels.bits_stored,
        "pixel_representation": int(pixels.is_signed),
        "photometric_interpretation": pixels.photometric_interpretation,
        "planar_configuration": pixels.planar_configuration,
        "pixel_keyword": pixels.keyword,
        "pixel_vr": vr,
        "number_of_frames": 1,
        "allow_excess_frames": False,
        "view_only": True,  # of a native frame, not another copy
    }
    try:
        samples, properties = get_decoder(UID(transfer_syntax_uid)).as_array(
            encapsulate([frame]) if decoding.plugin else frame,
            index=0,
            raw=not decoding.converts_ybr,
            decoding_plugin=decoding.plugin,
            **options,
        )
    except BaseException as error:
        # Codecs can fail in any way, with messages that hold what they found in the frame. One is made in Rust, whose
        # panics do not derive from Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        name = UID(transfer_syntax_uid).name
        raise NotAcceptable(
            f"The frame cannot be decoded from {name}: it is damaged, or not as the data set says."
        ) from None
    return DecodedFrame(
        samples=np.ascontiguousarray(samples, dtype=samples.dtype.newbyteorder("<")),
        pixels=replace(
            pixels,
            photometric_interpretation=str(properties["photometric_interpretation"]),
            planar_configuration=0,
        ),
    )

"""Decodes one frame of an image, in any transfer syntax that pydicom's codecs read, to an array of its samples.

A frame is refused before a codec sees it if it would take more memory than is allowed, or does not have the size that
the data set says. Which codec reads what is fixed here, so that a frame looks the same wherever it is decoded.
"""

import logging
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from shared.dicom.frame_layout import SHARED_CHROMA
from shared.dicom.transfer_syntaxes import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
    TRANSFER_SYNTAXES,
    PixelCoding,
)
from shared.errors import NotAcceptable
from shared.imaging.codestreams import (
    JPEG_2000,
    JPEG_LS,
    LOSSLESS,
    CodestreamHeader,
    jpeg_2000_header,
    jpeg_header,
)
from shared.imaging.color_spaces import RGB, YBR_FULL, in_full_range
from shared.imaging.image_pixels import ImagePixels
from shared.imaging.jpeg import LOSSY_PROCESSES, decode_jpeg, decode_jpeg_ls
from shared.imaging.run_lengths import decode_rle, decode_rle_bits

# The client learns that a frame cannot be decoded; a traceback for each would only fill the log.
logging.getLogger("pydicom.pixels").setLevel(logging.CRITICAL)

Samples = np.ndarray[Any, np.dtype[Any]]

_COLORS: Final = 3
_TRANSFORMED: Final = frozenset({"YBR_ICT", "YBR_RCT"})
_PARTIAL: Final = frozenset({"YBR_PARTIAL_422", "YBR_PARTIAL_420"})
_MAX_EXPANSION: Final = 4
_STORED_COPIES: Final = 3  # of an encapsulated frame: it is sent to a process, pydicom takes it out of fragments
_NATIVE_INSIDE: Final = (PixelCoding.DEFLATED, PixelCoding.ENCAPSULATED)
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
    `codestream_uid` is a transfer syntax that the frame was encoded in, in truth: one that may have lost something if
    that was.
    """

    samples: Samples
    pixels: ImagePixels
    codestream_uid: str = EXPLICIT_VR_LITTLE_ENDIAN


@dataclass(frozen=True, slots=True)
class Decoding:
    """How frames are decoded.

    `plugin` names pydicom's codec, "" where none is needed, `processes` the codestreams that it gets.
    `codec_bytes` is how much the codec holds for each sample. Frames of more than `isolated_over_bytes`, as stored or
    decoded, are decoded in a process that has nothing else to do; None where none are. As measured, decoding holds
    `held_times` the bytes of the samples and `held_bytes` for each of them, all in all.
    """

    read_header: Callable[[bytes], CodestreamHeader] | None = None
    processes: frozenset[int] = frozenset()
    plugin: str = ""
    codec_bytes: int = 1
    isolated_over_bytes: int | None = None
    held_times: int = 1
    held_bytes: int = 0


# Devices write JPEG of one process under the transfer syntax of another: its header says which it is.
_JPEG: Final = Decoding(jpeg_header, LOSSY_PROCESSES | {LOSSLESS}, codec_bytes=4, held_times=4, held_bytes=4)
_BY_CODING: Final = {
    PixelCoding.NATIVE: Decoding(),
    PixelCoding.ENCAPSULATED: Decoding(),
    PixelCoding.DEFLATED: Decoding(held_times=2),
    # In Rust, damage is an error. For so many bytes it keeps the interpreter's lock for 6 ms, or for 13 if made for it.
    PixelCoding.RLE: Decoding(isolated_over_bytes=8 * 1024**2, held_times=3),
    PixelCoding.JPEG: _JPEG,
    PixelCoding.JPEG_LOSSLESS: _JPEG,
    PixelCoding.JPEG_LS: Decoding(
        jpeg_header, frozenset({JPEG_LS}), codec_bytes=4, isolated_over_bytes=0, held_times=4
    ),
    PixelCoding.JPEG_2000: Decoding(
        jpeg_2000_header,
        frozenset({JPEG_2000}),
        "pylibjpeg",
        codec_bytes=4,
        isolated_over_bytes=0,
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
    frame: bytes,
    transfer_syntax_uid: str,
    pixels: ImagePixels,
    *,
    max_frame_bytes: int,
    vr: str = "OB",
    keeps_ybr: bool = False,
) -> DecodedFrame:
    """The samples of `frame`, one frame as it is stored, which `pixels` describes.

    A native frame begins with its first pixel, at the lowest bit where pixels are single bits (PS3.5 8.1.1); its words
    are in big endian where the transfer syntax is, in words of 16 bits where `vr`, the VR of the element that holds
    them, is OW (PS3.5 6.2). An encapsulated frame is its fragments joined (PS3.5 A.4).

    What a codestream says of its process, its colors and their order counts, not what `pixels` says (PS3.5 8.2). Lossy
    JPEG in YCbCr becomes RGB unless it `keeps_ybr`, as does JPEG 2000 of YBR_ICT and YBR_RCT; YBR_FULL_422 and
    YBR_PARTIAL_422, whose pixels share chroma only in native form, become YBR_FULL (PS3.3 C.7.6.3.1.2). All other
    samples keep their meaning; bits beyond Bits Stored are set as the sign demands.

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
    header = decoding.read_header(frame) if decoding.read_header else None
    if header is not None:
        _check_header(header, decoding, pixels)
        _check_bytes(codec_bytes + header.blocks * _BLOCK_BYTES + (header.tiles - 1) * _TILE_BYTES, max_frame_bytes)
        # What a JP2 file says beside its codestream, such as palettes, does not apply to DICOM images.
        frame = frame[header.offset :]
    interpretation = _interpretation(pixels, header)
    is_lossy_jpeg = header is not None and header.process in LOSSY_PROCESSES
    to_rgb = is_lossy_jpeg and interpretation == YBR_FULL and not keeps_ybr
    try:
        if header is not None and decoding is _JPEG:
            samples = _fitted(decode_jpeg(frame, header, to_rgb=to_rgb), pixels, is_lossy=is_lossy_jpeg)
        elif header is not None and header.process == JPEG_LS:
            # It does not know of signs: the first of a sample's bits is one.
            samples = _fitted(decode_jpeg_ls(frame), replace(pixels, bits_stored=header.bits_per_sample))
        elif _CODINGS[transfer_syntax_uid] is PixelCoding.RLE:
            samples = _run_lengths(frame, pixels)
        else:
            samples = _decoded(frame, decoding, transfer_syntax_uid, pixels, vr)
    except BaseException as error:
        # Codecs can fail in any way, with messages that hold what they found in the frame. One is made in Rust, whose
        # panics do not derive from Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        name = UID(transfer_syntax_uid).name
        raise NotAcceptable(
            f"The frame cannot be decoded from {name}: it is damaged, or not as the data set says."
        ) from None
    if interpretation == YBR_FULL and pixels.photometric_interpretation in _PARTIAL and not is_lossy_jpeg:
        samples = in_full_range(samples)
    return DecodedFrame(
        samples=np.ascontiguousarray(samples, dtype=samples.dtype.newbyteorder("<")),
        pixels=replace(pixels, photometric_interpretation=RGB if to_rgb else interpretation, planar_configuration=0),
        codestream_uid=JPEG_BASELINE if is_lossy_jpeg else transfer_syntax_uid,
    )


def decoding_bytes(stored_bytes: int, transfer_syntax_uid: str, pixels: ImagePixels) -> int:
    """About how many bytes `decode_frame` holds at most for a frame of `stored_bytes`, that and its result included."""
    decoding = DECODINGS.get(transfer_syntax_uid, Decoding())
    samples = pixels.rows * pixels.columns * pixels.samples_per_pixel
    sample_bytes = max(pixels.bits_allocated // 8, 1)
    copies = _STORED_COPIES if decoding.isolated_over_bytes is not None else 1
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


def _interpretation(pixels: ImagePixels, header: CodestreamHeader | None) -> str:
    """The Photometric Interpretation of the samples once decoded, before any is converted."""
    described = pixels.photometric_interpretation
    if pixels.samples_per_pixel != _COLORS:
        return described
    if header is not None and header.process in LOSSY_PROCESSES:
        return header.colors or (RGB if described == RGB else YBR_FULL)
    if header is not None and header.process == JPEG_2000 and (header.colors or described in _TRANSFORMED):
        return RGB
    return YBR_FULL if described in SHARED_CHROMA or described in _PARTIAL else described


def _fitted(samples: Samples, pixels: ImagePixels, *, is_lossy: bool = False) -> Samples:
    """Unsigned samples of any size as Bits Allocated and Pixel Representation say, without bits beyond Bits Stored.

    A lossy process may return a little more than the greatest value: that is cut, not begun anew at 0. `samples` are
    written to.
    """
    samples = samples.astype(f"u{pixels.bits_allocated // 8}", copy=False)
    unused = pixels.bits_allocated - pixels.bits_stored
    if is_lossy and unused and not pixels.is_signed:
        return samples.clip(max=(1 << pixels.bits_stored) - 1, out=samples)
    if pixels.is_signed:
        samples = samples.view(f"i{samples.itemsize}")
    if unused:
        np.left_shift(samples, unused, out=samples)
        np.right_shift(samples, unused, out=samples)
    return samples


def _run_lengths(frame: bytes, pixels: ImagePixels) -> Samples:
    if pixels.bits_allocated == 1:
        return decode_rle_bits(frame, pixels.rows, pixels.columns)
    size = pixels.rows, pixels.columns, pixels.samples_per_pixel
    return _fitted(decode_rle(frame, *size, pixels.bits_allocated), pixels)


def _decoded(frame: bytes, decoding: Decoding, transfer_syntax_uid: str, pixels: ImagePixels, vr: str) -> Samples:
    coding = _CODINGS[transfer_syntax_uid]
    if coding is PixelCoding.DEFLATED:
        frame = zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(frame, pixels.frame_bytes)
    if coding is PixelCoding.ENCAPSULATED:
        frame = frame[: pixels.frame_bytes]
    if coding in _NATIVE_INSIDE:
        transfer_syntax_uid = EXPLICIT_VR_LITTLE_ENDIAN
    source: bytes | bytearray = encapsulate([frame]) if decoding.plugin else frame
    if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN and vr == "OW" and pixels.bits_allocated > 16:
        source = bytearray(frame)  # pydicom takes words to be as long as pixels
        np.frombuffer(source, np.uint16).byteswap(inplace=True)
        transfer_syntax_uid = EXPLICIT_VR_LITTLE_ENDIAN
    is_native = coding is PixelCoding.NATIVE or coding in _NATIVE_INSIDE
    interpretation = pixels.photometric_interpretation
    options: dict[str, Any] = {
        "rows": pixels.rows,
        "columns": pixels.columns,
        "samples_per_pixel": pixels.samples_per_pixel,
        "bits_allocated": pixels.bits_allocated,
        "bits_stored": pixels.bits_stored,
        "pixel_representation": int(pixels.is_signed),
        # Both have the same layout, of which pydicom knows one.
        "photometric_interpretation": "YBR_FULL_422" if interpretation in SHARED_CHROMA else interpretation,
        "planar_configuration": pixels.planar_configuration if is_native else 0,
        "pixel_keyword": pixels.keyword,
        "pixel_vr": vr,
        "number_of_frames": 1,
        "allow_excess_frames": False,
        "view_only": True,  # of a native frame, not another copy
    }
    samples: Samples = get_decoder(UID(transfer_syntax_uid)).as_array(
        source,
        index=0,
        raw=True,
        decoding_plugin=decoding.plugin,
        **options,
    )[0]
    return samples

"""Images in every transfer syntax, photometric interpretation, planar configuration, number of bits and sign.

Each is encoded here from samples that are known, so what it shows is known too: exactly, or for a lossy process nearly.
"""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from shared.imaging.image_pixels import ImagePixels
from tests.support import served_instances
from tests.support.frame_encoders import (
    COLUMNS,
    INTERLEAVINGS,
    ROWS,
    Samples,
    adobe_ybr,
    color_samples,
    deflate,
    gray_samples,
    jpeg_ls,
    jpeg_ls_colors,
    jpeg_of,
    jpeg_rgb,
    jpeg_ybr,
    planes,
    rgb_of,
    rle,
    unsigned,
    without_marker,
    ybr_of,
)

FAMILY = "1.2.840.10008.1.2"
LITTLE_ENDIAN, BIG_ENDIAN, DEFLATED_FRAMES = f"{FAMILY}.1", f"{FAMILY}.2", f"{FAMILY}.8.1"
ENCAPSULATED = f"{FAMILY}.1.98"
RLE = f"{FAMILY}.5"
LOSSY_JPEG = tuple(f"{FAMILY}.4.{number}" for number in (50, 51, 53, 55))
LOSSLESS_JPEG = tuple(f"{FAMILY}.4.{number}" for number in (57, 70))
JPEG_LS = tuple(f"{FAMILY}.4.{number}" for number in (80, 81))
JPEG_2000 = tuple(f"{FAMILY}.4.{number}" for number in (90, 91))
HTJ2K = tuple(f"{FAMILY}.4.{number}" for number in (201, 202, 203))

RGB = ImagePixels(ROWS, COLUMNS, 3, 8, 8, False, "RGB")
GRAY = ImagePixels(ROWS, COLUMNS, 1, 8, 8, False, "MONOCHROME2")


@dataclass(frozen=True, slots=True)
class MatrixImage:
    """An image of one frame.

    `described` is what its data set says, `frame` the frame as encoded. `shown` has its samples, in RGB where it has
    color, each within `tolerance` of what a right decoder returns. `vr` is that of native Pixel Data; `bits`, how many
    a sample has in the codestream, if not Bits Stored.
    """

    name: str
    syntax: str
    described: ImagePixels
    frame: bytes = field(repr=False)
    shown: Samples = field(repr=False)
    tolerance: int = 0
    vr: str = "OB"
    bits: int = 0

    @property
    def precision(self) -> int:
        """How many bits a sample has in the codestream."""
        return self.bits or self.described.bits_stored

    def part10(self, **attributes: Any) -> bytes:
        """The Part 10 file, with new UIDs."""
        image = served_instances.dataset(PixelData=None)
        image.update(self.data_set(**attributes))
        if self.syntax != DEFLATED_FRAMES:
            return served_instances.part10_in(self.syntax, image)
        # pydicom does not know it.
        file = served_instances.part10_in(JPEG_2000[0], image)
        return file.replace(JPEG_2000[0].encode(), DEFLATED_FRAMES.encode() + b"\0", 1)

    def data_set(self, **attributes: Any) -> Dataset:
        """The data set, without identifiers."""
        described = self.described
        is_native = self.syntax in (LITTLE_ENDIAN, BIG_ENDIAN)
        image = Dataset()
        image.SamplesPerPixel = described.samples_per_pixel
        image.PhotometricInterpretation = described.photometric_interpretation
        if described.samples_per_pixel > 1:
            image.PlanarConfiguration = described.planar_configuration
        image.Rows, image.Columns = described.rows, described.columns
        image.BitsAllocated, image.BitsStored = described.bits_allocated, described.bits_stored
        image.HighBit, image.PixelRepresentation = described.bits_stored - 1, int(described.is_signed)
        frame = self.frame + b"\0" * (len(self.frame) % 2)
        image.add_new("PixelData", self.vr if is_native else "OB", frame if is_native else encapsulate([frame]))
        for keyword, value in attributes.items():
            setattr(image, keyword, value)
        return image


@cache
def spectral_selection() -> tuple[bytes, Samples]:
    """JPEG by spectral selection of a gray image, which DCMTK writes, and what DCMTK makes of it."""
    with TemporaryDirectory() as folder:
        source, encoded, decoded = (Path(folder) / name for name in ("source.dcm", "encoded.dcm", "decoded.dcm"))
        samples = gray_samples(12, is_signed=False, allocated=16)
        described = replace(GRAY, bits_allocated=16, bits_stored=12)
        native = MatrixImage("", LITTLE_ENDIAN, described, samples.tobytes(), samples, vr="OW")
        source.write_bytes(native.part10())
        subprocess.run(["dcmcjpeg", "+es", source, encoded], check=True)  # noqa: S603, S607
        subprocess.run(["dcmdjpeg", encoded, decoded], check=True)  # noqa: S603, S607
        frame = next(generate_frames(dcmread(encoded).PixelData, number_of_frames=1))
        return frame, np.frombuffer(dcmread(decoded).PixelData, "<u2").reshape(ROWS, COLUMNS)


def color_images() -> Iterator[MatrixImage]:
    """Images of color, each with both values of Planar Configuration where a codestream overrides it or not."""
    for image in (*_native_colors(), *_jpeg_colors(), *_lossless_colors(), *_jpeg_2000_colors()):
        yield image
        is_laid_out = image.syntax in (LITTLE_ENDIAN, BIG_ENDIAN, DEFLATED_FRAMES, ENCAPSULATED)
        if not is_laid_out:
            # What the attribute says is irrelevant here (PS3.5 8.2.1 to 8.2.4, G.2).
            described = replace(image.described, planar_configuration=1)
            yield replace(image, name=f"{image.name}, said to be planes", described=described)


def _native_colors() -> Iterator[MatrixImage]:
    rgb = color_samples()
    ybr = ybr_of(rgb)
    for interpretation, samples, tolerance in (("RGB", rgb, 0), ("YBR_FULL", ybr, 1)):
        shown = rgb if interpretation == "RGB" else rgb_of(ybr)
        for planar_configuration, data in enumerate((samples.tobytes(), planes(samples))):
            described = replace(
                RGB, photometric_interpretation=interpretation, planar_configuration=planar_configuration
            )
            name = f"{interpretation} {'planes' if planar_configuration else ''}"
            yield MatrixImage(f"native {name}", LITTLE_ENDIAN, described, data, shown, tolerance)
            yield MatrixImage(f"big endian {name}", BIG_ENDIAN, described, data, shown, tolerance)
            swapped = np.frombuffer(data, "<u2").byteswap().tobytes()
            yield MatrixImage(f"big endian words {name}", BIG_ENDIAN, described, swapped, shown, tolerance, "OW")
            yield MatrixImage(f"in a fragment {name}", ENCAPSULATED, described, data, shown, tolerance)
            deflated = deflate(data)
            yield MatrixImage(f"deflated frame {name}", DEFLATED_FRAMES, described, deflated, shown, tolerance)
    shared = ybr.copy()
    shared[:, 1::2, 1:] = shared[:, ::2, 1:]
    subsampled = np.stack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]], axis=-1)
    half = replace(RGB, photometric_interpretation="YBR_FULL_422")
    for syntax in (LITTLE_ENDIAN, BIG_ENDIAN):
        yield MatrixImage(f"two bytes {syntax}", syntax, half, subsampled.tobytes(), rgb_of(shared), 1)
        # Decompressed from JPEG, but still called what it was.
        yield MatrixImage(f"three bytes {syntax}", syntax, half, rgb.tobytes(), rgb)


def _jpeg_colors() -> Iterator[MatrixImage]:
    rgb = color_samples()
    app0, app14 = 0xE0, 0xEE
    frames = {
        # by libjpeg: with an Adobe marker that says RGB; the ids R, G, B alone; and ids that say nothing
        "RGB adobe": (jpeg_rgb(rgb), "RGB", 3),
        "RGB ids": (without_marker(jpeg_rgb(rgb), app14), "RGB", 3),
        "RGB called YBR": (jpeg_rgb(rgb), "YBR_FULL_422", 3),
        "RGB ids called YBR": (without_marker(jpeg_rgb(rgb), app14), "YBR_FULL", 3),
        "YBR_FULL": (jpeg_ybr(rgb, "444"), "YBR_FULL", 3),
        "YBR with an Adobe marker": (adobe_ybr(rgb), "YBR_FULL_422", 3),
        "YBR with an Adobe marker called RGB": (adobe_ybr(rgb), "RGB", 3),
        "YBR without marker": (without_marker(jpeg_ybr(rgb, "444"), app0), "YBR_FULL", 3),
        "YBR of 444": (jpeg_ybr(rgb, "444"), "YBR_FULL_422", 3),
        "YBR of 422": (jpeg_ybr(rgb, "422"), "YBR_FULL_422", 8),
        "YBR of 420": (jpeg_ybr(rgb, "420"), "YBR_FULL_422", 16),
        "YBR called RGB": (jpeg_ybr(rgb, "444"), "RGB", 3),
        "YBR of 422 without marker called RGB": (without_marker(jpeg_ybr(rgb, "422"), app0), "RGB", 8),
        "progressive": (jpeg_ybr(rgb, "422", is_progressive=True), "YBR_FULL_422", 8),
        "progressive RGB": (jpeg_rgb(rgb, is_progressive=True), "RGB", 3),
    }
    for syntax in (*LOSSY_JPEG, *LOSSLESS_JPEG):
        for name, (frame, interpretation, tolerance) in frames.items():
            described = replace(RGB, photometric_interpretation=interpretation)
            yield MatrixImage(f"JPEG {syntax} {name}", syntax, described, frame, rgb, tolerance)


def _lossless_colors() -> Iterator[MatrixImage]:
    rgb = color_samples()
    ybr = ybr_of(rgb)
    encoders: dict[str, tuple[tuple[str, ...], Callable[[Samples], bytes]]] = {
        "RLE": ((RLE,), rle),
        **{f"JPEG-LS by {by}": (JPEG_LS, partial(jpeg_ls_colors, interleaving=by)) for by in INTERLEAVINGS},
        "lossless JPEG": (
            (*LOSSLESS_JPEG, LOSSY_JPEG[0]),
            lambda samples: jpeg_of(samples, 8, lossless=True, predictor=1),
        ),
    }
    for coding, (syntaxes, encode) in encoders.items():
        for syntax in syntaxes:
            for interpretation, samples in (("RGB", rgb), ("YBR_FULL", ybr), ("YBR_FULL_422", ybr)):
                described = replace(RGB, photometric_interpretation=interpretation)
                shown = rgb if samples is rgb else rgb_of(ybr)
                name = f"{coding} {syntax} {interpretation}"
                yield MatrixImage(name, syntax, described, encode(samples), shown, int(samples is ybr))


def _jpeg_2000_colors() -> Iterator[MatrixImage]:
    rgb = color_samples()
    ybr = ybr_of(rgb)
    reversible: dict[str, Any] = {"codecformat": "j2k", "reversible": True}
    irreversible: dict[str, Any] = {"codecformat": "j2k", "reversible": False, "level": 60}
    kinds = {
        "RGB": (rgb, "RGB", reversible, False),
        "YBR_RCT": (rgb, "YBR_RCT", reversible, True),
        "YBR_ICT": (rgb, "YBR_ICT", irreversible, True),
        "YBR_FULL": (ybr, "YBR_FULL", reversible, False),
        "YBR_FULL_422": (ybr, "YBR_FULL_422", reversible, False),
        "transformed RGB": (rgb, "RGB", reversible, True),
        "transformed YBR_FULL_422": (rgb, "YBR_FULL_422", reversible, True),
        "transformed YBR_FULL": (rgb, "YBR_FULL", reversible, True),
    }
    for name, (samples, interpretation, options, is_transformed) in kinds.items():
        described = replace(RGB, photometric_interpretation=interpretation)
        shown = rgb if samples is rgb else rgb_of(ybr)
        frame = bytes(imagecodecs.jpeg2k_encode(samples, mct=is_transformed, **options))
        is_converted_twice = samples is rgb and interpretation == "YBR_FULL"
        tolerance = 3 if options is irreversible or is_converted_twice else int(samples is ybr)
        for syntax in JPEG_2000:
            yield MatrixImage(f"JPEG 2000 {syntax} {name}", syntax, described, frame, shown, tolerance)
        if options is reversible:
            high_throughput = bytes(imagecodecs.htj2k_encode(samples, rgb=is_transformed, reversible=True))
            for syntax in HTJ2K:
                yield MatrixImage(f"HTJ2K {syntax} {name}", syntax, described, high_throughput, shown, tolerance)


def gray_images() -> Iterator[MatrixImage]:
    """Images of one sample a pixel, of 1 to 16 bits, with and without a sign, and more bits allocated than needed."""
    for allocated, stored, is_signed in (
        (8, 8, False),
        (8, 8, True),
        (16, 8, False),
        (16, 10, False),
        (16, 12, False),
        (16, 12, True),
        (16, 16, False),
        (16, 16, True),
    ):
        samples = gray_samples(stored, is_signed=is_signed, allocated=allocated)
        for interpretation in ("MONOCHROME1", "MONOCHROME2"):
            described = replace(
                GRAY,
                bits_allocated=allocated,
                bits_stored=stored,
                is_signed=is_signed,
                photometric_interpretation=interpretation,
            )
            yield from _gray(f"{interpretation} {stored} of {allocated}", described, samples)
    yield from _of_other_precision()
    yield from _single_bits()


def _gray(name: str, described: ImagePixels, samples: Samples) -> Iterator[MatrixImage]:
    name = f"{name} {'signed' if described.is_signed else ''}"
    bits = described.bits_stored
    vr = "OW" if samples.itemsize > 1 else "OB"
    codes = unsigned(samples, bits)
    small = codes.astype(np.uint8) if bits <= 8 else codes
    frames: dict[tuple[str, ...], tuple[bytes, int]] = {
        (LITTLE_ENDIAN,): (samples.tobytes(), 0),
        (BIG_ENDIAN,): (samples.byteswap().tobytes(), 0),
        (ENCAPSULATED,): (samples.tobytes(), 0),
        (DEFLATED_FRAMES,): (deflate(samples.tobytes()), 0),
        (RLE,): (rle(samples), 0),
        JPEG_LS: (jpeg_ls(samples, bits), 0),
        LOSSLESS_JPEG: (jpeg_of(small, bits, lossless=True, predictor=1), 0),
    }
    signed = samples if bits > 8 else samples.astype(np.int8 if described.is_signed else np.uint8)
    frames[JPEG_2000] = (
        bytes(imagecodecs.jpeg2k_encode(signed, codecformat="j2k", reversible=True, bitspersample=bits)),
        0,
    )
    if bits in (8, 16):
        frames[HTJ2K] = (bytes(imagecodecs.htj2k_encode(signed, reversible=True)), 0)
    if not described.is_signed and bits in (8, 12):
        frames[(*LOSSY_JPEG, *LOSSLESS_JPEG)] = (jpeg_of(small, bits, level=98), 24 if bits == 12 else 3)
    for syntaxes, (frame, tolerance) in frames.items():
        for syntax in syntaxes:
            kind = "lossy" if tolerance else ""
            yield MatrixImage(f"{syntax} {name} {kind}", syntax, described, frame, samples, tolerance, vr)


def _of_other_precision() -> Iterator[MatrixImage]:
    """Codestreams of fewer bits than Bits Stored."""
    described = replace(GRAY, bits_allocated=16, bits_stored=16)
    for bits in (8, 12):
        samples = gray_samples(bits, is_signed=False, allocated=16)
        small = samples.astype(np.uint8) if bits == 8 else samples
        lossless = {
            JPEG_LS: jpeg_ls(small, bits),
            LOSSLESS_JPEG: jpeg_of(small, bits, lossless=True, predictor=1),
            JPEG_2000: bytes(imagecodecs.jpeg2k_encode(small, codecformat="j2k", reversible=True, bitspersample=bits)),
        }
        for syntaxes, frame in lossless.items():
            for syntax in syntaxes:
                yield MatrixImage(f"{syntax} {bits} said to be 16", syntax, described, frame, samples, bits=bits)
        for syntax in LOSSY_JPEG:
            frame, tolerance = jpeg_of(small, bits, level=98), 24 if bits == 12 else 3
            name = f"{syntax} lossy {bits} said to be 16"
            yield MatrixImage(name, syntax, described, frame, samples, tolerance, bits=bits)
    frame, shown = spectral_selection()
    described = replace(GRAY, bits_allocated=16, bits_stored=12)
    yield MatrixImage("spectral selection", LOSSY_JPEG[2], described, frame, shown, 2)


def _single_bits() -> Iterator[MatrixImage]:
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS]
    samples = ((rows // 3 + columns // 5) % 2).astype(np.uint8)
    packed = np.packbits(samples, axis=None, bitorder="little")
    described = replace(GRAY, bits_allocated=1, bits_stored=1)
    yield MatrixImage("single bits native", LITTLE_ENDIAN, described, packed.tobytes(), samples)
    yield MatrixImage("single bits deflated", DEFLATED_FRAMES, described, deflate(packed.tobytes()), samples)
    yield MatrixImage("single bits RLE", RLE, described, rle(packed.reshape(1, -1)), samples)
    yield MatrixImage("single bits RLE, a byte each", RLE, described, rle(samples), samples)

"""What is encoded decodes to the same samples, by the codecs here and by others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import UID, HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless, RLELossless

from shared.dicom.transfer_syntaxes import ENCODABLE, NATIVE
from shared.errors import NotAcceptable
from shared.imaging.decoding import DECODINGS, DecodedFrame, decode_frame
from shared.imaging.encoding import ENCODINGS, encode_frame, pixels_encoded
from shared.imaging.image_pixels import ImagePixels
from tests.support.bundled_files import bundled_frame, bundled_frames, decodable_paths

GRAY = ImagePixels(64, 48, 1, 16, 16, False, "MONOCHROME2")
# Codecs other than those that decode_frame uses.
OTHERS = {syntax: {*get_decoder(UID(syntax)).available_plugins} - {DECODINGS[syntax].plugin} for syntax in ENCODINGS}


def noise(pixels: ImagePixels, bits: int | None = None) -> DecodedFrame:
    """A frame whose samples take all values of `bits`, else of Bits Stored."""
    bits = bits or pixels.bits_stored
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if pixels.is_signed else (0, (1 << bits) - 1)
    shape = (pixels.rows, pixels.columns, pixels.samples_per_pixel)[: 2 + (pixels.samples_per_pixel > 1)]
    samples = np.random.default_rng(bits).integers(low, high, shape, endpoint=True)
    samples.flat[:2] = low, high
    return DecodedFrame(samples.astype(f"<{'ui'[pixels.is_signed]}{pixels.bits_allocated // 8}"), pixels)


def by_other_codecs(encoded: bytes, syntax: str, pixels: ImagePixels) -> list[np.ndarray[Any, np.dtype[Any]]]:
    options: dict[str, Any] = {
        "rows": pixels.rows,
        "columns": pixels.columns,
        "samples_per_pixel": pixels.samples_per_pixel,
        "bits_allocated": pixels.bits_allocated,
        "bits_stored": pixels.bits_stored,
        "pixel_representation": int(pixels.is_signed),
        "photometric_interpretation": pixels.photometric_interpretation,
        "planar_configuration": pixels.planar_configuration,
        "number_of_frames": 1,
    }
    is_deep_color = pixels.samples_per_pixel > 1 and pixels.bits_allocated > 8
    return [
        get_decoder(UID(syntax)).as_array(encapsulate([encoded]), index=0, raw=True, decoding_plugin=plugin, **options)[
            0
        ]
        for plugin in OTHERS[syntax]
        if not (plugin == "pillow" and is_deep_color)
    ]


def assert_comes_back(frame: DecodedFrame, syntax: str) -> None:
    pixels = pixels_encoded(frame.pixels, syntax)
    encoded = encode_frame(frame, syntax)
    again = decode_frame(encoded, syntax, pixels, max_frame_bytes=1 << 26)
    np.testing.assert_array_equal(again.samples, frame.samples)
    assert again.samples.dtype == frame.samples.dtype
    assert again.pixels == frame.pixels
    assert len(encoded) % 2 == 0
    for samples in by_other_codecs(encoded, syntax, pixels):
        np.testing.assert_array_equal(samples, frame.samples)


def test_the_transfer_syntaxes_called_encodable_are_those_with_a_codec() -> None:
    assert {*ENCODINGS} == {*ENCODABLE} - NATIVE
    assert all(encoding.plugin in get_encoder(UID(syntax)).available_plugins for syntax, encoding in ENCODINGS.items())
    assert all(OTHERS.values()), "Another codec has to decode what each encoder makes: install one that pydicom knows."


@pytest.mark.parametrize("syntax", ENCODINGS)
@pytest.mark.parametrize("path", decodable_paths(), ids=lambda path: path.name)
def test_every_frame_of_every_bundled_file_comes_back_if_it_can_be_encoded(path: Path, syntax: str) -> None:
    for bundled in bundled_frames(path):
        pixels = replace(
            bundled.pixels,
            photometric_interpretation=bundled.expected_photometric_interpretation,
            planar_configuration=0,
        )
        samples = np.ascontiguousarray(bundled.expected, bundled.expected.dtype.newbyteorder("<"))
        frame = DecodedFrame(samples, pixels)
        try:
            pixels_encoded(pixels, syntax)
            encode_frame(frame, syntax)
        except NotAcceptable:
            assert pixels.bits_allocated in (1, 32) or min(pixels.rows, pixels.columns) < 32
            return
        assert_comes_back(frame, syntax)


@pytest.mark.parametrize("syntax", ENCODINGS)
@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize(
    ("bits_allocated", "bits_stored"), [(8, 1), (8, 2), (8, 5), (8, 8), (16, 8), (16, 9), (16, 12), (16, 15), (16, 16)]
)
def test_samples_of_any_precision_come_back(
    bits_allocated: int, bits_stored: int, is_signed: bool, syntax: str
) -> None:
    assert_comes_back(
        noise(replace(GRAY, bits_allocated=bits_allocated, bits_stored=bits_stored, is_signed=is_signed)), syntax
    )


@pytest.mark.parametrize("syntax", ENCODINGS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric_interpretation", ["RGB", "YBR_FULL"])
def test_colors_come_back_as_they_are(photometric_interpretation: str, bits: int, syntax: str) -> None:
    pixels = replace(
        GRAY,
        samples_per_pixel=3,
        bits_allocated=bits,
        bits_stored=bits,
        photometric_interpretation=photometric_interpretation,
    )
    assert_comes_back(noise(pixels), syntax)


@pytest.mark.parametrize("photometric_interpretation", ["PALETTE COLOR", "MONOCHROME1"])
@pytest.mark.parametrize("syntax", ENCODINGS)
def test_other_images_of_one_sample_come_back(syntax: str, photometric_interpretation: str) -> None:
    assert_comes_back(noise(replace(GRAY, photometric_interpretation=photometric_interpretation)), syntax)


@pytest.mark.parametrize("syntax", ENCODINGS)
@pytest.mark.parametrize("is_signed", [False, True])
def test_samples_beyond_bits_stored_come_back(is_signed: bool, syntax: str) -> None:
    pixels = replace(GRAY, bits_stored=12, is_signed=is_signed)
    frame = noise(pixels, bits=16)
    encoded = encode_frame(frame, syntax)
    # Bits beyond Bits Stored are not part of a sample, which RLE cannot say: decoding drops them.
    if syntax == RLELossless:
        pixels = replace(pixels, bits_stored=16)
    again = decode_frame(encoded, syntax, pixels, max_frame_bytes=1 << 26)
    np.testing.assert_array_equal(again.samples, frame.samples)


@pytest.mark.parametrize("syntax", ENCODINGS)
def test_frames_of_odd_length_are_padded(syntax: str) -> None:
    frames = [noise(replace(GRAY, rows=33, columns=33, bits_stored=bits)) for bits in range(8, 17)]
    assert {len(encode_frame(frame, syntax)) % 2 for frame in frames} == {0}


def test_the_codestream_has_bits_stored() -> None:
    bundled = bundled_frame("examples_overlay.dcm")
    assert bundled.pixels.bits_stored == 12
    frame = DecodedFrame(bundled.expected, bundled.pixels)
    encoded = encode_frame(frame, JPEG2000Lossless)
    assert encoded[42] + 1 == 12
    encoded = encode_frame(frame, JPEGLSLossless)
    assert encoded[encoded.index(b"\xff\xf7") + 4] == 12


@pytest.mark.parametrize(("syntax", "planar_configuration"), [(RLELossless, 1), (JPEGLSLossless, 0)])
def test_planar_configuration_is_that_of_the_transfer_syntax(syntax: str, planar_configuration: int) -> None:
    color = replace(GRAY, samples_per_pixel=3, photometric_interpretation="RGB")
    assert pixels_encoded(color, syntax) == replace(color, planar_configuration=planar_configuration)
    assert pixels_encoded(GRAY, syntax) == GRAY


@pytest.mark.parametrize("syntax", ENCODINGS)
@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        pytest.param(replace(GRAY, bits_allocated=1, bits_stored=1), "Bits Allocated of 1", id="single bits"),
        pytest.param(replace(GRAY, bits_allocated=32, bits_stored=32), "Bits Allocated of 32", id="32 bits"),
        pytest.param(replace(GRAY, bits_allocated=32, keyword="FloatPixelData"), "floating point", id="floats"),
        pytest.param(replace(GRAY, samples_per_pixel=4), "one sample a pixel", id="four samples"),
        pytest.param(replace(GRAY, samples_per_pixel=3, is_signed=True), "three unsigned", id="signed color"),
    ],
)
def test_images_that_cannot_be_encoded_are_refused(pixels: ImagePixels, reason: str, syntax: str) -> None:
    with pytest.raises(NotAcceptable, match=reason):
        pixels_encoded(pixels, syntax)


@pytest.mark.parametrize(
    ("pixels", "syntax", "reason"),
    [
        pytest.param(replace(GRAY, columns=31), JPEG2000Lossless, "fewer than 32", id="narrow JPEG 2000"),
        pytest.param(replace(GRAY, rows=31), JPEG2000Lossless, "fewer than 32", id="low JPEG 2000"),
        pytest.param(replace(GRAY, bits_stored=7), JPEGLSLossless, "Bits Stored of 7", id="7 bits of JPEG-LS"),
        pytest.param(GRAY, HTJ2KLossless, "cannot be encoded in High-Throughput", id="no encoder"),
    ],
)
def test_images_that_a_codec_does_not_encode_are_refused(pixels: ImagePixels, syntax: str, reason: str) -> None:
    with pytest.raises(NotAcceptable, match=reason):
        encode_frame(noise(pixels), syntax)


def test_a_codec_that_gives_up_becomes_a_refusal() -> None:
    with pytest.raises(NotAcceptable, match="cannot be encoded in JPEG-LS"):
        encode_frame(noise(replace(GRAY, rows=1, columns=1)), JPEGLSLossless)

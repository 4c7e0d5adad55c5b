"""Stored frames decode to what pydicom makes of them."""

import random
import tracemalloc
from base64 import b64decode
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from struct import pack
from time import process_time

import numpy as np
import pytest
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, RLELossless

from shared.dicom.transfer_syntaxes import DECODABLE
from shared.errors import NotAcceptable
from shared.imaging.decoding import DECODINGS, DecodedFrame, decode_frame
from shared.imaging.image_pixels import ImagePixels
from tests.support.bundled_files import bundled_frame, bundled_frames, decodable_paths, stored_frame
from tests.support.frame_encoders import COLUMNS, ROWS, color_samples, deflate, jpeg_ybr, rle

NATIVE = str(ExplicitVRLittleEndian)
BIG_ENDIAN = str(ExplicitVRBigEndian)
FAMILY = "1.2.840.10008.1.2."
BY_LIBJPEG = ("4.51", "4.57", "4.70")
GRAY_8 = ImagePixels(2, 3, 1, 8, 8, False, "MONOCHROME2")
RGB_8 = replace(GRAY_8, samples_per_pixel=3, photometric_interpretation="RGB")

# 8 x 8 samples of 16 bits, from -1900 in steps of 60, by OpenJPH 0.26.3.
HTJ2K = b64decode(
    "/0//UQApQAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAABjwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJCQ"
    "kJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAFoAAf+TwAAmN/0Ch3QAAADAABNAABMAIv4CB3QAGvEDh3QAwAATQAATgAwM"
    "AYJ0AG7ohgDDVADAACogABVgtm3bqnCCdQC++/bt+8BCAey2AP/Z"
)
HTJ2K_PIXELS = ImagePixels(8, 8, 1, 16, 16, True, "MONOCHROME2")

needs_imagecodecs = pytest.mark.skipif(find_spec("imagecodecs") is None, reason="imagecodecs is not installed")


def marks(transfer_syntax_uid: str) -> tuple[pytest.MarkDecorator, ...]:
    return (needs_imagecodecs,) if transfer_syntax_uid.removeprefix(FAMILY) in BY_LIBJPEG else ()


def decoded(
    frame: bytes, pixels: ImagePixels, syntax: str = NATIVE, max_frame_bytes: int = 1 << 26, vr: str = "OB"
) -> DecodedFrame:
    return decode_frame(frame, syntax, pixels, max_frame_bytes=max_frame_bytes, vr=vr)


NOISE = np.random.default_rng(1).integers(0, 2, (32, 40)).astype(np.uint8)
BITS_PIXELS = ImagePixels(32, 40, 1, 1, 1, False, "MONOCHROME2")
COLOR_PIXELS = ImagePixels(ROWS, COLUMNS, 3, 8, 8, False, "YBR_FULL_422")

# A small whole frame of each codec: RLE; JPEG; JPEG-LS; JPEG 2000, alone and in a JP2 file; HTJ2K; lossless JPEG.
SMALL: dict[str, tuple[bytes, str, ImagePixels]] = {
    name: stored_frame(name)
    for name in (
        "MR_small_RLE.dcm",
        "SC_rgb_rle_16bit.dcm",
        "SC_rgb_small_odd_jpeg.dcm",
        "SC_rgb_dcmtk_+eb+cy+s2.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "JPEGLSNearLossless_08.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "MR_small_jp2klossless.dcm",
        "SC_rgb_gdcm_KY.dcm",
        "GDCMJ2K_TextGBR.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "JPGExtended.dcm",
    )
} | {
    "HTJ2K": (HTJ2K, FAMILY + "4.201", HTJ2K_PIXELS),
    "progressive": (jpeg_ybr(color_samples(), "420", is_progressive=True), FAMILY + "4.55", COLOR_PIXELS),
    "deflated": (
        deflate(color_samples().tobytes()),
        FAMILY + "8.1",
        replace(COLOR_PIXELS, photometric_interpretation="RGB"),
    ),
    "bits": (rle(np.packbits(NOISE).reshape(1, -1)), FAMILY + "5", BITS_PIXELS),
    "bits, a byte each": (rle(NOISE), FAMILY + "5", BITS_PIXELS),
}
EACH_SMALL = [pytest.param(*frame, id=name, marks=marks(frame[1])) for name, frame in SMALL.items()]


@pytest.mark.parametrize("path", decodable_paths(), ids=lambda path: path.name)
def test_every_frame_of_every_bundled_file_is_as_pydicom_decodes_it(path: Path) -> None:
    for frame in bundled_frames(path):
        if marks(frame.transfer_syntax_uid) and find_spec("imagecodecs") is None:
            pytest.skip("imagecodecs is not installed")
        result = decoded(frame.stored, frame.pixels, frame.transfer_syntax_uid, vr=frame.vr)
        np.testing.assert_array_equal(result.samples, frame.expected)
        assert result.samples.dtype == frame.expected.dtype.newbyteorder("<")
        assert result.samples.flags.c_contiguous
        assert result.pixels == replace(
            frame.pixels,
            photometric_interpretation=frame.expected_photometric_interpretation,
            planar_configuration=0,
        )


def test_nearly_every_transfer_syntax_has_a_bundled_file() -> None:
    seen = {
        frame.transfer_syntax_uid.removeprefix(FAMILY) for path in decodable_paths() for frame in bundled_frames(path)
    }
    assert seen >= {"1", "1.99", "2", "5", "4.50", "4.51", "4.70", "4.80", "4.81", "4.90", "4.91"}


@pytest.mark.parametrize("suffix", ["4.201", "4.202", "4.203"])
def test_high_throughput_jpeg_2000(suffix: str) -> None:
    result = decoded(HTJ2K, HTJ2K_PIXELS, FAMILY + suffix)
    assert result.samples.dtype == np.int16
    assert result.samples.ravel().tolist() == list(range(-1900, -1900 + 64 * 60, 60))


def test_only_the_codestream_of_a_jp2_file_is_read() -> None:
    frame, syntax, pixels = SMALL["MR_small_jp2klossless.dcm"]
    in_jp2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n" + pack(">L4s", 8 + len(frame), b"jp2c") + frame
    np.testing.assert_array_equal(decoded(in_jp2, pixels, syntax).samples, decoded(frame, pixels, syntax).samples)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("examples_ybr_color.dcm", "YBR_FULL_422", "RGB"),
        ("SC_rgb_jpeg_dcmtk.dcm", "YBR_FULL", "RGB"),
        ("SC_jpeg_no_color_transform.dcm", "RGB", "RGB"),
        ("examples_jpeg2k.dcm", "YBR_RCT", "RGB"),
        ("SC_ybr_full_422_uncompressed.dcm", "YBR_FULL_422", "YBR_FULL"),
        ("examples_palette.dcm", "PALETTE COLOR", "PALETTE COLOR"),
    ],
)
def test_the_photometric_interpretation_is_that_of_the_decoded_samples(name: str, before: str, after: str) -> None:
    frame = bundled_frame(name)
    assert frame.pixels.photometric_interpretation == before
    result = decoded(frame.stored, frame.pixels, frame.transfer_syntax_uid)
    assert result.pixels.photometric_interpretation == after


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_rle.dcm",
        "SC_rgb_jls_lossy_sample.dcm",
        pytest.param("SC_rgb_jpeg_gdcm.dcm", marks=[*marks(FAMILY + "4.70"), pytest.mark.filterwarnings("ignore")]),
        "SC_rgb_gdcm_KY.dcm",
        "examples_rgb_color.dcm",
    ],
)
def test_samples_that_codecs_do_not_convert_are_left_alone(name: str) -> None:
    frame = bundled_frame(name)
    as_ybr = replace(frame.pixels, photometric_interpretation="YBR_FULL")
    result = decoded(frame.stored, as_ybr, frame.transfer_syntax_uid)
    np.testing.assert_array_equal(result.samples, frame.expected)


class TestNativeFrames:
    def test_of_planes_are_interleaved(self) -> None:
        result = decoded(bytes(range(18)), replace(RGB_8, planar_configuration=1))
        assert result.samples.tolist() == [[[0, 6, 12], [1, 7, 13], [2, 8, 14]], [[3, 9, 15], [4, 10, 16], [5, 11, 17]]]
        assert result.pixels.planar_configuration == 0

    def test_of_shared_chroma_are_spread(self) -> None:
        pixels = replace(RGB_8, rows=1, columns=4, photometric_interpretation="YBR_FULL_422")
        result = decoded(bytes([1, 2, 101, 201, 3, 4, 102, 202]), pixels)
        assert result.samples.tolist() == [[[1, 101, 201], [2, 101, 201], [3, 102, 202], [4, 102, 202]]]
        assert result.pixels.photometric_interpretation == "YBR_FULL"

    def test_of_shared_chroma_in_partial_range_fill_the_range(self) -> None:
        pixels = replace(RGB_8, rows=1, columns=2, photometric_interpretation="YBR_PARTIAL_422")
        result = decoded(bytes([16, 235, 16, 240]), pixels)
        assert result.samples.tolist() == [[[0, 0, 255], [255, 0, 255]]]
        assert result.pixels.photometric_interpretation == "YBR_FULL"
        wide = replace(pixels, bits_allocated=16, bits_stored=16)
        with pytest.raises(NotAcceptable, match="more than 8 bits"):
            decoded(bytes(8), wide)

    def test_of_single_bits_begin_at_the_lowest(self) -> None:
        pixels = replace(GRAY_8, rows=3, columns=3, bits_allocated=1, bits_stored=1)
        result = decoded(b"\b\x01", pixels)
        assert result.samples.tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 1]]
        assert result.samples.dtype == np.uint8

    @pytest.mark.parametrize(("keyword", "bits"), [("FloatPixelData", 32), ("DoubleFloatPixelData", 64)])
    @pytest.mark.parametrize(("syntax", "order"), [(NATIVE, "<"), (BIG_ENDIAN, ">")])
    def test_of_floats(self, keyword: str, bits: int, syntax: str, order: str) -> None:
        values = np.array([[1.5, -2.0, 3e30], [np.inf, 0.0, -0.25]], f"{order}f{bits // 8}")
        pixels = replace(GRAY_8, bits_allocated=bits, bits_stored=bits, keyword=keyword)
        result = decoded(values.tobytes(), pixels, syntax)
        assert result.samples.tolist() == values.tolist()
        assert result.samples.dtype == np.dtype(f"<f{bits // 8}")

    @pytest.mark.parametrize("bits", [16, 32])
    def test_of_big_endian_words(self, bits: int) -> None:
        values = np.array([[1, -2, 300], [-30000, 0, 7]], f">i{bits // 8}")
        pixels = replace(GRAY_8, bits_allocated=bits, bits_stored=bits, is_signed=True)
        result = decoded(values.tobytes(), pixels, BIG_ENDIAN)
        assert result.samples.tolist() == values.tolist()
        assert result.samples.dtype == np.dtype(f"<i{bits // 8}")

    @pytest.mark.parametrize(("vr", "expected"), [("OB", [0, 1, 2, 3, 4, 5]), ("OW", [1, 0, 3, 2, 5, 4])])
    def test_of_bytes_in_big_endian_are_swapped_where_they_are_words(self, vr: str, expected: list[int]) -> None:
        assert decoded(bytes(range(6)), GRAY_8, BIG_ENDIAN, vr=vr).samples.ravel().tolist() == expected

    def test_do_not_have_what_lies_beyond_bits_stored(self) -> None:
        pixels = replace(GRAY_8, rows=1, columns=2, bits_allocated=16, bits_stored=12)
        assert decoded(b"\xff\xff\x01\xf0", pixels).samples.tolist() == [[4095, 1]]
        assert decoded(b"\xff\x0f\x01\xf0", replace(pixels, is_signed=True)).samples.tolist() == [[-1, 1]]

    def test_that_are_short_are_refused(self) -> None:
        with pytest.raises(NotAcceptable, match="Explicit VR Little Endian"):
            decoded(bytes(5), GRAY_8)


def test_the_transfer_syntaxes_called_decodable_are_those_with_a_codec() -> None:
    assert DECODINGS.keys() == DECODABLE


@pytest.mark.parametrize("syntax", [uid for uid, decoding in DECODINGS.items() if decoding.plugin])
def test_every_codec_is_installed(syntax: str) -> None:
    assert DECODINGS[syntax].plugin in get_decoder(UID(syntax)).available_plugins


class TestRefusals:
    @pytest.mark.parametrize(("frame", "syntax", "pixels"), EACH_SMALL)
    def test_of_frames_that_take_too_much_memory(self, frame: bytes, syntax: str, pixels: ImagePixels) -> None:
        assert syntax in DECODABLE
        decoded(frame, pixels, syntax)
        with pytest.raises(NotAcceptable, match="over the limit of"):
            decoded(frame, pixels, syntax, max_frame_bytes=pixels.frame_bytes - 1)

    def test_of_single_bits_count_what_they_become(self) -> None:
        pixels = replace(GRAY_8, bits_allocated=1, bits_stored=1)
        decoded(b"\0", pixels, max_frame_bytes=6)
        with pytest.raises(NotAcceptable, match="6 bytes, over the limit of 5"):
            decoded(b"\0", pixels, max_frame_bytes=5)

    def test_of_jpeg_2000_count_what_its_codec_holds(self) -> None:
        frame, syntax, pixels = SMALL["MR_small_jp2klossless.dcm"]
        with pytest.raises(NotAcceptable, match="over the limit of"):
            decoded(frame, pixels, syntax, max_frame_bytes=4 * 64 * 64 - 1)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            pytest.param(b"\x04\x04\x00\x01\xff", b"\x00\x00\x00\x01\xff", id="blocks"),
            pytest.param(pack(">4L", 64, 64, 0, 0), pack(">4L", 1, 1, 0, 0), id="tiles"),
        ],
    )
    def test_of_jpeg_2000_count_the_parts_that_it_is_cut_into(self, old: bytes, new: bytes) -> None:
        frame, syntax, pixels = SMALL["MR_small_jp2klossless.dcm"]
        decoded(frame, pixels, syntax, max_frame_bytes=64 * 64 * 8)
        start = frame.rindex(old)
        with pytest.raises(NotAcceptable, match="over the limit of"):
            decoded(frame[:start] + new + frame[start + len(old) :], pixels, syntax, max_frame_bytes=64 * 64 * 8)

    @pytest.mark.parametrize(("frame", "syntax", "pixels"), EACH_SMALL)
    @pytest.mark.parametrize(("rows", "columns"), [(1, 0), (-1, 0), (0, 1), (0, -1)])
    def test_of_a_size_other_than_the_data_set_says(
        self, frame: bytes, syntax: str, pixels: ImagePixels, rows: int, columns: int
    ) -> None:
        lying = replace(pixels, rows=pixels.rows + rows, columns=pixels.columns + columns)
        is_shorter = lying.frame_bytes < pixels.frame_bytes or pixels.bits_allocated == 1
        if syntax in (RLELossless, FAMILY + "8.1") and is_shorter:
            # These do not say the size: what is too much is left out, or refused.
            with suppress(NotAcceptable):
                assert decoded(frame, lying, syntax).samples.shape[:2] == (lying.rows, lying.columns)
            return
        with pytest.raises(NotAcceptable):
            decoded(frame, lying, syntax)

    @pytest.mark.parametrize(
        "name",
        [
            "SC_rgb_small_odd_jpeg.dcm",
            "MR_small_jpeg_ls_lossless.dcm",
            "JPGExtended.dcm",
            "MR_small_jp2klossless.dcm",
            "HTJ2K",
        ],
    )
    def test_of_bombs(self, name: str) -> None:
        frame, syntax, pixels = SMALL[name]
        is_jpeg = frame.startswith(b"\xff\xd8")
        code = ">HH" if is_jpeg else ">LL"
        sides = (pixels.rows, pixels.columns) if is_jpeg else (pixels.columns, pixels.rows)
        announced = pack(code, *sides)
        bomb = frame.replace(announced, pack(code, 65000, 65000))
        assert bomb != frame
        with pytest.raises(NotAcceptable, match="Rows, Columns"):
            decoded(bomb, pixels, syntax)
        with pytest.raises(NotAcceptable, match="over the limit"):
            decoded(bomb, replace(pixels, rows=65000, columns=65000), syntax)

    def test_of_deflated_frames_that_inflate_to_more_stop_at_their_pixels(self) -> None:
        bomb = deflate(bytes(1 << 28))
        assert len(bomb) < 1 << 19
        tracemalloc.start()
        try:
            samples = decoded(bomb, replace(GRAY_8, rows=512, columns=512), FAMILY + "8.1").samples
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert not samples.any()
        assert peak_bytes < 1 << 22

    @pytest.mark.parametrize("samples", [1, 3])
    def test_of_samples_other_than_the_data_set_says(self, samples: int) -> None:
        name = "SC_rgb_small_odd_jpeg.dcm" if samples == 1 else "MR_small_jp2klossless.dcm"
        frame, syntax, pixels = SMALL[name]
        with pytest.raises(NotAcceptable, match="Samples per Pixel"):
            decoded(frame, replace(pixels, samples_per_pixel=samples), syntax)

    def test_of_more_bits_than_bits_allocated(self) -> None:
        frame, syntax, pixels = SMALL["MR_small_jp2klossless.dcm"]
        with pytest.raises(NotAcceptable, match="Bits Allocated"):
            decoded(frame, replace(pixels, bits_allocated=8, bits_stored=8), syntax)

    def test_of_frames_far_longer_than_their_pixels(self) -> None:
        frame, syntax, pixels = SMALL["MR_small_RLE.dcm"]
        with pytest.raises(NotAcceptable, match="far longer"):
            decoded(frame + bytes(1 << 20), pixels, syntax)

    def test_of_a_codec_other_than_the_transfer_syntax_says(self) -> None:
        frame, _, pixels = SMALL["MR_small_jpeg_ls_lossless.dcm"]
        with pytest.raises(NotAcceptable, match="not encoded as its transfer syntax says"):
            decoded(frame, pixels, FAMILY + "4.70")

    @pytest.mark.parametrize("syntax", [FAMILY + "4.100", FAMILY + "4.110", "1.2.3"])
    def test_of_transfer_syntaxes_without_a_codec(self, syntax: str) -> None:
        assert syntax not in DECODABLE
        with pytest.raises(NotAcceptable, match="cannot be decoded"):
            decoded(bytes(6), GRAY_8, syntax)

    def test_of_integers_of_64_bits(self) -> None:
        with pytest.raises(NotAcceptable, match="64 bits"):
            decoded(bytes(48), replace(GRAY_8, bits_allocated=64, bits_stored=64))

    def test_do_not_repeat_what_a_codec_said(self) -> None:
        frame, syntax, pixels = SMALL["MR_small_RLE.dcm"]
        with pytest.raises(NotAcceptable) as caught:
            decoded(frame[:70], pixels, syntax)
        assert str(caught.value).startswith("The frame cannot be decoded from RLE Lossless: ")
        assert caught.value.__suppress_context__


@pytest.mark.parametrize(("frame", "syntax", "pixels"), EACH_SMALL)
def test_a_frame_cut_anywhere_is_an_image_or_refused(frame: bytes, syntax: str, pixels: ImagePixels) -> None:
    for length in {*range(min(len(frame), 80)), *(len(frame) * part // 16 for part in range(16))}:
        assert_image_or_refused(frame[:length], syntax, pixels)


@pytest.mark.parametrize(("frame", "syntax", "pixels"), EACH_SMALL)
def test_a_frame_with_any_bytes_changed_is_an_image_or_refused(frame: bytes, syntax: str, pixels: ImagePixels) -> None:
    rng = random.Random(1)
    for _ in range(300):
        changed = bytearray(frame)
        for _ in range(rng.choice((1, 1, 2, 8))):
            changed[rng.randrange(rng.choice((min(200, len(frame)), len(frame))))] = rng.choice(
                (0, 255, rng.randrange(256))
            )
        assert_image_or_refused(bytes(changed), syntax, pixels)


@pytest.mark.parametrize("after", [b"", b"\0\0", b"\xff\xd9", b"\xff\x80", b"\xff\xda\0\x08\1\1\0\0\0\0"])
def test_jpeg_ls_that_ends_early_keeps_its_codec_busy_no_longer_than_a_whole_frame(after: bytes) -> None:
    """Where no scan ends, CharLS looks for the end for seconds."""
    frame, syntax, pixels = SMALL["MR_small_jpeg_ls_lossless.dcm"]
    began = process_time()
    for length in range(60, len(frame) - 2, 200):
        with pytest.raises(NotAcceptable):
            decoded(frame[:length] + after, pixels, syntax)
    assert process_time() - began < 1


def test_a_panic_of_the_rle_codec_becomes_a_refusal() -> None:
    # A literal run goes on beyond the last pixel, which the codec, written in Rust, does not expect.
    frame = pack("<16L", 2, 64, 64 + 7, *13 * [0]) + b"\x05abcdef" + b"\x07abcdefgh"
    with pytest.raises(NotAcceptable, match="cannot be decoded from RLE Lossless"):
        decoded(frame, replace(GRAY_8, bits_allocated=16, bits_stored=16), RLELossless)
    sound = frame.replace(b"\x07abcdefgh", b"\x05abcdef")
    assert decoded(sound, replace(GRAY_8, bits_allocated=16, bits_stored=16), RLELossless).samples[0, 0] == 0x6161


def assert_image_or_refused(frame: bytes, syntax: str, pixels: ImagePixels) -> None:
    try:
        samples = decoded(frame, pixels, syntax).samples
    except NotAcceptable:
        return
    assert samples.shape[:2] == (pixels.rows, pixels.columns)

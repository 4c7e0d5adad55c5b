"""What the headers of encoded frames say, truly or not."""

import struct
from collections.abc import Callable
from time import perf_counter

import pytest

from shared.errors import NotAcceptable
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
from tests.support.bundled_files import stored_frame


def segment(marker: int, contents: bytes) -> bytes:
    return struct.pack(">HH", marker, 2 + len(contents)) + contents


def jpeg(*segments: bytes, scans: int = 1) -> bytes:
    return b"\xff\xd8" + b"".join(segments) + scans * segment(0xFFDA, b"\x01\x01\x00\x00\x3f\x00")


def start_of_frame(rows: int = 4, columns: int = 5, marker: int = 0xFFC0) -> bytes:
    return segment(marker, struct.pack(">BHHB", 8, rows, columns, 1) + b"\x01\x11\x00")


def siz(
    columns: int = 2048, rows: int = 2048, tile: int = 2048, start: int = 0, component: bytes = b"\x07\x01\x01"
) -> bytes:
    values = (0, columns, rows, start, start, tile, tile, 0, 0, len(component) // 3)
    return segment(0xFF51, struct.pack(">H8IH", *values) + component)


def coding_style(levels: int = 5, block: int = 4, precincts: bytes = b"", marker: int = 0xFF52) -> bytes:
    before = b"\x00" * 4 if marker == 0xFF52 else b""
    component = b"" if marker == 0xFF52 else b"\x00"
    style = bytes((levels, block, block, 0, 1)) + precincts
    return segment(marker, component + bytes((1 if precincts else 0,)) + before + style)


QUANTIZATION = segment(0xFF5C, b"\x40\x48")


def jpeg_2000(*segments: bytes, in_tile: bytes = b"") -> bytes:
    tile_part = struct.pack(">HHHIBB", 0xFF90, 10, 0, 0, 0, 1) + in_tile + b"\xff\x93packets\xff\xd9"
    return b"\xff\x4f" + b"".join(segments) + tile_part


def box(kind: bytes, contents: bytes) -> bytes:
    return struct.pack(">L4s", 8 + len(contents), kind) + contents


JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"


@pytest.mark.parametrize(
    ("name", "process", "bits", "colors"),
    [
        ("examples_ybr_color.dcm", BASELINE, 8, "YBR_FULL"),
        ("JPGExtended.dcm", EXTENDED, 12, ""),
        ("SC_rgb_jpeg_gdcm.dcm", LOSSLESS, 8, "RGB"),
        ("JPEGLSNearLossless_16.dcm", JPEG_LS, 16, ""),
        ("SC_rgb_jls_lossy_line.dcm", JPEG_LS, 8, ""),
    ],
)
def test_jpeg_says_what_the_data_set_does(name: str, process: int, bits: int, colors: str) -> None:
    frame, _, pixels = stored_frame(name)
    assert jpeg_header(frame) == CodestreamHeader(
        process, pixels.rows, pixels.columns, pixels.samples_per_pixel, bits, colors
    )


JFIF = segment(0xFFE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")


def adobe(transform: int) -> bytes:
    return segment(0xFFEE, b"Adobe\0\x64\0\0\0\0" + bytes((transform,)))


@pytest.mark.parametrize(
    ("markers", "identifiers", "sampling_factors", "colors"),
    [
        (b"", b"\1\2\3", b"\x11\x11\x11", ""),
        (b"", b"RGB", b"\x11\x11\x11", "RGB"),
        (b"", b"rgb", b"\x11\x11\x11", "RGB"),
        (b"", b"\1\2\3", b"\x22\x11\x11", "YBR_FULL"),
        (JFIF, b"\1\2\3", b"\x11\x11\x11", "YBR_FULL"),
        (JFIF, b"RGB", b"\x11\x11\x11", "RGB"),
        (adobe(0), b"\1\2\3", b"\x11\x11\x11", "RGB"),
        (adobe(1), b"\1\2\3", b"\x11\x11\x11", "YBR_FULL"),
        (adobe(2), b"\1\2\3", b"\x11\x11\x11", ""),
        (segment(0xFFEE, b"Adobe"), b"\1\2\3", b"\x11\x11\x11", ""),
        (segment(0xFFE0, b"AVI1") + JFIF, b"\1\2\3", b"\x11\x11\x11", "YBR_FULL"),
        (b"", b"\1", b"\x11", ""),
    ],
)
def test_jpeg_says_its_colors(markers: bytes, identifiers: bytes, sampling_factors: bytes, colors: str) -> None:
    components = b"".join(bytes((*pair, 0)) for pair in zip(identifiers, sampling_factors, strict=True))
    start = segment(0xFFC0, struct.pack(">BHHB", 8, 7, 9, len(identifiers)) + components)
    frame = b"\xff\xd8" + markers + start + b"\xff\xda"
    assert jpeg_header(frame).colors == colors


@pytest.mark.parametrize(("name", "colors"), [("examples_jpeg2k.dcm", "RGB"), ("693_J2KI.dcm", "")])
def test_jpeg_2000_says_whether_colors_were_transformed(name: str, colors: str) -> None:
    assert jpeg_2000_header(stored_frame(name)[0]).colors == colors


@pytest.mark.parametrize(
    ("name", "bits"),
    [("J2K_pixelrep_mismatch.dcm", 13), ("693_J2KI.dcm", 16), ("examples_jpeg2k.dcm", 8), ("SC_rgb_gdcm_KY.dcm", 8)],
)
def test_jpeg_2000_says_what_the_data_set_does(name: str, bits: int) -> None:
    frame, _, pixels = stored_frame(name)
    header = jpeg_2000_header(frame)
    assert (header.process, header.rows, header.columns) == (JPEG_2000, pixels.rows, pixels.columns)
    assert (header.components, header.bits_per_sample, header.offset) == (pixels.samples_per_pixel, bits, 0)
    assert header.tiles == 1
    assert 0 < header.blocks < pixels.rows * pixels.columns / 50


def test_jpeg_2000_is_found_in_a_jp2_file() -> None:
    frame, _, pixels = stored_frame("GDCMJ2K_TextGBR.dcm")
    header = jpeg_2000_header(frame)
    assert frame[header.offset : header.offset + 4] == b"\xff\x4f\xff\x51"
    assert (header.rows, header.columns, header.components) == (pixels.rows, pixels.columns, 3)


def test_jpeg_2000_is_found_in_a_box_of_64_bit_length() -> None:
    codestream = jpeg_2000(siz(), coding_style(), QUANTIZATION)
    frame = JP2_SIGNATURE + box(b"ftyp", b"jp2 ") + struct.pack(">L4sQ", 1, b"jp2c", 16 + len(codestream)) + codestream
    assert jpeg_2000_header(frame).offset == len(frame) - len(codestream)


def test_fill_bytes_may_precede_markers() -> None:
    assert jpeg_header(jpeg(b"\xff\xff\xff" + start_of_frame(7, 9))).rows == 7


def test_the_size_is_what_lies_within_the_offsets() -> None:
    header = jpeg_2000_header(jpeg_2000(siz(columns=100, rows=90, tile=32, start=10), coding_style(), QUANTIZATION))
    assert (header.rows, header.columns, header.tiles) == (80, 90, 3 * 4)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff", id="half a marker"),
        pytest.param(b"\xff\xd8", id="no frame"),
        pytest.param(jpeg(), id="scan without frame"),
        pytest.param(jpeg(start_of_frame(), start_of_frame(60000, 60000)), id="two frames"),
        pytest.param(jpeg(start_of_frame(0, 5)), id="no rows"),
        pytest.param(jpeg(segment(0xFFC0, b"\x08\x00\x01")), id="short frame segment"),
        pytest.param(jpeg(start_of_frame())[2:], id="no start of image"),
        pytest.param(b"\xff\xd8\xff\xc0\xff\xff\x08\x00\x01\x00\x01\x01", id="segment past the end"),
        pytest.param(b"\xff\xd8\xff\xc0\x00\x00" + 40 * b"\xff", id="length of nothing"),
        pytest.param(jpeg(*2001 * [segment(0xFFFE, b"")], start_of_frame()), id="endless segments"),
        pytest.param(jpeg(start_of_frame(), scans=17), id="more scans than components"),
        pytest.param(stored_frame("JPEG2000.dcm")[0], id="JPEG 2000"),
    ],
)
def test_jpeg_with_a_false_header_is_refused(frame: bytes) -> None:
    with pytest.raises(NotAcceptable, match=r"JPEG|header"):
        jpeg_header(frame)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\x4f\xff\x51", id="no size"),
        pytest.param(jpeg_2000(siz(columns=0)), id="no columns"),
        pytest.param(jpeg_2000(siz(start=2048), coding_style()), id="nothing within the offsets"),
        pytest.param(jpeg_2000(siz(tile=0), coding_style()), id="tiles of no size"),
        pytest.param(jpeg_2000(siz(component=b""), coding_style()), id="no components"),
        pytest.param(jpeg_2000(siz(component=5 * b"\x07\x01\x01"), coding_style()), id="five components"),
        pytest.param(jpeg_2000(siz(component=b"\x07\x02\x02"), coding_style()), id="smaller component"),
        pytest.param(jpeg_2000(siz(), coding_style(levels=33)), id="33 levels"),
        pytest.param(jpeg_2000(siz(), coding_style(levels=5, precincts=b"\x11")), id="precincts of too few levels"),
        pytest.param(jpeg_2000(siz(), segment(0xFF30, coding_style())), id="unknown segment"),
        pytest.param(jpeg_2000(siz(), coding_style(), in_tile=segment(0xFF30, b"")), id="unknown segment of a tile"),
        pytest.param(jpeg_2000(siz(), coding_style()[:-3] + b"\xff"), id="cut coding style"),
        pytest.param(JP2_SIGNATURE + box(b"ftyp", b"jp2 "), id="JP2 without codestream"),
        pytest.param(JP2_SIGNATURE + box(b"ftyp", b"")[:2] + b"\x00\x04ftyp", id="box shorter than its head"),
        pytest.param(JP2_SIGNATURE + 300 * box(b"free", b""), id="endless boxes"),
        pytest.param(jpeg(start_of_frame()), id="JPEG"),
    ],
)
def test_jpeg_2000_with_a_false_header_is_refused(frame: bytes) -> None:
    with pytest.raises(NotAcceptable, match=r"JPEG 2000|JP2|header"):
        jpeg_2000_header(frame)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(jpeg_2000(siz(), coding_style(levels=0, precincts=b"\x00"), QUANTIZATION), id="precincts"),
        pytest.param(jpeg_2000(siz(), coding_style(levels=2, precincts=b"\xff\x11\xff"), QUANTIZATION), id="one level"),
        pytest.param(jpeg_2000(siz(), coding_style(), coding_style(0, precincts=b"\x00")), id="second coding style"),
        pytest.param(
            jpeg_2000(siz(), coding_style(), coding_style(0, precincts=b"\x00", marker=0xFF53)), id="of a component"
        ),
        pytest.param(jpeg_2000(siz(), coding_style(), in_tile=coding_style(0, precincts=b"\x00")), id="of a tile"),
        pytest.param(jpeg_2000(siz(), coding_style(block=0)), id="code blocks"),
    ],
)
def test_jpeg_2000_says_how_many_blocks_it_is_cut_into(frame: bytes) -> None:
    # 2048 x 2048 samples, in blocks of 4 x 4 at least; at the second of three resolutions, precincts of 2 x 2.
    assert jpeg_2000_header(frame).blocks >= 2048 * 2048 / 16


def test_jpeg_2000_says_how_many_tiles_it_is_cut_into() -> None:
    assert jpeg_2000_header(jpeg_2000(siz(255, 255, tile=1), coding_style())).tiles == 255 * 255


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("SC_rgb_small_odd_jpeg.dcm", jpeg_header),
        ("MR_small_jpeg_ls_lossless.dcm", jpeg_header),
        ("MR_small_jp2klossless.dcm", jpeg_2000_header),
        ("GDCMJ2K_TextGBR.dcm", jpeg_2000_header),
    ],
)
def test_any_cut_is_refused_or_read(name: str, read: Callable[[bytes], CodestreamHeader]) -> None:
    frame, _, pixels = stored_frame(name)
    outcomes = set()
    for length in range(min(len(frame), 4000)):
        try:
            outcomes.add(read(frame[:length]).rows)
        except NotAcceptable:
            outcomes.add(0)
    assert outcomes == {0, pixels.rows}


@pytest.mark.parametrize(
    ("frame", "read"),
    [
        pytest.param(b"\xff\xd8" + b"\xff" * 10_000_000, jpeg_header, id="fill bytes"),
        pytest.param(b"\xff\xd8" + b"\xff\xfe\x00\x02" * 2_500_000, jpeg_header, id="segments"),
        pytest.param(jpeg_2000(siz(), coding_style()) + b"\xff\x90\x00\x0a" * 1_000_000, jpeg_2000_header, id="tiles"),
        pytest.param(
            jpeg_2000(siz(), coding_style(), in_tile=b"\xff\x64\x00\x02" * 500_000), jpeg_2000_header, id="comments"
        ),
        pytest.param(
            jpeg_2000(siz(), coding_style(), in_tile=coding_style(32) * 200_000), jpeg_2000_header, id="styles"
        ),
    ],
)
def test_hostile_headers_take_no_time(frame: bytes, read: Callable[[bytes], CodestreamHeader]) -> None:
    started = perf_counter()
    with pytest.raises(NotAcceptable):
        read(frame)
    assert perf_counter() - started < 5


def test_a_box_longer_than_any_file_is_refused() -> None:
    signature = box(b"jP  ", b"\r\n\x87\n")
    with pytest.raises(NotAcceptable, match="cut short"):
        jpeg_2000_header(signature + struct.pack(">L4sQ", 1, b"jp2h", 2**64 - 1))

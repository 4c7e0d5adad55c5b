"""Targets that read the header of an encoded frame, before a codec does."""

import struct
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Final

from PIL import Image

from shared.errors import NotAcceptable
from shared.imaging.codestreams import JPEG_2000, CodestreamHeader, jpeg_2000_header, jpeg_header
from tests.support.part10_files import SAMPLES, read

JPEG_TOKENS: Final = tuple(
    bytes((0xFF, marker))
    for marker in (0xC0, 0xC1, 0xC3, 0xC4, 0xC8, 0xD0, 0xD8, 0xD9, 0xDA, 0xDB, 0xE0, 0xF7, 0xFE, 0xFF)
)
JPEG_2000_TOKENS: Final = (
    *(
        bytes((0xFF, marker))
        for marker in (0x4F, 0x50, 0x51, 0x52, 0x53, 0x55, 0x57, 0x58, 0x5C, 0x5F, 0x61, 0x64, 0x90, 0x93, 0xD9)
    ),
    b"\xff\x90\x00\x0a",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n",
    b"jp2c",
    b"jp2h",
    b"\0\0\0\1",
)

_MAX_BYTES: Final = 1_500


def check_jpeg(data: bytes) -> None:
    """The header says what it says however much follows it, and the same as Pillow's."""
    _check(jpeg_header, data)


def check_jpeg_2000(data: bytes) -> None:
    """The header says what it says, and the same as Pillow's."""
    _check(jpeg_2000_header, data)


def _check(read_header: Callable[[bytes], CodestreamHeader], data: bytes) -> None:
    try:
        header = read_header(data)
    except NotAcceptable:
        return
    assert header.rows > 0
    assert header.columns > 0
    assert header.components > 0
    assert header.tiles > 0
    assert header.bits_per_sample <= (128 if header.process == JPEG_2000 else 255)
    assert 0 <= header.offset < len(data)
    size = _size_by_pillow(data[header.offset :])
    assert size in (None, (header.columns, header.rows))


def _size_by_pillow(data: bytes) -> tuple[int, int] | None:
    """The columns and rows by Pillow, which reads the header only; None where it does not know the form."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(BytesIO(data), formats=("JPEG", "JPEG2000")) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, IndexError, struct.error, Image.DecompressionBombError):
        return None


def jpeg_seeds() -> Iterator[bytes]:
    """The beginnings of frames of every process of JPEG, and of JPEG-LS."""
    yield from (frame for frame in _frames() if frame.startswith(b"\xff\xd8"))


def jpeg_2000_seeds() -> Iterator[bytes]:
    """The beginnings of frames of JPEG 2000 and HTJ2K; one in a JP2 file."""
    found = [frame for frame in _frames() if frame.startswith(b"\xff\x4f")]
    yield from found
    yield b"\x00\x00\x00\x0cjP  \r\n\x87\n" + struct.pack(">L4s", 0, b"jp2c") + found[0]
    tile_part = struct.pack(">HHHIBB", 0xFF90, 10, 0, 0, 0, 1) + struct.pack(">HH5B2x", 0xFF53, 9, 0, 0, 1, 4, 4)
    yield found[0] + tile_part + b"\xff\x93"


def _frames() -> Iterator[bytes]:
    for path in SAMPLES:
        stored, instance = read(path.read_bytes())
        if instance.frames is not None and instance.frames.is_encapsulated and instance.frames.frame_count:
            offset, length = instance.frames.byte_ranges(1)[0]
            yield stored[offset : offset + min(length, _MAX_BYTES)]

"""Encapsulated frames of every codec, cut into fragments in every way, however wrong the Number of Frames is."""

import struct
from itertools import pairwise, product

import pytest
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from tests.support.part10_files import chunks, frames_of, image, part10, read, read_chunks

EncapsulatedUncompressed = UID("1.2.840.10008.1.2.1.98")
# How frames of each codec begin and end; what is between does not matter to telling them apart.
CODECS = {
    "JPEG": (JPEGBaseline8Bit, b"\xff\xd8\xff\xdb", b"\xff\xd9"),
    "JPEG-LS": (JPEGLSLossless, b"\xff\xd8\xff\xf7", b"\xff\xd9"),
    "JPEG 2000": (JPEG2000Lossless, b"\xff\x4f\xff\x51", b"\xff\xd9"),
    "JP2": (JPEG2000Lossless, b"\0\0\0\x0cjP  ", b"\xff\xd9"),
    "RLE": (RLELossless, struct.pack("<16L", 3, 64, 80, 96, *[0] * 12), b""),
    "none": (EncapsulatedUncompressed, b"", b""),
}
CODEC = pytest.mark.parametrize("codec", CODECS)


def frames_in(codec: str, count: int) -> list[bytes]:
    """Frames of different lengths, even, and long enough for several fragments."""
    _, begin, end = CODECS[codec]
    frames = (begin + bytes([1 + number]) * (60 + 24 * number) + end for number in range(count))
    return [frame + b"\0" * (len(frame) % 2) for frame in frames]


def item(value: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<L", len(value)) + value


def cut(frames: list[bytes], fragment_count: int) -> bytes:
    """The frames in fragments, without a table, each frame in as many."""
    value = item(b"")
    for frame in frames:
        places = [len(frame) * number // fragment_count // 2 * 2 for number in range(fragment_count + 1)]
        value += b"".join(item(frame[start:end]) for start, end in pairwise(places))
    return value


def read_frames(codec: str, value: bytes, promised: int | None, **attributes: object) -> tuple[list[bytes], str]:
    """The frames that are told apart, or why none is; and what is said of them."""
    described = {"NumberOfFrames": promised, **attributes} if promised else attributes
    file = part10(image(value, **described), CODECS[codec][0])
    stored, instance = read(file)
    assert stored == file
    assert read_chunks(chunks(file, seed=7)) == (stored, instance)
    return frames_of(stored, instance), "".join(instance.assumptions)


def check(codec: str, value: bytes, frames: list[bytes], promised: int | None, **attributes: object) -> None:
    """Check that all frames are found, or as many as are promised, and that a wrong number is told."""
    found, remark = read_frames(codec, value, promised, **attributes)
    assert found == frames[:promised]
    if promised is None:
        assert ("Number of Frames is missing" in remark) == (len(frames) > 1)
    else:
        assert (f"Number of Frames is {promised}" in remark) == (promised > len(frames))
    is_whole = all(frame.rstrip(b"\0").endswith(CODECS[codec][2]) for frame in frames)
    if promised == len(frames) and codec != "RLE" and is_whole:  # pydicom goes by the ends of images
        assert found == list(generate_frames(value, number_of_frames=promised, extended_offsets=None))


@CODEC
def test_one_fragment_each(codec: str) -> None:
    for count, has_bot in product((1, 2, 3), (False, True)):
        frames = frames_in(codec, count)
        value = encapsulate(frames, has_bot=has_bot)
        for promised in (count, count + 1, count + 5):
            check(codec, value, frames, promised)
        if has_bot or codec != "none":
            for fewer in (None, *range(1, count)):
                check(codec, value, frames, fewer)


@CODEC
def test_one_fragment_each_with_extended_offset_table(codec: str) -> None:
    frames = frames_in(codec, 3)
    value, offsets, lengths = encapsulate_extended(frames)
    for promised in (None, 1, 2, 3, 4):
        check(codec, value, frames, promised, ExtendedOffsetTable=offsets, ExtendedOffsetTableLengths=lengths)


@CODEC
def test_several_fragments_with_basic_offset_table(codec: str) -> None:
    for count, fragment_count in product((1, 2, 3), (2, 3)):
        frames = frames_in(codec, count)
        value = encapsulate(frames, fragments_per_frame=fragment_count, has_bot=True)
        for promised in (None, *range(1, count + 1), count + 10):
            if codec != "none" or promised != count + 10 or count > 1:
                check(codec, value, frames, promised)


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec != "none"])
def test_several_fragments_without_table(codec: str) -> None:
    for count, fragment_count in product((1, 2, 3), (2, 3)):
        frames = frames_in(codec, count)
        value = cut(frames, fragment_count)
        for promised in (None, *range(1, count + 1), count + 10):
            check(codec, value, frames, promised)
        if codec != "RLE":  # which has no mark at its end, and whose frames have one fragment each
            check(codec, value, frames, count * fragment_count)


@pytest.mark.parametrize("codec", ["JPEG", "JPEG-LS", "JPEG 2000"])
def test_a_frame_without_its_end(codec: str) -> None:
    whole = frames_in(codec, 3)
    for broken in range(3):
        frames = [frame[:-4] if number == broken else frame for number, frame in enumerate(whole)]
        for promised in (None, 1, 2, 3, 4, 5):
            check(codec, cut(frames, 2), frames, promised)
            check(codec, cut(frames, 1), frames, promised)


def test_a_table_that_lies_is_not_followed() -> None:
    frames = frames_in("JPEG", 3)
    fragments = cut(frames, 1)[8:]
    for table in ((0,), (0, 4, 8), (8, 0, 1), (0, 0, 0), (0, 2**32 - 1, 7)):
        value = item(struct.pack(f"<{len(table)}L", *table)) + fragments
        assert read_frames("JPEG", value, 3)[0] == frames


def test_fragments_that_nothing_tells_apart() -> None:
    file = part10(image(cut(frames_in("none", 2), 2), NumberOfFrames=3), EncapsulatedUncompressed)
    _, instance = read(file)
    assert instance.frames is not None
    assert "4 fragments for 3 frames" in instance.frames.unavailable
    assert "No frame can be retrieved" in "".join(instance.assumptions)

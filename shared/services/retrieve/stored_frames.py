"""Frames of an instance as they are stored (PS3.18 10.4.1.1.6), read without the rest of the file.

All frames of an instance are given as the `range` of their numbers: there may be millions, so nothing is done for each
of them beforehand.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.dicom.frame_table import FrameTable, FrameUnavailable
from shared.dicom.items import ITEM_HEAD_BYTES
from shared.dicom.transfer_syntaxes import frame_transfer_syntax
from shared.errors import NotFound
from shared.services.answer_work import CHUNK_BYTES, AnswerWork, Purpose
from shared.services.retrieve.stored_file import StoredFile, read_of
from shared.web.content import Content, in_memory

_SPAN_BYTES: Final = CHUNK_BYTES  # adjacent frames are read together up to this size
_SPAN_FRAMES: Final = 8192  # and this number, which takes some ten milliseconds to tell apart
_PASSED_OVER_BYTES: Final = 256 * 1024  # reading these takes less time than another read


def frame_ranges(table: FrameTable, frame_number: int) -> list[tuple[int, int]]:
    """The (offset, length) ranges of a frame's bytes in the file; raises NotFound for one that does not exist."""
    try:
        return table.byte_ranges(frame_number)
    except FrameUnavailable as error:
        raise NotFound(str(error)) from error


def frame_bytes(table: FrameTable, frame_number: int) -> int:
    """How many bytes of the file a frame takes. Raises NotFound."""
    return sum(length for _, length in frame_ranges(table, frame_number))


def incomplete_warning(table: FrameTable, frame_number: int) -> str:
    """What to tell the client of a frame that Pixel Data does not hold all of; empty where it does."""
    missing_bytes = table.missing_bytes(frame_number)
    return f"Pixel Data lacks the last {missing_bytes} bytes of the frame; they are 0 here." if missing_bytes else ""


def check_frames(table: FrameTable, frame_numbers: Sequence[int]) -> None:
    """Raises NotFound for a frame that does not exist. Those of a range exist if its first and last do."""
    ends = {*frame_numbers[:1], *frame_numbers[-1:]}
    for number in ends if isinstance(frame_numbers, range) else frame_numbers:
        frame_ranges(table, number)


async def stored_frame(file: StoredFile, frame_number: int, media_type: str, work: AnswerWork) -> Content:
    """One frame, readable in ranges. Raises NotFound."""
    content = _frame(file, frame_number, media_type)
    if file.frame_table().is_made(frame_number):
        work.check(content.size_bytes or 0)
    await work.hold_chunk(content.size_bytes or 0)
    return content


async def stored_frames(
    file: StoredFile, frame_numbers: Sequence[int], media_type: str, work: AnswerWork
) -> AsyncIterator[Content]:
    """Frames by number from 1, in the order asked for; adjacent ones are read together.

    Raises NotFound, at the first step, for a frame that does not exist.
    """
    table = file.frame_table()
    check_frames(table, frame_numbers)
    await work.hold_chunk(CHUNK_BYTES)
    syntax = frame_transfer_syntax(file.transfer_syntax_uid)
    for span in _spans(table, frame_numbers):
        if len(span.frame_numbers) == 1:
            yield _frame(file, span.frame_numbers[0], media_type)
            continue
        async for number, frame in _frames_of(file, span):
            part = in_memory(frame_path(file, number), media_type, syntax, frame)
            yield replace(part, warning=incomplete_warning(table, number))


def _frame(file: StoredFile, frame_number: int, media_type: str) -> Content:
    table = file.frame_table()
    ranges = frame_ranges(table, frame_number)

    async def read(offset: int, length: int) -> AsyncIterator[bytes]:
        if table.is_made(frame_number):
            yield (await read_frame(file, frame_number))[offset : offset + length]
            return
        async for chunk in read_ranges(file, ranges, offset, length):
            yield chunk

    size_bytes = (table.frame_bits + 7) // 8 or sum(length for _, length in ranges)
    return Content(
        frame_path(file, frame_number),
        media_type,
        frame_transfer_syntax(file.transfer_syntax_uid),
        size_bytes,
        read,
        warning=incomplete_warning(table, frame_number),
    )


async def read_together(file: StoredFile, frame_numbers: Sequence[int], work: AnswerWork) -> StoredFile:
    """The same file, to read its header and these frames from: already in memory if one read is cheaper than several.

    Raises NotFound for a frame that does not exist.
    """
    table = file.frame_table()
    check_frames(table, frame_numbers)
    if file.is_held or file.size_bytes > _SPAN_BYTES:
        return file
    is_of_all = isinstance(frame_numbers, range) and len(frame_numbers) == table.frame_count
    asked_bytes = table.value_bytes if is_of_all else sum(frame_bytes(table, number) for number in frame_numbers)
    if table.value_bytes - asked_bytes > _PASSED_OVER_BYTES:
        return file
    await work.hold(Purpose.FILE, file.size_bytes + file.parsed_header_bytes)
    return replace(file, read=read_of(await file.read_all(0, file.size_bytes)), is_held=True)


async def read_frames(
    file: StoredFile, frame_numbers: Sequence[int]
) -> AsyncIterator[tuple[int, Callable[[], Awaitable[bytes]]]]:
    """Frames by number from 1, in the order asked for: the number of each, and what reads it.

    Adjacent ones are read together, up to 4 MiB; a frame that is larger is read when it is asked for.
    """

    def from_memory(frame: bytes) -> Callable[[], Awaitable[bytes]]:
        async def read() -> bytes:
            return frame

        return read

    def from_file(number: int) -> Callable[[], Awaitable[bytes]]:
        return lambda: read_frame(file, number)

    for span in _spans(file.frame_table(), frame_numbers):
        if span.end - span.start > _SPAN_BYTES:
            yield span.frame_numbers[0], from_file(span.frame_numbers[0])
            continue
        async for number, frame in _frames_of(file, span):
            yield number, from_memory(frame)


async def read_frame(file: StoredFile, frame_number: int) -> bytes:
    """The bytes of one frame, as they are stored. Raises NotFound."""
    table = file.frame_table()
    ranges = frame_ranges(table, frame_number)
    size_bytes = sum(length for _, length in ranges)
    return table.cut(frame_number, b"".join([chunk async for chunk in read_ranges(file, ranges, 0, size_bytes)]))


async def read_ranges(
    file: StoredFile, ranges: Sequence[tuple[int, int]], offset: int, length: int
) -> AsyncIterator[bytes]:
    """`length` bytes from `offset` on in the joined bytes of ascending ranges of the file, read in one go."""
    pieces = list(_cut(ranges, offset, length))
    if not pieces:
        return
    position, index = pieces[0][0], 0
    async for chunk in file.read(position, sum(pieces[-1]) - position):
        while index < len(pieces) and pieces[index][0] < position + len(chunk):
            start, size = pieces[index]
            yield chunk[max(start - position, 0) : start + size - position]
            if start + size > position + len(chunk):
                break
            index += 1
        position += len(chunk)


async def _frames_of(file: StoredFile, span: "_Span") -> AsyncIterator[tuple[int, bytes]]:
    table = file.frame_table()
    data = await file.read_all(span.start, span.end - span.start)
    for number in span.frame_numbers:
        ranges = table.byte_ranges(number)
        pieces = (data[offset - span.start : offset - span.start + length] for offset, length in ranges)
        yield number, table.cut(number, b"".join(pieces))


def _cut(ranges: Sequence[tuple[int, int]], offset: int, length: int) -> Iterator[tuple[int, int]]:
    """The pieces of the ranges that hold `length` bytes from `offset` on in the ranges' joined bytes."""
    before = 0
    for start, size in ranges:
        first, end = max(offset - before, 0), min(offset + length - before, size)
        if first < end:
            yield start + first, end - first
        before += size


@dataclass(slots=True)
class _Span:
    """Frames side by side in the file, from byte `start` to before `end`."""

    frame_numbers: list[int]
    start: int
    end: int

    def takes(self, start: int, end: int) -> bool:
        """Whether a frame there can be read along. Frames may share a byte (PS3.5 8.1.1), or in big endian a word."""
        is_next = self.end - 2 <= start <= self.end + ITEM_HEAD_BYTES
        return is_next and end - self.start <= _SPAN_BYTES and len(self.frame_numbers) < _SPAN_FRAMES


def _spans(table: FrameTable, frame_numbers: Sequence[int]) -> Iterator[_Span]:
    span: _Span | None = None
    for number in frame_numbers:
        ranges = frame_ranges(table, number)
        start, end = ranges[0][0], ranges[-1][0] + ranges[-1][1]
        if span is not None and span.takes(start, end):
            span.frame_numbers.append(number)
            span.end = end
            continue
        if span is not None:
            yield span
        span = _Span([number], start, end)
    if span is not None:
        yield span


def frame_path(file: StoredFile, frame_number: int) -> str:
    """The path of a frame below the service's URL."""
    return f"{file.path}/frames/{frame_number}"

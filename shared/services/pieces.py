"""Bytes that are made in a thread, as they are sent."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

from shared.services.answer_work import AnswerWork

PIECE_BYTES: Final = 64 * 1024


async def made_in_thread(pieces: Iterator[bytes], work: AnswerWork) -> AsyncIterator[bytes]:
    """The same bytes, in pieces of about 64 KiB, each made when its turn comes. Raises what making them raises."""
    is_last = False
    while not is_last:
        piece, is_last = await work.run(lambda: _joined(pieces))
        yield piece


def _joined(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """The next pieces together, and whether they are the last."""
    joined = bytearray()
    for piece in pieces:
        joined += piece
        if len(joined) >= PIECE_BYTES:
            return bytes(joined), False
    return bytes(joined), True

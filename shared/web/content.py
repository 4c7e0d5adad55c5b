"""Bytes to send: what a retrieve hands to the edge, before anything of it is read."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Content:
    """One representation: its path below the service's URL, media type, transfer syntax if it has one, and bytes.

    `size_bytes` is None where that is not known before they are made. ``read(offset, length)`` gives any range if
    `is_ranged`, else all of them, whatever is asked for. Nothing is read before the first step of what it returns,
    which raises NotFound or NotAcceptable for what cannot be had.
    """

    path: str
    media_type: str
    transfer_syntax_uid: str | None
    size_bytes: int | None
    read: Callable[[int, int], AsyncIterator[bytes]]
    is_ranged: bool = True

    def all(self) -> AsyncIterator[bytes]:
        """All of the bytes."""
        return self.read(0, self.size_bytes or 0)

    async def begun(self) -> "Content":
        """The same content, with the first step of reading all of it taken."""
        chunks = await begun(self.all())
        return replace(self, read=lambda _offset, _length: chunks, is_ranged=False)


async def begun(items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """The same iterator, after its first step was taken: what fails at once still becomes a status."""
    taken = []
    with suppress(StopAsyncIteration):
        taken.append(await anext(items))
    return _resumed(taken, items)


async def _resumed(taken: Sequence[Item], items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    for item in taken:
        yield item
    async for item in items:
        yield item


def in_memory(path: str, media_type: str, transfer_syntax_uid: str | None, data: bytes) -> Content:
    """A content that is at hand."""

    async def read(offset: int, length: int) -> AsyncIterator[bytes]:
        yield data[offset : offset + length]

    return Content(path, media_type, transfer_syntax_uid, len(data), read)

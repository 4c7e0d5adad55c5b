"""Bytes to send: what a service offers of a resource before reading any of it. The edge turns it into an answer."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from shared.web.content_negotiation import Offer

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Content:
    """One representation: its path below the service's URL, media type, transfer syntax if it has one, and bytes.

    `size_bytes` is None where it is not known before the bytes are made. ``read(offset, length)`` gives any range if
    `is_ranged`, else all bytes, whatever is asked for. Nothing is read before the first step of the iterator that it
    returns; that step raises NotFound or NotAcceptable for what cannot be had. `warning` says in what the bytes are not
    as the client expects. Who has sent a part calls `end`.
    """

    path: str
    media_type: str
    transfer_syntax_uid: str | None
    size_bytes: int | None
    read: Callable[[int, int], AsyncIterator[bytes]]
    is_ranged: bool = True
    warning: str = ""
    end: Callable[[], None] = lambda: None

    def all(self) -> AsyncIterator[bytes]:
        """All of the bytes."""
        return self.read(0, self.size_bytes or 0)

    async def started(self) -> "Content":
        """The same content, with the first step of reading it taken; no ranges of it can be had."""
        chunks = await started(self.all())
        return replace(self, read=lambda _offset, _length: chunks, is_ranged=False)


@dataclass(frozen=True, slots=True)
class Parts:
    """Contents to be sent as the parts of one message. The first step raises NotFound or NotAcceptable.

    `left_out` says, where that is known beforehand, what of the resource the client does not accept, or cannot be sent.
    """

    contents: AsyncIterator[Content]
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes of unknown length, without ranges. A browser saves them under `file_name`, if there is one.

    `is_text`: they are gzipped for a client that accepts gzip.
    """

    media_type: str
    chunks: AsyncIterator[bytes]
    file_name: str = ""
    is_text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Representations:
    """What a resource can be sent as. None of its bytes are read before one representation is opened.

    `version` is what the bytes depend on besides the chosen representation, for the entity tag; None where only reading
    all of them would tell, or an Unread has given it. `is_version_of_parts`: it also holds for multipart
    representations. `offers` are in order of preference. ``open(offer)`` gives the representation, and raises NotFound
    or NotAcceptable where it cannot be had.
    `is_text`: the representation may be a Stream of text.
    """

    version: tuple[object, ...] | None
    offers: Sequence[Offer]
    open: Callable[[Offer], Awaitable[Content | Parts | Stream]]
    is_version_of_parts: bool = True
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Unread:
    """A resource that has to be read to know what it can be sent as; not read for a client that has `version`."""

    version: tuple[object, ...]
    read: Callable[[], Awaitable[Representations]]


async def started(items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """The same iterator with its first step taken, so that an early failure still becomes a status."""
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
    """A content whose bytes are already in memory."""

    async def read(offset: int, length: int) -> AsyncIterator[bytes]:
        yield data[offset : offset + length]

    return Content(path, media_type, transfer_syntax_uid, len(data), read)

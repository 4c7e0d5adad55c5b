"""Bytes to send: what a service offers of a resource, before anything of it is read. The edge makes an answer of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from shared.web.content_negotiation import Offer

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


@dataclass(frozen=True, slots=True)
class Parts:
    """Contents to be sent as the parts of one message. The first step raises NotFound or NotAcceptable."""

    contents: AsyncIterator[Content]


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes of unknown length, which no range can be had of. A browser saves them under `file_name`, if there is one.

    `is_text`: they are gzipped for a client that takes them so.
    """

    media_type: str
    chunks: AsyncIterator[bytes]
    file_name: str = ""
    is_text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Representations:
    """What a resource can be sent as. Nothing is read of its bytes before one of them is opened.

    `version` is what the bytes depend on beside the representation that is chosen, for the entity tag; None where only
    reading all of them would tell. `is_version_of_parts`: that of multipart representations, too. `offers` stand in the
    order of preference. ``open(offer)`` gives the representation, and raises NotFound or NotAcceptable where it cannot
    be had. `is_text`: that may be a Stream of text.
    """

    version: tuple[object, ...] | None
    offers: Sequence[Offer]
    open: Callable[[Offer], Awaitable[Content | Parts | Stream]]
    is_version_of_parts: bool = True
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Unread:
    """A resource of which only reading tells what it can be sent as; a client that has `version` is spared that."""

    version: tuple[object, ...]
    read: Callable[[], Awaitable[Representations]]


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

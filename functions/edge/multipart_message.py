"""Contents as a multipart message (PS3.18 8.6.1.2): a part for each, or one part, any range of which can be read."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from starlette.responses import StreamingResponse

from functions.edge.headers import warning
from shared.multipart import Headers, MessageEnd, MultipartEncoder, PartBegin, PartData, PartEnd, new_boundary
from shared.web.content import Content
from shared.web.content_negotiation import Offer
from shared.web.media_types import format_media_type

_TOGETHER_BYTES: Final = 16 * 1024  # of small parts, sent at once


def multipart_response(
    offer: Offer, contents: AsyncIterator[Content], url: str, headers: dict[str, str] | None = None
) -> StreamingResponse:
    """An answer with a part for each content; one that fails midway is cut short, so that nobody takes it for whole.

    `url` is the service's, ``scheme://host/version``; `headers` are the answer's, besides its Content-Type.
    """
    headers = headers or {}
    encoder = MultipartEncoder(_boundary(headers), type=offer.media_type)
    message = _encoded(encoder, contents, url)
    return StreamingResponse(message, headers={**headers, "Content-Type": encoder.content_type})


def multipart_message(content: Content, url: str, headers: dict[str, str]) -> tuple[Content, str]:
    """The message of one content, readable in the same ranges, and its Content-Type."""
    encoder = MultipartEncoder(_boundary(headers), type=content.media_type)
    return _message(encoder, content, url), encoder.content_type


def content_headers(content: Content, url: str) -> dict[str, str]:
    """The headers that describe a content, in a part or in a whole answer; viewers decode by the transfer syntax."""
    parameters = {"transfer-syntax": content.transfer_syntax_uid} if content.transfer_syntax_uid else {}
    return {
        "Content-Type": format_media_type(content.media_type, parameters),
        "Content-Location": f"{url}/{content.path}",
        **warning_headers(content, url),
    }


def warning_headers(content: Content, url: str) -> dict[str, str]:
    """The header of a content's warning (PS3.18 8.4.3); none where there is none."""
    return {"Warning": warning(url, content.warning)} if content.warning else {}


def _boundary(headers: dict[str, str]) -> str:
    """The entity tag as boundary, so that it stays the same; nobody who stores an instance can know it beforehand."""
    return headers["ETag"].strip('"') if "ETag" in headers else new_boundary()


def _message(encoder: MultipartEncoder, content: Content, url: str) -> Content:
    """The multipart message of one content, readable in the same ranges."""
    head = encoder.send(PartBegin(Headers(content_headers(content, url))))
    encoder.send(PartEnd())
    end = encoder.send(MessageEnd())
    if content.size_bytes is None:

        async def read_all(_offset: int, _length: int) -> AsyncIterator[bytes]:
            held = head
            async for chunk in content.all():
                yield held + chunk
                held = b""
            yield held + end

        return replace(content, read=read_all)
    end_offset = len(head) + content.size_bytes

    async def read(offset: int, length: int) -> AsyncIterator[bytes]:
        # The head goes out with the first bytes of the content, so one that cannot be had fails at the first step.
        held = head[offset : offset + length]
        first, last = max(offset - len(head), 0), min(offset + length, end_offset) - len(head)
        if first < last:
            async for chunk in content.read(first, last - first):
                yield held + chunk
                held = b""
        yield held + end[max(offset - end_offset, 0) : max(offset + length - end_offset, 0)]

    return replace(content, size_bytes=end_offset + len(end), read=read)


async def _encoded(encoder: MultipartEncoder, contents: AsyncIterator[Content], url: str) -> AsyncIterator[bytes]:
    """The message, small parts together."""
    held = bytearray()
    async for content in contents:
        held += encoder.send(PartBegin(Headers(content_headers(content, url))))
        async for chunk in content.all():
            if held and len(held) + len(chunk) > _TOGETHER_BYTES:
                yield bytes(held)
                held.clear()
            if len(chunk) > _TOGETHER_BYTES:
                yield encoder.send(PartData(chunk))
            else:
                held += encoder.send(PartData(chunk))
        encoder.send(PartEnd())
        content.end()
    yield bytes(held) + encoder.send(MessageEnd())

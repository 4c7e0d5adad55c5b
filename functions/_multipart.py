"""Answers of several parts: contents to a multipart/related message, streamed (PS3.18 8.6.1.2)."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from shared.media_types import Offer, format_media_type
from shared.multipart import (
    Headers,
    MessageEnd,
    MultipartEncoder,
    PartBegin,
    PartData,
    PartEnd,
    message_bytes,
    new_boundary,
)

if TYPE_CHECKING:
    from shared.services.retrieve import Content


def content_headers(offer: Offer, transfer_syntax_uid: str, content: "Content", service_url: str) -> dict[str, str]:
    """The headers that say what a content is, of a part or of a whole answer; viewers decode by the transfer syntax."""
    return {
        "Content-Type": format_media_type(offer.media_type, {"transfer-syntax": transfer_syntax_uid}),
        "Content-Location": f"{service_url}/{content.path}",
    }


def single_response(offer: Offer, transfer_syntax_uid: str, content: "Content", service_url: str) -> Response:
    """An answer of one content: alone or, where the offer is multipart, as the only part. Its length is told."""
    headers = content_headers(offer, transfer_syntax_uid, content, service_url)
    if not offer.is_multipart:
        return StreamingResponse(content.chunks, headers={**headers, "Content-Length": str(content.size_bytes)})
    boundary = new_boundary()
    response = multipart_response(offer, _only(transfer_syntax_uid, content), service_url, boundary)
    response.headers["Content-Length"] = str(message_bytes(boundary, [(Headers(headers), content.size_bytes)]))
    return response


def multipart_response(
    offer: Offer, contents: AsyncIterator[tuple[str, "Content"]], service_url: str, boundary: str | None = None
) -> Response:
    """An answer of a part for each content, which comes with its transfer syntax."""
    encoder = MultipartEncoder(boundary or new_boundary(), type=offer.media_type)
    message = _encoded(encoder, offer, contents, service_url)
    return StreamingResponse(message, headers={"Content-Type": encoder.content_type})


async def _encoded(
    encoder: MultipartEncoder, offer: Offer, contents: AsyncIterator[tuple[str, "Content"]], service_url: str
) -> AsyncIterator[bytes]:
    async for transfer_syntax_uid, content in contents:
        headers = content_headers(offer, transfer_syntax_uid, content, service_url)
        yield encoder.send(PartBegin(Headers(headers)))
        async for chunk in content.chunks:
            yield encoder.send(PartData(chunk))
        encoder.send(PartEnd())
    yield encoder.send(MessageEnd())


async def _only(transfer_syntax_uid: str, content: "Content") -> AsyncIterator[tuple[str, "Content"]]:
    yield transfer_syntax_uid, content

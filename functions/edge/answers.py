"""Contents to answers: alone or in parts, whole, in ranges or not changed (PS3.18 8.6.1.2, RFC 9110 13 and 14)."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from functions.edge.request import problem, service_url
from shared.multipart import (
    Headers,
    MessageEnd,
    MultipartEncoder,
    PartBegin,
    PartData,
    PartEnd,
    new_boundary,
)
from shared.web.byte_ranges import RangeNotSatisfiable, requested_range
from shared.web.content_negotiation import Offer
from shared.web.entity_tags import names_tag
from shared.web.media_types import format_media_type

if TYPE_CHECKING:
    from shared.web.content import Content

# A browser may keep an answer for itself, and has to ask each time whether it still holds.
_CACHING: Final = {"Cache-Control": "private, no-cache", "Vary": "Accept, Accept-Encoding"}
_GZIP_LEVEL: Final = 4
_GZIP_WINDOW: Final = 31  # zlib's word for gzip


def not_modified(req: Request, tag: str) -> Response | None:
    """The answer to a client that has the representation of this entity tag; None where it has not."""
    if not names_tag(req.headers.get("if-none-match"), tag):
        return None
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag, **_CACHING})


async def content_response(req: Request, offer: Offer, content: "Content", tag: str) -> Response:
    """An answer of one content, alone or as the only part, or the range of the answer that is asked for.

    A range is one of the representation, so of a message with its head: cornerstone3D asks for frames so.
    """
    headers = {"ETag": tag, **_CACHING}
    if not offer.is_multipart:
        return await _answer(req, content, headers | _headers_of(content, service_url(req)))
    encoder = MultipartEncoder(_boundary_of(tag), type=offer.media_type)
    message = _message(encoder, content, service_url(req))
    return await _answer(req, message, {**headers, "Content-Type": encoder.content_type})


def multipart_response(
    req: Request, offer: Offer, contents: AsyncIterator["Content"], tag: str | None = None
) -> Response:
    """An answer of a part for each content; one that fails in its midst is cut short, so nobody takes it for whole."""
    encoder = MultipartEncoder(_boundary_of(tag) if tag else new_boundary(), type=offer.media_type)
    headers = {"ETag": tag, **_CACHING} if tag else {}
    message = _encoded(encoder, contents, service_url(req))
    return StreamingResponse(message, headers={**headers, "Content-Type": encoder.content_type})


def _boundary_of(tag: str) -> str:
    """The same boundary each time, as the entity tag is; nobody who stores an instance can know it before."""
    return tag.strip('"')


def accepts_gzip(req: Request) -> bool:
    """Whether the client takes content that is gzipped (RFC 9110 12.5.3)."""
    codings = (coding.partition(";") for coding in req.headers.get("accept-encoding", "").lower().split(","))
    weights = {name.strip(): weight.replace(" ", "") for name, _, weight in codings}
    weight = weights.get("gzip", weights.get("*", "q=0"))
    return weight.removeprefix("q=").strip("0.") != "" or not weight


def text_response(req: Request, offer: Offer, text: AsyncIterator[bytes], tag: str) -> Response:
    """An answer of text, gzipped for a client that takes it so."""
    headers = {"ETag": tag, **_CACHING}
    if accepts_gzip(req):
        headers["Content-Encoding"] = "gzip"
        text = _gzipped(text)
    return StreamingResponse(text, headers=headers, media_type=offer.media_type)


async def _answer(req: Request, content: "Content", headers: dict[str, str]) -> Response:
    from shared.web.content import begun

    if content.size_bytes is not None:
        headers["Content-Length"] = str(content.size_bytes)
    if content.size_bytes is None or not content.is_ranged:
        return StreamingResponse(await _begun(req, content), headers=headers)
    headers["Accept-Ranges"] = "bytes"
    is_same = req.headers.get("if-range", headers["ETag"]) == headers["ETag"]
    asked = req.headers.get("range") if req.method == "GET" and is_same else None
    try:
        found = requested_range(asked, content.size_bytes)
    except RangeNotSatisfiable:
        return problem(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"The range begins after the end: there are {content.size_bytes} bytes.",
            {"Content-Range": f"bytes */{content.size_bytes}"},
        )
    if found is None:
        return StreamingResponse(await _begun(req, content), headers=headers)
    length = found.end - found.start
    headers |= {"Content-Range": found.content_range, "Content-Length": str(length)}
    return StreamingResponse(await begun(content.read(found.start, length)), HTTPStatus.PARTIAL_CONTENT, headers)


def _message(encoder: MultipartEncoder, content: "Content", service_url: str) -> "Content":
    """The multipart message of one content, to be read as that can be."""
    head = encoder.send(PartBegin(Headers(_headers_of(content, service_url))))
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
        # With the first bytes of the content goes what is before them: what cannot be had fails at the first step.
        held = head[offset : offset + length]
        first, last = max(offset - len(head), 0), min(offset + length, end_offset) - len(head)
        if first < last:
            async for chunk in content.read(first, last - first):
                yield held + chunk
                held = b""
        yield held + end[max(offset - end_offset, 0) : max(offset + length - end_offset, 0)]

    return replace(content, size_bytes=end_offset + len(end), read=read)


async def _begun(req: Request, content: "Content") -> AsyncIterator[bytes]:
    """All bytes of a content, the first read already, so that what fails at once becomes a status; none for HEAD."""
    return content.all() if req.method == "HEAD" else (await content.begun()).all()


def _headers_of(content: "Content", service_url: str) -> dict[str, str]:
    """The headers that say what a content is, of a part or of a whole answer; viewers decode by the transfer syntax."""
    parameters = {"transfer-syntax": content.transfer_syntax_uid} if content.transfer_syntax_uid else {}
    return {
        "Content-Type": format_media_type(content.media_type, parameters),
        "Content-Location": f"{service_url}/{content.path}",
    }


async def _encoded(
    encoder: MultipartEncoder, contents: AsyncIterator["Content"], service_url: str
) -> AsyncIterator[bytes]:
    async for content in contents:
        yield encoder.send(PartBegin(Headers(_headers_of(content, service_url))))
        async for chunk in content.all():
            yield encoder.send(PartData(chunk))
        encoder.send(PartEnd())
    yield encoder.send(MessageEnd())


async def _gzipped(text: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW)
    async for piece in text:
        if compressed := await asyncio.to_thread(compressor.compress, piece):
            yield compressed
    yield compressor.flush()

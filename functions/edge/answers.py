"""From what a service offers of a resource to an answer: the one place where a retrieval becomes HTTP.

A representation is chosen (PS3.18 8.7), named by an entity tag, not sent to a client that has it (RFC 9110 13), sent
whole or in the range requested (14), alone or in parts (PS3.18 8.6.1.2), text gzipped.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from functions.edge.app import App
from functions.edge.headers import warning
from functions.edge.multipart_message import content_headers, multipart_message, multipart_response, warning_headers
from functions.edge.problems import problem
from functions.edge.request import accepted, accepts_gzip, listed, service_url
from shared.services.retrieve.remembered import Remembered, answered
from shared.web.byte_ranges import RangeNotSatisfiable, requested_range
from shared.web.content import Content, Parts, Representations, Stream, Unread, started
from shared.web.content_negotiation import Offer, negotiate
from shared.web.entity_tags import caching_headers, entity_tag, names_tag
from shared.web.media_types import MediaType

_GZIP_LEVEL: Final = 4
_GZIP_WINDOW: Final = 31  # selects the gzip format in zlib


async def retrieval_response(
    req: Request,
    app: App,
    found: Representations | Unread | Remembered,
    accept: Sequence[MediaType] | None = None,
) -> Response:
    """The answer to a retrieval of what a service has found; `accept`, if given, replaces what the request accepts.

    Raises NotAcceptable, and what the service raises.
    """
    accept = accepted(req) if accept is None else accept
    if isinstance(found, Remembered) and "if-none-match" in req.headers:
        found = await found.read()  # the row alone may do
    return await answered(found, lambda resource: _response(req, app, resource, accept))


async def _response(req: Request, app: App, found: Representations | Unread, accept: Sequence[MediaType]) -> Response:
    url = service_url(req, app.settings)
    if isinstance(found, Unread):
        headers = caching_headers(entity_tag(found.version, listed(req, "accept"), url))
        if _is_at_client(req, headers):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        found = await found.read()
        offer = negotiate(accept, found.offers)
    else:
        offer = negotiate(accept, found.offers)
        headers = _caching_headers(req, found, offer, url)
        if _is_at_client(req, headers):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    match await found.open(offer):
        case Content() as content:
            return await _content_response(req, offer, content, url, headers)
        case Parts(contents, left_out):
            parts = contents if req.method == "HEAD" else await started(contents)
            response = multipart_response(offer, parts, url, headers)
            if left_out:
                response.status_code = HTTPStatus.PARTIAL_CONTENT  # PS3.18 Table 10.4.3-1
                response.headers["Warning"] = warning(url, left_out)
            return response
        case Stream() as stream:
            return await _stream_response(req, stream, headers)


def _is_at_client(req: Request, headers: dict[str, str]) -> bool:
    return "ETag" in headers and names_tag(listed(req, "if-none-match"), headers["ETag"])


def _caching_headers(req: Request, found: Representations, offer: Offer, url: str) -> dict[str, str]:
    """An entity tag of all that the bytes of a representation depend on; no headers where that is not known."""
    if found.version is None or (offer.is_multipart and not found.is_version_of_parts):
        return {}
    uids = sorted(offer.transfer_syntax_uids)
    is_gzipped = found.is_text and accepts_gzip(req)
    return caching_headers(entity_tag(found.version, offer.media_type, uids, offer.is_multipart, is_gzipped, url))


async def _stream_response(req: Request, stream: Stream, headers: dict[str, str]) -> Response:
    chunks = stream.chunks if req.method == "HEAD" else await started(stream.chunks)
    if stream.file_name:
        headers["Content-Disposition"] = f'attachment; filename="{stream.file_name}"'
    if stream.is_text and accepts_gzip(req):
        headers["Content-Encoding"] = "gzip"
        chunks = _gzipped(chunks)
    return StreamingResponse(chunks, headers=headers, media_type=stream.media_type)


async def _content_response(
    req: Request, offer: Offer, content: Content, url: str, headers: dict[str, str]
) -> Response:
    """An answer of one content, alone or as the only part, or the requested range of that answer.

    A range counts from the start of the representation, including the head of a multipart message: cornerstone3D asks
    for frames in this way.
    """
    if not offer.is_multipart:
        return await _ranged_response(req, content, headers | content_headers(content, url))
    message, content_type = multipart_message(content, url, headers)
    headers = {**headers, "Content-Type": content_type, **warning_headers(content, url)}
    return await _ranged_response(req, message, headers)


async def _ranged_response(req: Request, content: Content, headers: dict[str, str]) -> Response:
    if content.size_bytes is None or not content.is_ranged:
        if content.size_bytes is not None:
            headers["Content-Length"] = str(content.size_bytes)
        return StreamingResponse(await _whole(req, content), headers=headers)
    headers["Content-Length"] = str(content.size_bytes)
    headers["Accept-Ranges"] = "bytes"
    tag = headers.get("ETag")
    is_same = req.headers.get("if-range", tag) == tag
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
        return StreamingResponse(await _whole(req, content), headers=headers)
    length = found.end - found.start
    headers |= {"Content-Range": found.content_range, "Content-Length": str(length)}
    return StreamingResponse(await started(content.read(found.start, length)), HTTPStatus.PARTIAL_CONTENT, headers)


async def _whole(req: Request, content: Content) -> AsyncIterator[bytes]:
    """All bytes of a content, the first already read, so that an early failure becomes a status; for HEAD, none."""
    return content.all() if req.method == "HEAD" else await started(content.all())


async def _gzipped(text: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW)
    async for piece in text:
        if compressed := await asyncio.to_thread(compressor.compress, piece):
            yield compressed
    yield compressor.flush()

"""The body of a request: as it arrives, decoded, within the one limit on its size, and as the events of its parts."""

import sys
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request

from functions.edge.content_coding import decoded
from functions.edge.request import listed
from functions.edge.steady_receiving import steady
from shared.errors import PayloadTooLarge, UnsupportedMediaType
from shared.multipart import (
    Event,
    Headers,
    MessageEnd,
    MultipartDecoder,
    MultipartLimits,
    PartBegin,
    PartData,
    PartEnd,
    decode_events,
)
from shared.settings import Settings
from shared.web.media_types import boundary_of, parse_media_type

_DICOM: Final = "application/dicom"
_ACCEPTED: Final = 'Send multipart/related; type="application/dicom", or application/dicom for one instance.'


async def body(req: Request, settings: Settings) -> AsyncIterator[bytes]:
    """The body as it arrives, without its content coding.

    Raises UnsupportedContentCoding; PayloadTooLarge for a body over the limit, at once if its length is announced, or
    once it is decoded; RequestTimeout for a client that stalls; and BadRequest for one that cannot be decoded.
    """
    limit = settings.max_request_bytes
    announced = req.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise PayloadTooLarge(f"The body is larger than {limit} bytes.")
    sent = _within(limit, steady(req.stream(), settings.max_stalled_seconds))
    async for chunk in _within(limit, decoded(sent, listed(req, "content-encoding") or "")):
        yield chunk


async def _within(limit: int, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        if received > limit:
            raise PayloadTooLarge(f"The body is larger than {limit} bytes.")
        if chunk:
            yield chunk


async def json_body(req: Request, settings: Settings, max_bytes: int) -> bytes:
    """The whole body of a request that brings JSON. Raises UnsupportedMediaType, PayloadTooLarge and as `body` does."""
    content_type = req.headers.get("content-type")
    if content_type is None or parse_media_type(content_type).name != "application/json":
        raise UnsupportedMediaType("The request's Content-Type must be application/json.")
    whole = bytearray()
    async for chunk in _within(max_bytes, body(req, settings)):
        whole += chunk
    return bytes(whole)


def part_events(req: Request, settings: Settings) -> AsyncIterator[Event]:
    """The events of a store request's parts; a body that is one instance is one part.

    Raises UnsupportedMediaType for an unsupported Content-Type, BadRequest for a malformed one; while the body is read,
    PayloadTooLarge over a limit of the settings, RequestTimeout for a client that stalls, and MultipartError for a
    malformed message.
    """
    content_type = req.headers.get("content-type")
    if content_type is None:
        raise UnsupportedMediaType(f"The request has no Content-Type. {_ACCEPTED}")
    media_type = parse_media_type(content_type)
    if media_type.name == _DICOM:
        return _single_part(body(req, settings), settings.max_part_bytes)
    part_type = media_type.parameters.get("type", _DICOM)
    if media_type.name != "multipart/related" or part_type.lower() not in (_DICOM, "*/*"):
        raise UnsupportedMediaType(f"The request's Content-Type is not supported. {_ACCEPTED}")
    limits = MultipartLimits(
        max_parts=settings.max_parts,
        max_part_bytes=settings.max_part_bytes,
        max_total_bytes=sys.maxsize,  # `body` limits the whole
    )
    return decode_events(body(req, settings), MultipartDecoder(boundary_of(media_type), limits=limits))


async def _single_part(chunks: AsyncIterator[bytes], max_part_bytes: int) -> AsyncIterator[Event]:
    yield PartBegin(Headers({"Content-Type": _DICOM}))
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        if received > max_part_bytes:
            raise PayloadTooLarge(f"The instance is larger than {max_part_bytes} bytes (max_part_bytes).")
        yield PartData(chunk)
    yield PartEnd()
    yield MessageEnd()

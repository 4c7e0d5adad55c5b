"""The content coding of a request's body (RFC 9110 8.4): gzip is undone as the body arrives, a little at a time."""

import zlib
from collections.abc import AsyncIterator
from typing import Final

from shared.errors import BadRequest, UnsupportedContentCoding
from shared.services.turns import Turns

_GZIP: Final = frozenset({"gzip", "x-gzip"})  # RFC 9110 8.4.1.3: the same
_GZIP_WINDOW: Final = 31  # selects the gzip format in zlib
_PIECE_BYTES: Final = 64 * 1024  # a byte may stand for a thousand


def decoded(chunks: AsyncIterator[bytes], content_encoding: str) -> AsyncIterator[bytes]:
    """The body without its codings, as the header Content-Encoding lists them; the caller bounds its length.

    Raises UnsupportedContentCoding for any but gzip once; while it is read, BadRequest where it is not gzip, or is cut
    short.
    """
    codings = [
        coding for name in content_encoding.lower().split(",") if (coding := name.strip()) not in ("", "identity")
    ]
    if not codings:
        return chunks
    if len(codings) > 1 or codings[0] not in _GZIP:
        raise UnsupportedContentCoding("The body's Content-Encoding is not supported. Send it as it is, or as gzip.")
    return _gunzipped(chunks)


async def _gunzipped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    member = zlib.decompressobj(_GZIP_WINDOW)
    turns = Turns()
    async for rest in chunks:
        is_more = True
        while rest or is_more:
            if member.eof:  # there may be several members (RFC 1952 2.2)
                member = zlib.decompressobj(_GZIP_WINDOW)
            try:
                piece = member.decompress(rest, _PIECE_BYTES)
            except zlib.error:
                raise BadRequest("The body is not gzip, which its Content-Encoding says it is.") from None
            rest = member.unconsumed_tail or member.unused_data
            is_more = len(piece) == _PIECE_BYTES and not member.eof
            if piece:
                yield piece
            await turns.next()
    if not member.eof:
        raise BadRequest("The body is cut short: it ends before its gzip does.")

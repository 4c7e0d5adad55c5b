"""From events to the bytes of a message."""

import re
import secrets
from collections.abc import Mapping
from typing import Final

from shared.multipart.events import (
    HEADER_NAME,
    HEADER_TEXT,
    Event,
    Headers,
    MessageEnd,
    PartBegin,
    PartData,
    PartEnd,
)
from shared.multipart.limits import MultipartMisuse

# What needs no quotes (RFC 2045 5.1), as clients that split at ";" and "=" expect, and fits the 100-byte buffer of
# Microsoft's .NET client.
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'+_.-]{1,70}")
_UNESCAPED: Final = re.compile(r"[ !#-\[\]-~]*")  # what a quoted string (RFC 2045 5.1) holds unescaped


class MultipartEncoder:
    """Turns events into a message in canonical form: no preamble, no padding, a CRLF at the end.

    `content_type` is the Content-Type of the message, with `type` and `parameters` quoted (PS3.18 8.7.3.5.1). Raises
    MultipartMisuse for a boundary that needs quotes or exceeds 70 characters, and for a value that needs escapes.
    """

    def __init__(self, boundary: str, *, type: str, parameters: Mapping[str, str] | None = None) -> None:
        if not _BOUNDARY.fullmatch(boundary):
            raise MultipartMisuse("The boundary is not 1 to 70 characters that need no quotes")
        self._delimiter = b"--" + boundary.encode("ascii")
        self._line_break, self._is_in_part, self._has_ended = b"", False, False
        self.content_type = "multipart/related"
        for name, value in {"type": type, **(parameters or {})}.items():
            if not HEADER_NAME.fullmatch(name) or not _UNESCAPED.fullmatch(value):
                raise MultipartMisuse(f"The parameter {name!r} cannot be quoted")
            self.content_type += f'; {name}="{value}"'
        self.content_type += f"; boundary={boundary}"

    def send(self, event: Event) -> bytes:
        """The bytes of the event; none for PartEnd, since the CRLF after a body belongs to the delimiter.

        Raises MultipartMisuse, and changes nothing, for an event out of turn or a header that could inject another.
        """
        if self._has_ended or self._is_in_part is not isinstance(event, PartData | PartEnd):
            raise MultipartMisuse(f"{type(event).__name__} out of turn")
        match event:
            case PartBegin(headers):
                encoded, self._is_in_part = self._line_break + self._delimiter + _header_block(headers), True
            case PartData(data):
                encoded = data
            case PartEnd():
                encoded, self._is_in_part = b"", False
            case MessageEnd():
                encoded, self._has_ended = self._line_break + self._delimiter + b"--\r\n", True
        self._line_break = b"\r\n"
        return encoded


def _header_block(headers: Headers) -> bytes:
    if not all(HEADER_NAME.fullmatch(name) and HEADER_TEXT.fullmatch(value) for name, value in headers.items()):
        raise MultipartMisuse(f"A name or value cannot stand in a header: {', '.join(headers)!r}")
    return "\r\n".join(["", *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode("latin-1")


def new_boundary() -> str:
    """A boundary for one message: random, as bodies are not searched for it, and some day one would hold a constant."""
    return secrets.token_hex(16)

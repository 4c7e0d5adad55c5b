"""The multipart codec: bytes to events and events to bytes."""

import re
import secrets
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final, TypeAlias

from shared.errors import BadRequest, PayloadTooLarge

# RFC 2046 5.1.1 allows 70 characters of a small alphabet; not all senders keep to it. Emitted boundaries need no quotes
# (RFC 2045 5.1), as clients that split at ";" and "=" expect, and fit the 100-byte buffer of Microsoft's .NET client.
_ACCEPTED_BOUNDARY: Final = re.compile(r"[ -~]{1,256}")
_EMITTED_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'+_.-]{1,70}")
# After `--boundary`: the mark of the close delimiter, transport padding (RFC 2046 5.1.1; bounded, for it is held back),
# the line's end. Group 2 is missing where the input stops before it is certain how the line ends.
_REST_OF_DELIMITER: Final = re.compile(rb"(--)?[ \t]{0,128}(?:(\r\n)|\r?\Z)|-\Z")
# RFC 5322 2.2: a name, a colon, a value that may be folded. Latin-1 takes any byte and gives it back: a file name in
# another charset is no reason to refuse an image.
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TEXT: Final = re.compile(r"[\t -~\x80-\xff]*")
_FIELD: Final = re.compile(rf"({_NAME.pattern}):({_TEXT.pattern}(?:\r\n[ \t]{_TEXT.pattern})*)\r\n".encode("latin-1"))
_UNESCAPED: Final = re.compile(r"[ !#-\[\]-~]*")  # what a quoted string (RFC 2045 5.1) holds as it is


class MultipartError(BadRequest, ValueError):
    """The message breaks RFC 2046 at byte `offset` (from 0); or its boundary cannot be one, and `offset` is None."""

    def __init__(self, detail: str, offset: int | None = None) -> None:
        super().__init__(detail if offset is None else f"{detail} (at byte {offset} of the multipart message)")
        self.offset = offset


class MultipartTruncated(MultipartError):
    """The input ended before the close delimiter: the last part may be cut and must not be kept."""


class MultipartLimitExceeded(PayloadTooLarge, ValueError):
    """The message exceeds `limit`, a field of MultipartLimits; `offset` (from 0) is that of the first byte too many."""

    def __init__(self, limit: str, limits: "MultipartLimits", offset: int) -> None:
        super().__init__(f"Over {limit} = {getattr(limits, limit)} (at byte {offset} of the multipart message)")
        self.limit, self.offset = limit, offset


class MultipartMisuse(RuntimeError):
    """The caller broke the codec's contract: a bug of ours, whatever the peer sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipartLimits:
    """How much of a message the decoder takes before it raises MultipartLimitExceeded, and against what."""

    max_parts: int = 10_000  # the cost of a transaction for each of countless tiny parts
    max_part_bytes: int = 4 * 1024**3  # of one body: a part larger than whoever stores it can hold
    max_total_bytes: int = 4 * 1024**3  # received, of any kind: an endless upload, which chunked transfer permits
    max_header_bytes: int = 8 * 1024  # of a part's headers and blank line: one without end, held in memory meanwhile
    max_headers: int = 16  # of one part: a flood of names
    max_preamble_bytes: int = 4 * 1024  # before the first delimiter, and after the last: a wrong boundary found late


class Headers(Mapping[str, str]):
    """The headers of a part: immutable, in their order, looked up without regard to case; each name has one value."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        self._fields = {name.lower(): (name, value) for name, value in dict(fields).items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part begins. Nothing is assumed in place of a header that it lacks, not even RFC 2046's text/plain."""

    headers: Headers

    @property
    def content_type(self) -> str | None:
        """The value of Content-Type as sent, with its parameters; None without one."""
        return self.headers.get("Content-Type")


@dataclass(frozen=True, slots=True)
class PartData:
    """The next bytes of the part's body; from the decoder never empty. Where they are cut means nothing."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is complete: the delimiter after it was seen, and it is as long as its Content-Length, if any, says."""


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """The message is complete: the close delimiter was seen and the input has ended, with nothing wrong after it."""


Event: TypeAlias = PartBegin | PartData | PartEnd | MessageEnd
NeedData = Enum("NeedData", ["NEED_DATA"])
NEED_DATA: Final = NeedData.NEED_DATA


_State = Enum("_State", ["PREAMBLE", "HEADERS", "BODY", "EPILOGUE"])


class MultipartDecoder:
    """Turns the chunks of a message into events: the same parts or the same error, however it is cut into chunks.

    The caller alternates `receive_data` with `next_event` or `events`. Time is linear in the message; of chunks that
    were asked for, at most a delimiter or a header block is held. Raises MultipartError for an unusable boundary.
    """

    def __init__(self, boundary: str, *, limits: MultipartLimits | None = None) -> None:
        if not _ACCEPTED_BOUNDARY.fullmatch(boundary):
            raise MultipartError("The boundary is not 1 to 256 printable ASCII characters")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._limits = limits or MultipartLimits()
        self._state = _State.PREAMBLE
        self._error: MultipartError | MultipartLimitExceeded | None = None
        self._chunks: deque[bytes] = deque()
        self._received_bytes = 0
        self._has_ended = False  # and nothing of the message was left out for max_total_bytes
        self._buffer = b""
        self._base = 0  # offset of the buffer in the message
        self._position = 0  # index in the buffer; before a CRLF while that may turn out to be a delimiter's
        self._searched = 0  # bytes after the position that are known not to end the header block
        self._begin = 0  # offset in the message of the preamble, body or epilogue being read
        self._content_length: str | None = None  # of the part being read, as declared
        self._part_count = 0

    def receive_data(self, chunk: bytes) -> None:
        """Store the next bytes of the message; an empty chunk means that the input has ended, and may be repeated.

        Raises MultipartMisuse for data after the end, and nothing else: what is wrong with them, `next_event` finds.
        """
        if chunk and self._has_ended:
            raise MultipartMisuse("Data after the end of the input")
        room = self._limits.max_total_bytes - self._received_bytes
        self._received_bytes += len(chunk)
        self._has_ended = not chunk and room >= 0
        if chunk and room > 0 and self._error is None:
            self._chunks.append(chunk[:room])

    def next_event(self) -> Event | NeedData:
        """The next event; NEED_DATA if more must be received first; once the message has ended, always MessageEnd.

        Raises MultipartError or MultipartLimitExceeded, and from then on always the same. Any other error is a bug.
        """
        if self._error is not None:
            raise self._error.with_traceback(None)
        try:
            while (event := self._STEPS[self._state](self)) is None or (event is NEED_DATA and self._take_chunk()):
                pass
        except (MultipartError, MultipartLimitExceeded) as error:
            self._error = error
            raise
        return event

    def events(self) -> Iterator[Event]:
        """The events that follow from what was received, up to MessageEnd; raises as `next_event` does."""
        while (event := self.next_event()) is not NEED_DATA:
            yield event
            if isinstance(event, MessageEnd):
                return

    def _take_chunk(self) -> bool:
        if self._chunks:
            rest, chunk = self._buffer[self._position :], self._chunks.popleft()
            self._base += self._position
            self._buffer, self._position = rest + chunk if rest else chunk, 0
            return True
        if self._received_bytes > self._limits.max_total_bytes:
            raise MultipartLimitExceeded("max_total_bytes", self._limits, self._limits.max_total_bytes)
        if self._has_ended:
            raise MultipartTruncated("The message ends before its close delimiter", self._base + len(self._buffer))
        return False

    def _check_size(self, end: int, limit: str) -> int:
        size, allowed = self._base + end - self._begin, getattr(self._limits, limit)
        if size > allowed:
            raise MultipartLimitExceeded(limit, self._limits, self._begin + allowed)
        return size

    def _search(self) -> tuple[int, bool]:
        """Where the next delimiter begins, and True; or up to where there surely is none, and False."""
        start = b"\r\n" + self._buffer[: len(self._delimiter) - 2]
        if self._base + self._position == 0 and self._delimiter.startswith(start):
            return (-2, True) if start == self._delimiter else (0, False)  # as if a CRLF stood before the message
        found = self._buffer.find(self._delimiter, self._position)
        if found >= 0:
            return found, True
        # A delimiter's only CR is its first byte: one cut by the chunk's end begins at the last CR within its length.
        size = len(self._buffer)
        cr = self._buffer.rfind(b"\r", max(self._position, size - len(self._delimiter) + 1))
        return (cr if cr >= 0 and self._delimiter.startswith(self._buffer[cr:]) else size), False

    def _pass_delimiter(self, begin: int) -> bool:
        """Go on after the delimiter at `begin`; False, and nothing done, while its line is not complete."""
        rest = _REST_OF_DELIMITER.match(self._buffer, begin + len(self._delimiter))
        if rest is None:  # RFC 2046 5.1.1 sees a delimiter here and some parsers see data: a guess could cut an image
            raise MultipartError("Delimiter-like line in part", self._base + begin + 2)
        if not rest[2] and not (rest[1] and self._has_ended and not self._chunks):  # dicomweb-client sends no last CRLF
            return False
        self._state, self._position = (_State.EPILOGUE, rest.end()) if rest[1] else (_State.HEADERS, rest.start(2))
        self._begin = self._base + self._position
        return True

    def _skip_preamble(self) -> Event | NeedData | None:
        end, is_found = self._search()
        self._check_size(end, "max_preamble_bytes")
        self._position = max(end, self._position)
        return None if is_found and self._pass_delimiter(end) else NEED_DATA

    def _read_headers(self) -> Event | NeedData | None:
        begin = self._position + 2
        limit = begin + self._limits.max_header_bytes
        if self._part_count == self._limits.max_parts:
            raise MultipartLimitExceeded("max_parts", self._limits, self._base + begin)
        # A part without headers begins with the blank line: found with the CRLF of the delimiter's line.
        blank_line = self._buffer.find(b"\r\n\r\n", self._position + self._searched, limit) + 2
        if blank_line < 2:
            if len(self._buffer) >= limit:
                raise MultipartLimitExceeded("max_header_bytes", self._limits, self._base + limit)
            self._searched = max(0, len(self._buffer) - self._position - 3)
            return NEED_DATA
        # RFC 2046 5.1.1, body-part := MIME-part-headers [CRLF *OCTET]: without body, that CRLF is the next delimiter's.
        following = self._buffer[blank_line : blank_line + len(self._delimiter)]
        if following != self._delimiter and self._delimiter.startswith(following):
            return NEED_DATA
        has_body = following != self._delimiter
        headers = self._parse_headers(begin, blank_line)
        self._content_length = headers.get("Content-Length")
        self._position, self._searched = blank_line + 2 * has_body, 0
        self._begin = self._base + self._position
        self._part_count += 1
        # Without headers and without even a blank line of its own there is no part: so .NET's MultipartContent writes a
        # message of none, `--b CRLF CRLF--b--`. (`--b CRLF CRLF CRLF--b` has a blank line: a part with an empty body.)
        is_part = has_body or len(headers) > 0
        self._state = _State.BODY if is_part else _State.PREAMBLE
        return PartBegin(headers) if is_part else None

    def _parse_headers(self, begin: int, end: int) -> Headers:
        fields: list[tuple[str, str]] = []
        while begin < end:
            field = _FIELD.match(self._buffer, begin, end)
            if field is None or self._buffer.startswith(self._delimiter, begin - 2):
                raise MultipartError("A part's header is not `name: value`, then CRLF", self._base + begin)
            if len(fields) == self._limits.max_headers:
                raise MultipartLimitExceeded("max_headers", self._limits, self._base + begin)
            value = field[2].replace(b"\r\n", b"").strip()  # unfolded as RFC 5322 2.2.3 says
            fields.append((field[1].decode("ascii"), value.decode("latin-1")))
            begin = field.end()
        headers = Headers(fields)
        if len(headers) < len(fields):  # no header of MIME may repeat: which one counts would be a guess
            raise MultipartError("A part has the same header twice", self._base + end)
        if headers.get("Content-Transfer-Encoding", "binary").lower() not in ("7bit", "8bit", "binary"):  # RFC 2045 6.2
            raise MultipartError("A part's Content-Transfer-Encoding is not binary, 8bit or 7bit", self._base + end)
        return headers

    def _read_body(self) -> Event | NeedData:
        end, is_found = self._search()
        size = self._check_size(end, "max_part_bytes")
        if end > self._position:
            data, self._position = self._buffer[self._position : end], end
            return PartData(data)
        if not is_found or not self._pass_delimiter(end):
            return NEED_DATA
        if self._content_length not in (None, str(size)):
            raise MultipartError("A part's Content-Length is not its length", self._base + end)
        return PartEnd()

    def _skip_epilogue(self) -> Event | NeedData:
        self._position = len(self._buffer)
        self._check_size(self._position, "max_preamble_bytes")
        return MessageEnd() if self._has_ended and not self._chunks else NEED_DATA

    _STEPS: ClassVar[Mapping[_State, Callable[["MultipartDecoder"], Event | NeedData | None]]] = {
        _State.PREAMBLE: _skip_preamble,
        _State.HEADERS: _read_headers,
        _State.BODY: _read_body,
        _State.EPILOGUE: _skip_epilogue,
    }


class MultipartEncoder:
    """Turns events into a message in canonical form: no preamble, no padding, a CRLF at the end.

    `content_type` is the Content-Type of the message, with `type` and `parameters` quoted (PS3.18 8.7.3.5.1). Raises
    MultipartMisuse for a boundary or value that would need more quoting, and for a boundary of over 70 characters.
    """

    def __init__(self, boundary: str, *, type: str, parameters: Mapping[str, str] | None = None) -> None:
        if not _EMITTED_BOUNDARY.fullmatch(boundary):
            raise MultipartMisuse("The boundary is not 1 to 70 characters that need no quotes")
        self._delimiter = b"--" + boundary.encode("ascii")
        self._line_break, self._is_in_part, self._has_ended = b"", False, False
        self.content_type = "multipart/related"
        for name, value in {"type": type, **(parameters or {})}.items():
            if not _NAME.fullmatch(name) or not _UNESCAPED.fullmatch(value):
                raise MultipartMisuse(f"The parameter {name!r} cannot be quoted")
            self.content_type += f'; {name}="{value}"'
        self.content_type += f"; boundary={boundary}"

    def send(self, event: Event) -> bytes:
        """The bytes of the event; none for PartEnd, since the CRLF after a body belongs to the delimiter.

        Raises MultipartMisuse, and stays as it was, for an event out of turn or a header that could inject another one.
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
    if not all(_NAME.fullmatch(name) and _TEXT.fullmatch(value) for name, value in headers.items()):
        raise MultipartMisuse(f"A name or value cannot stand in a header: {', '.join(headers)!r}")
    return "\r\n".join(["", *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode("latin-1")


def new_boundary() -> str:
    """A boundary for one message: random, since no body is searched for it, and a constant is met in one some day."""
    return secrets.token_hex(16)


async def decode_events(chunks: AsyncIterable[bytes], decoder: MultipartDecoder) -> AsyncIterator[Event]:
    """The events of a message as its chunks arrive, MessageEnd the last; raises as the decoder does."""
    async for chunk in chunks:
        if chunk:
            decoder.receive_data(chunk)
            for event in decoder.events():
                yield event
    decoder.receive_data(b"")
    for event in decoder.events():
        yield event

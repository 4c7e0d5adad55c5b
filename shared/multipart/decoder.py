"""From the bytes of a message to events: the grammar of RFC 2046 5.1.1 and the states of reading it."""

import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from enum import Enum
from typing import ClassVar, Final

from shared.multipart.buffer import ReceiveBuffer
from shared.multipart.events import (
    HEADER_NAME,
    HEADER_TEXT,
    NEED_DATA,
    Event,
    Headers,
    MessageEnd,
    NeedData,
    PartBegin,
    PartData,
    PartEnd,
)
from shared.multipart.limits import (
    MultipartError,
    MultipartLimitExceeded,
    MultipartLimits,
    MultipartMisuse,
    MultipartTruncated,
)

# RFC 2046 5.1.1 allows 70 characters of a small alphabet; not all senders keep to it.
_BOUNDARY: Final = re.compile(r"[ -~]{1,256}")
# After `--boundary`: the mark of the close delimiter, transport padding (RFC 2046 5.1.1; bounded, as it is held in
# memory), the line's end. Group 2 is missing where the input stops before it is certain how the line ends.
_REST_OF_DELIMITER: Final = re.compile(rb"(--)?[ \t]{0,128}(?:(\r\n)|\r?\Z)|-\Z")
# RFC 5322 2.2: a name, a colon, a value that may be folded.
_FIELD: Final = re.compile(
    rf"({HEADER_NAME.pattern}):({HEADER_TEXT.pattern}(?:\r\n[ \t]{HEADER_TEXT.pattern})*)\r\n".encode("latin-1")
)

_State = Enum("_State", ["PREAMBLE", "HEADERS", "BODY", "EPILOGUE"])


class MultipartDecoder:
    """Turns the chunks of a message into events: the same parts or the same error, however the message is cut.

    The caller alternates `receive_data` with `next_event` or `events`. Time is linear in the message; of the chunks
    already read, at most a delimiter or a header block is held. Raises MultipartError for an unusable boundary.
    """

    def __init__(self, boundary: str, *, limits: MultipartLimits | None = None) -> None:
        if not _BOUNDARY.fullmatch(boundary):
            raise MultipartError("The boundary is not 1 to 256 printable ASCII characters")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._limits = limits or MultipartLimits()
        self._state = _State.PREAMBLE
        self._error: MultipartError | MultipartLimitExceeded | None = None
        self._buffer = ReceiveBuffer()
        self._received_bytes = 0
        self._has_ended = False  # and max_total_bytes cut nothing off
        self._begin = 0  # offset in the message of the preamble, body or epilogue being read
        self._part_count = 0

    def receive_data(self, chunk: bytes) -> None:
        """Store the next bytes of the message; an empty chunk means that the input has ended, and may be repeated.

        Raises MultipartMisuse for data after the end, and nothing else: `next_event` reports what is wrong with them.
        """
        if chunk and self._has_ended:
            raise MultipartMisuse("Data after the end of the input")
        room = self._limits.max_total_bytes - self._received_bytes
        self._received_bytes += len(chunk)
        self._has_ended = not chunk and room >= 0
        if chunk and room > 0 and self._error is None:
            self._buffer.add_chunk(chunk[:room])

    def next_event(self) -> Event | NeedData:
        """The next event; NEED_DATA if more must be received first; once the message has ended, always MessageEnd.

        Raises MultipartError or MultipartLimitExceeded, then the same on every later call. Any other error is a bug.
        """
        if self._error is not None:
            raise _anew(self._error)
        try:
            while (event := self._STEPS[self._state](self)) is None or (event is NEED_DATA and self._go_on()):
                pass
        except (MultipartError, MultipartLimitExceeded) as error:
            self._error = _anew(error)
            raise
        return event

    def events(self) -> Iterator[Event]:
        """The events that follow from what was received, up to MessageEnd; raises as `next_event` does."""
        while (event := self.next_event()) is not NEED_DATA:
            yield event
            if isinstance(event, MessageEnd):
                return

    def _go_on(self) -> bool:
        """Bring more bytes to hand; False where they must be received first; raises where none can follow."""
        if self._buffer.next_chunk():
            return True
        if self._received_bytes > self._limits.max_total_bytes:
            raise MultipartLimitExceeded("max_total_bytes", self._limits, self._limits.max_total_bytes)
        if self._has_ended:
            raise MultipartTruncated("The message ends before its close delimiter", self._buffer.end)
        return False

    def _is_all_at_hand(self) -> bool:
        return self._has_ended and not self._buffer.has_chunks

    def _check_size(self, end: int, limit: str) -> None:
        size, allowed = end - self._begin, getattr(self._limits, limit)
        if size > allowed:
            raise MultipartLimitExceeded(limit, self._limits, self._begin + allowed)

    def _find_delimiter(self) -> tuple[int, bool]:
        """Where the next delimiter begins, and True; or the offset before which none begins, and False."""
        if self._buffer.position == 0:  # as if a CRLF stood before the message
            start = b"\r\n" + self._buffer.peek(0, len(self._delimiter) - 2)
            if self._delimiter.startswith(start):
                return (-2, True) if start == self._delimiter else (0, False)
        return self._buffer.find_delimiter(self._delimiter)

    def _pass_delimiter(self, begin: int) -> bool:
        """Go on after the delimiter at `begin`; False, and nothing done, while its line is not complete."""
        rest = self._buffer.match(_REST_OF_DELIMITER, begin + len(self._delimiter))
        if rest is None:  # RFC 2046 5.1.1 sees a delimiter here and some parsers see data: a guess could cut an image
            raise MultipartError("Delimiter-like line in part", begin + 2)
        if not rest[2] and not (rest[1] and self._is_all_at_hand()):  # dicomweb-client sends no last CRLF
            return False
        end = begin + len(self._delimiter) + len(rest[0])
        # The line's CRLF is left for the headers: in a part without headers, the blank line begins with it.
        self._state, self._begin = (_State.EPILOGUE, end) if rest[1] else (_State.HEADERS, end - 2)
        self._buffer.skip_to(self._begin)
        return True

    def _skip_preamble(self) -> Event | NeedData | None:
        end, is_found = self._find_delimiter()
        self._check_size(end, "max_preamble_bytes")
        self._buffer.skip_to(max(end, self._buffer.position))
        return None if is_found and self._pass_delimiter(end) else NEED_DATA

    def _read_headers(self) -> Event | NeedData | None:
        begin = self._buffer.position + 2
        limit = begin + self._limits.max_header_bytes
        if self._part_count == self._limits.max_parts:
            raise MultipartLimitExceeded("max_parts", self._limits, begin)
        blank_line = self._buffer.find_blank_line(limit)
        if blank_line is None:
            if self._buffer.end >= limit:
                raise MultipartLimitExceeded("max_header_bytes", self._limits, limit)
            return NEED_DATA
        # RFC 2046 5.1.1, body-part := MIME-part-headers [CRLF *OCTET]: without body, that CRLF is the next delimiter's.
        following = self._buffer.peek(blank_line, len(self._delimiter))
        if following != self._delimiter and self._delimiter.startswith(following):
            return NEED_DATA
        has_body = following != self._delimiter
        headers = self._parse_headers(begin, blank_line)
        self._begin = blank_line + 2 * has_body
        self._buffer.skip_to(self._begin)
        self._part_count += 1
        # Without headers and without even its own blank line there is no part: .NET's MultipartContent writes a message
        # without parts as `--b CRLF CRLF--b--`. (`--b CRLF CRLF CRLF--b` has a blank line: a part with an empty body.)
        is_part = has_body or len(headers) > 0
        self._state = _State.BODY if is_part else _State.PREAMBLE
        return PartBegin(headers) if is_part else None

    def _parse_headers(self, begin: int, end: int) -> Headers:
        fields: list[tuple[str, str]] = []
        while begin < end:
            field = self._buffer.match(_FIELD, begin, end)
            if field is None or self._buffer.peek(begin - 2, len(self._delimiter)) == self._delimiter:
                raise MultipartError("A part's header is not `name: value`, then CRLF", begin)
            if len(fields) == self._limits.max_headers:
                raise MultipartLimitExceeded("max_headers", self._limits, begin)
            value = field[2].replace(b"\r\n", b"").strip()  # unfolded as RFC 5322 2.2.3 says
            fields.append((field[1].decode("ascii"), value.decode("latin-1")))
            begin += len(field[0])
        headers = Headers(fields)
        if len(headers) < len(fields):  # no MIME header may repeat: which one counts would be a guess
            raise MultipartError("A part has the same header twice", end)
        if headers.get("Content-Transfer-Encoding", "binary").lower() not in ("7bit", "8bit", "binary"):  # RFC 2045 6.2
            raise MultipartError("A part's Content-Transfer-Encoding is not binary, 8bit or 7bit", end)
        return headers

    def _read_body(self) -> Event | NeedData:
        end, is_found = self._find_delimiter()
        self._check_size(end, "max_part_bytes")
        if end > self._buffer.position:
            return PartData(self._buffer.take(end))
        if not is_found or not self._pass_delimiter(end):
            return NEED_DATA
        return PartEnd()

    def _skip_epilogue(self) -> Event | NeedData:
        self._buffer.skip_to(self._buffer.end)
        self._check_size(self._buffer.end, "max_preamble_bytes")
        return MessageEnd() if self._is_all_at_hand() else NEED_DATA

    _STEPS: ClassVar[Mapping[_State, Callable[["MultipartDecoder"], Event | NeedData | None]]] = {
        _State.PREAMBLE: _skip_preamble,
        _State.HEADERS: _read_headers,
        _State.BODY: _read_body,
        _State.EPILOGUE: _skip_epilogue,
    }


async def decode_events(chunks: AsyncIterable[bytes], decoder: MultipartDecoder) -> AsyncIterator[Event]:
    """The events of a message as its chunks arrive, MessageEnd last; raises as the decoder does."""
    async for chunk in chunks:
        if chunk:
            decoder.receive_data(chunk)
            for event in decoder.events():
                yield event
    decoder.receive_data(b"")
    for event in decoder.events():
        yield event


def _anew(error: MultipartError | MultipartLimitExceeded) -> MultipartError | MultipartLimitExceeded:
    """The same error, without the frames it came through: they hold the decoder, which would hold them in turn."""
    anew = type(error).__new__(type(error), *error.args)
    anew.__dict__.update(error.__dict__)
    return anew

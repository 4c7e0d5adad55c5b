"""The bytes of a message that are received but not yet taken. All offsets count from the first byte of the message.

Operations wanted:

* add a chunk, and go on to it once all bytes before it have been examined
* find the next delimiter, and the blank line that ends a block of headers
* look at bytes, or match a pattern, anywhere ahead
* take the bytes up to an offset

Goals:

* time linear in the message, however it is cut and whatever its bytes: the sender chooses both
* a chunk that lies within a body is taken as is, not copied
* of the chunks at hand, no more is held than the beginning of a delimiter, or a block of headers

Plan:

* One bytes object is at hand; later chunks wait in a queue. Taking moves a position. Bytes are only
  copied to join the next chunk to what is left at hand: little, as bodies are taken up to where a delimiter may begin.
* So no byte of a body is searched twice. A block of headers is taken as a whole: how far it was searched is kept.
"""

import re
from collections import deque


class ReceiveBuffer:
    """The received bytes of a message. `position` is the offset of the first byte not taken; it only grows."""

    __slots__ = ("_base", "_chunks", "_data", "_searched", "position")

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._data = b""
        self._base = 0  # offset of the first byte of the data
        self._searched = 0  # offset up to which no blank line begins
        self.position = 0

    @property
    def end(self) -> int:
        """The offset after the last byte at hand."""
        return self._base + len(self._data)

    @property
    def has_chunks(self) -> bool:
        """Whether more was received than is at hand."""
        return bool(self._chunks)

    def add_chunk(self, chunk: bytes) -> None:
        """Store a chunk for later."""
        self._chunks.append(chunk)

    def next_chunk(self) -> bool:
        """Bring the next chunk to hand; False if there is none."""
        if not self._chunks:
            return False
        rest, chunk = self._data[self.position - self._base :], self._chunks.popleft()
        self._data, self._base = rest + chunk if rest else chunk, self.position
        return True

    def find_delimiter(self, delimiter: bytes) -> tuple[int, bool]:
        """Where the next delimiter begins, and True; or the offset before which none begins, and False.

        A delimiter begins with a CR and holds no other CR.
        """
        begin, size = self.position - self._base, len(self._data)
        found = self._data.find(delimiter, begin)
        if found >= 0:
            return self._base + found, True
        # A delimiter that is cut by the end of the data begins at the last CR within its length.
        cr = self._data.rfind(b"\r", max(begin, size - len(delimiter) + 1))
        return self._base + (cr if cr >= 0 and delimiter.startswith(self._data[cr:]) else size), False

    def find_blank_line(self, limit: int) -> int | None:
        """Where the first CRLF that follows a CRLF begins, both before `limit`; None if there is none at hand."""
        begin = max(self.position, self._searched) - self._base
        found = self._data.find(b"\r\n\r\n", begin, limit - self._base)
        if found < 0:
            self._searched = self.end - 3
            return None
        return self._base + found + 2

    def peek(self, begin: int, size: int) -> bytes:
        """The `size` bytes from `begin` on, or as many of them as are at hand."""
        return self._data[begin - self._base : begin - self._base + size]

    def match(self, pattern: re.Pattern[bytes], begin: int, end: int | None = None) -> re.Match[bytes] | None:
        """Match a pattern at `begin` in the bytes at hand, or in those before `end`."""
        return pattern.match(self._data, begin - self._base, (self.end if end is None else end) - self._base)

    def skip_to(self, end: int) -> None:
        """Discard the bytes before `end`."""
        self.position = end

    def take(self, end: int) -> bytes:
        """Take the bytes before `end`."""
        taken = self._data[self.position - self._base : end - self._base]
        self.position = end
        return taken

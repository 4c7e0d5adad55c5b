"""Byte ranges of a representation (RFC 9110 14): one range per request; several are answered with the whole."""

import re
from dataclasses import dataclass
from typing import Final

_RANGE: Final = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,18})[ \t]*-[ \t]*([0-9]{0,18})[ \t]*", re.IGNORECASE)


class RangeNotSatisfiable(ValueError):
    """The range begins after the end; the answer is 416."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `start` to before `end`, at least one, of a representation of `size_bytes`."""

    start: int
    end: int
    size_bytes: int

    @property
    def content_range(self) -> str:
        """The value of Content-Range (RFC 9110 14.4)."""
        return f"bytes {self.start}-{self.end - 1}/{self.size_bytes}"


def requested_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """The range that a Range header asks for, of a representation of `size_bytes`.

    None where there is no header, or one that RFC 9110 14.2 lets a server ignore: malformed, in another unit, or with
    several ranges. Raises RangeNotSatisfiable for a range that holds no byte.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(size_bytes - int(last), 0), size_bytes
    else:
        start, end = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            return None
    if start >= end:
        raise RangeNotSatisfiable
    return ByteRange(start, end, size_bytes)

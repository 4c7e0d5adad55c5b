"""How much of a message is accepted, and the errors for what is not."""

from dataclasses import dataclass

from shared.errors import BadRequest, PayloadTooLarge


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipartLimits:
    """How much of a message the decoder accepts before it raises MultipartLimitExceeded, and what it guards against."""

    max_parts: int = 10_000  # the cost of storing countless tiny parts
    max_part_bytes: int = 4 * 1024**3  # of one body: a part too large to be stored
    max_total_bytes: int = 4 * 1024**3  # received in all: an endless upload, which chunked transfer permits
    max_header_bytes: int = 8 * 1024  # of a part's headers and blank line: endless headers, held in memory
    max_headers: int = 16  # of one part: a flood of names
    max_preamble_bytes: int = 4 * 1024  # before the first delimiter, and after the last: a wrong boundary found late


class MultipartError(BadRequest, ValueError):
    """The message breaks RFC 2046 at byte `offset` (from 0); or its boundary is invalid, and `offset` is None."""

    def __init__(self, detail: str, offset: int | None = None) -> None:
        super().__init__(detail if offset is None else f"{detail} (at byte {offset} of the multipart message)")
        self.offset = offset


class MultipartTruncated(MultipartError):
    """The input ended before the close delimiter: the last part may be cut and must not be kept."""


class MultipartLimitExceeded(PayloadTooLarge, ValueError):
    """The message exceeds `limit`, a field of MultipartLimits; `offset` (from 0) is the first byte too many."""

    def __init__(self, limit: str, limits: MultipartLimits, offset: int) -> None:
        super().__init__(f"Over {limit} = {getattr(limits, limit)} (at byte {offset} of the multipart message)")
        self.limit, self.offset = limit, offset


class MultipartMisuse(RuntimeError):
    """The caller broke the codec's contract: our bug, whatever the peer sent."""

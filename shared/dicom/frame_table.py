"""Where the frames of an instance lie in its stored file, so that each can be read by itself.

A frame is one range of native Pixel Data (PS3.5 8.1), or one or more fragments of encapsulated Pixel Data (PS3.5 A.4).
The table is made while the file is stored, and kept with the instance, in few bytes. It does not decode pixels.
"""

import json
import sys
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise, repeat
from operator import add
from typing import Any, Final, Self

from shared.dicom.items import ITEM_HEAD_BYTES

_PIECE: Final = 16_384

MAX_FRAME_FRAGMENTS: Final = 16_384
"""A frame of more fragments cannot be read: a video of a gigabyte has as many of 64 KiB."""

_FIELDS: Final = (
    "value_offset",
    "value_bytes",
    "frame_count",
    "is_encapsulated",
    "frame_bits",
    "is_swapped",
    "unavailable",
)


class FrameUnavailable(LookupError):
    """There is no such frame, or the frames of the instance cannot be told apart; the message says which, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTable:
    """The frames of a stored file. Offsets and lengths are bytes of that file; frame numbers begin at 1.

    `value_offset` and `value_bytes` locate the value of Pixel Data: if encapsulated, its items, including the Basic
    Offset Table but not the delimiter that ends them. `frame_count` is how many frames can be read, which may be
    fewer than Number of Frames (0028,0008) promises; when 0, `unavailable` says why. The last native one may be cut
    short. `frame_bits` is the length of a native frame in bits, 0 for encapsulated ones. If `is_swapped`, samples of at
    most 8 bits lie in words whose high byte comes first (OW in big endian): the bytes of each word trade places before
    a frame is cut.

    `fragment_offsets` are those of the fragments' item tags, and of the byte after the last one; `first_fragments` the
    index of each frame's first fragment, and the number of fragments. `padded_frames` are the indices of the frames
    whose last byte is known to be padding (Extended Offset Table Lengths, PS3.3 C.7.6.3.1.8).
    """

    value_offset: int
    value_bytes: int
    frame_count: int
    is_encapsulated: bool
    frame_bits: int = 0
    is_swapped: bool = False
    unavailable: str = ""
    fragment_offsets: Sequence[int] = field(default=(), repr=False)
    first_fragments: Sequence[int] = field(default=(), repr=False)
    padded_frames: frozenset[int] = field(default=frozenset(), repr=False)

    @property
    def end_offset(self) -> int:
        """The first byte after the Pixel Data element."""
        return self.value_offset + self.value_bytes + (ITEM_HEAD_BYTES if self.is_encapsulated else 0)

    def byte_ranges(self, frame_number: int) -> list[tuple[int, int]]:
        """The (offset, length) ranges whose joined bytes hold the frame, without item heads.

        Raises FrameUnavailable when `frame_number` is not one of 1 to `frame_count`, or has too many fragments.
        """
        index = self._index(frame_number)
        if not self.is_encapsulated:
            first_bit = index * self.frame_bits
            first, end = first_bit // 8, (first_bit + self.frame_bits + 7) // 8
            if self.is_swapped:
                first, end = first - first % 2, end + end % 2
            return [(self.value_offset + first, min(end, self.value_bytes) - first)]
        first, end = self.first_fragments[index], self.first_fragments[index + 1]
        if end - first > MAX_FRAME_FRAGMENTS:
            raise FrameUnavailable(
                f"Frame {frame_number} has {end - first} fragments; at most {MAX_FRAME_FRAGMENTS} are read."
            )
        offsets = self.fragment_offsets[first : end + 1]
        ranges = [(offset + ITEM_HEAD_BYTES, end - offset - ITEM_HEAD_BYTES) for offset, end in pairwise(offsets)]
        if index in self.padded_frames:
            offset, length = ranges[-1]
            ranges[-1] = (offset, length - 1)
        return ranges

    def cut(self, frame_number: int, data: bytes) -> bytes:
        """Cut the frame out of the joined bytes of its ranges.

        These are the frame itself, except for words to swap, for pixels of one bit, where frames follow one another
        without regard to byte boundaries (PS3.5 8.1.1): its first pixel is moved to the lowest bit, and bits after its
        last are set to 0; and for a frame that is cut short, which 0 completes.

        Raises FrameUnavailable as `byte_ranges` does.
        """
        first_bit = self._index(frame_number) * self.frame_bits
        data += bytes(self.missing_bytes(frame_number))
        if self.is_swapped:
            begin = first_bit // 8 % 2
            data = _swapped(data)[begin : begin + (first_bit % 8 + self.frame_bits + 7) // 8]
        shift = first_bit % 8
        if self.frame_bits % 8 == 0:
            return data
        bits = int.from_bytes(data, "little") >> shift & (1 << self.frame_bits) - 1
        return bits.to_bytes((self.frame_bits + 7) // 8, "little")

    def missing_bytes(self, frame_number: int) -> int:
        """How many bytes of a native frame Pixel Data lacks. Raises FrameUnavailable as `byte_ranges` does."""
        end_bit = (self._index(frame_number) + 1) * self.frame_bits
        return max((end_bit + 7) // 8 - self.value_bytes, 0)

    def is_made(self, frame_number: int) -> bool:
        """Whether a frame is something other than the bytes of its ranges, which `cut` turns into it.

        Raises FrameUnavailable as `byte_ranges` does.
        """
        return self.is_swapped or self.frame_bits % 8 != 0 or self.missing_bytes(frame_number) > 0

    @property
    def held_bytes(self) -> int:
        """About how much memory the table takes."""
        return 8 * (len(self.fragment_offsets) + self.frame_count * self.is_encapsulated) + 64 * len(self.padded_frames)

    def to_bytes(self) -> bytes:
        """The table in compact form, for `from_bytes`."""
        facts = {name: getattr(self, name) for name in _FIELDS}
        body = b""
        if self.first_fragments:
            lengths = [end - offset - ITEM_HEAD_BYTES for offset, end in pairwise(self.fragment_offsets)]
            counts = [end - first for first, end in pairwise(self.first_fragments)]
            one_each = len(counts) == len(lengths)
            facts |= {
                "first_fragment_offset": self.fragment_offsets[0],
                "fragment_count": len(lengths),
                "one_each": one_each,
            }
            body = _pack(lengths) + (b"" if one_each else _pack(counts)) + _pack(sorted(self.padded_frames))
        return zlib.compress(json.dumps(facts, separators=(",", ":")).encode() + b"\n" + body)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The table that `to_bytes` wrote. Raises ValueError for any other bytes."""
        try:
            header, _, body = zlib.decompress(data).partition(b"\n")
            facts = json.loads(header)
            fragments = _fragments_from(facts, body) if "fragment_count" in facts else {}
            return cls(**{name: facts[name] for name in _FIELDS if name in facts}, **fragments)
        except (KeyError, OverflowError, RecursionError, TypeError, ValueError, zlib.error) as error:
            raise ValueError("The bytes are not a frame table.") from error

    def _index(self, frame_number: int) -> int:
        if self.unavailable:
            raise FrameUnavailable(self.unavailable)
        if not 1 <= frame_number <= self.frame_count:
            raise FrameUnavailable(f"The instance has frames 1 to {self.frame_count}, not {frame_number}.")
        return frame_number - 1


def _fragments_from(facts: dict[str, Any], body: bytes) -> dict[str, Any]:
    fragment_count, frame_count = facts["fragment_count"], facts["frame_count"]
    ends = list(accumulate(4 * count for count in (fragment_count, 0 if facts["one_each"] else frame_count)))
    lengths, counts, padded = _unpack(body[: ends[0]]), _unpack(body[ends[0] : ends[1]]), _unpack(body[ends[1] :])
    return {
        "fragment_offsets": _summed(facts["first_fragment_offset"], lengths, ITEM_HEAD_BYTES),
        "first_fragments": _summed(0, counts) if counts else range(fragment_count + 1),
        "padded_frames": frozenset(padded),
    }


def _summed(first: int, steps: Sequence[int], more: int = 0) -> "array[int]":
    """Where each step begins, and where the last one ends, in a file where each is followed by `more`.

    In pieces, since a call into C keeps other threads waiting.
    """
    sums = array("Q", [first])
    for start in range(0, len(steps), _PIECE):
        piece = steps[start : start + _PIECE]
        begins = accumulate(map(add, piece, repeat(more)), initial=sums.pop())
        sums.extend(begins)
    return sums


def _swapped(data: bytes) -> bytes:
    """The bytes of each word the other way round; a last one without its neighbour stays."""
    words = bytearray(data)
    whole = len(words) - len(words) % 2
    words[0:whole:2], words[1:whole:2] = words[1:whole:2], words[0:whole:2]
    return bytes(words)


def _pack(numbers: Sequence[int]) -> bytes:
    """32-bit numbers, all their lowest bytes first, then all the second ones, ...: similar bytes deflate well."""
    packed = _little_endian(array("I", numbers)).tobytes()
    return b"".join(packed[plane::4] for plane in range(4))


def _unpack(planes: bytes) -> "array[int]":
    count = len(planes) // 4
    packed = bytearray(4 * count)
    for plane in range(4):
        packed[plane::4] = planes[plane * count : (plane + 1) * count]
    return _little_endian(array("I", bytes(packed)))


def _little_endian(numbers: "array[int]") -> "array[int]":
    """The numbers with their bytes swapped where this machine has the high byte first."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers

"""A target of fuzzing: a check that any bytes have to pass, within bounds that are counted and not timed."""

import random
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

_FIRST_CALLS: Final = 400_000  # for any input, however short: pydicom searches some 8 KiB after the end of a file


class TooManyCalls(BaseException):
    """An input takes more work than its length permits. No `except Exception` of what is examined hides it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is done with an input.

    `check` raises for any fault, such as an error that is not documented. `seeds` are valid inputs, `tokens` what an
    input is made of: tags, delimiters, keywords. `calls_per_byte` is how many functions in Python an input may call
    for each of its bytes, `runs` how many inputs CI tries, of up to `max_bytes`.
    """

    check: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    tokens: Sequence[bytes]
    runs: int
    max_bytes: int = 1_000
    calls_per_byte: int = 100


def examine(target: Target, data: bytes) -> None:
    """Check one input. Raises what the check raises, and TooManyCalls."""
    left = _FIRST_CALLS + target.calls_per_byte * len(data)

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal left
        left -= event == "call"  # of functions in Python: those in C are also the fuzzer's own
        if left < 0:
            sys.setprofile(None)
            raise TooManyCalls

    sys.setprofile(count)
    try:
        target.check(data)
    finally:
        sys.setprofile(None)


def cut(data: bytes) -> list[bytes]:
    """The data in up to a dozen chunks, or byte by byte where it is short: the same ones each time."""
    rng = random.Random(zlib.crc32(data))
    if len(data) < 64 and rng.random() < 0.5:
        return [data[at : at + 1] for at in range(len(data))]
    ends = sorted(rng.randint(0, len(data)) for _ in range(rng.randint(1, 11)))
    return [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]

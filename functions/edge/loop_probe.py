"""How long the event loop stands still: whatever holds it holds up every request of the process.

A timer tells by how much it is late. It runs only while requests are watched, so that nothing wakes an idle process.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

_TICK_SECONDS: Final = 0.005


@dataclass(slots=True, eq=False)
class Stalls:
    """What the loop's stalls were while something was watched."""

    longest_seconds: float = 0.0


class LoopProbe:
    """The probe of one event loop: that of its first use."""

    def __init__(self) -> None:
        self._watched: set[Stalls] = set()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watching(self, stalls: Stalls) -> Iterator[None]:
        """Note the longest stall of the loop in `stalls` until the block ends: up to a tick, 5 ms, short of it."""
        self._watched.add(stalls)
        if self._timer is None:
            self._wait()
        try:
            yield
        finally:
            self._note()  # the block itself may hold the loop up to its end
            self._watched.remove(stalls)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._note()
        if self._watched:
            self._wait()
        else:
            self._timer = None

    def _note(self) -> None:
        if self._timer is not None:
            late_seconds = asyncio.get_running_loop().time() - self._timer.when()
            for stalls in self._watched:
                stalls.longest_seconds = max(stalls.longest_seconds, late_seconds)

"""Turns at work that waits for no client: a caller that is alone has many at once, beside others a few.

All requests share one event loop, so each piece of work that one caller has under way delays every piece of another's.
"""

from asyncio import Future, get_running_loop
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

_RECENT_SECONDS: Final = 1.0  # how long a caller counts after its last piece of work


class CallerTurns:
    """The turns of a process: `alone` for its only caller of late, `beside_others` for each of several."""

    def __init__(self, *, alone: int, beside_others: int) -> None:
        self._alone = alone
        self._beside_others = beside_others
        self._taken: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[Future[None]]] = {}
        self._last_seconds: dict[Hashable, float] = {}

    @asynccontextmanager
    async def turn(self, caller: Hashable) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the block ends."""
        self._note(caller)
        if self._taken[caller] < self._limit(caller):
            self._taken[caller] += 1
        else:
            await self._wait(caller)
        try:
            yield
        finally:
            self._give_back(caller)

    async def _wait(self, caller: Hashable) -> None:
        turn = get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # the turn came, too late
                self._give_back(caller)
            raise

    def _give_back(self, caller: Hashable) -> None:
        self._note(caller)
        self._taken[caller] -= 1
        waiting = self._waiting.get(caller, deque())
        while waiting and self._taken[caller] < self._limit(caller):
            turn = waiting.popleft()
            if not turn.done():
                self._taken[caller] += 1
                turn.set_result(None)
        if not waiting:
            self._waiting.pop(caller, None)
        if not self._taken[caller]:
            del self._taken[caller]

    def _note(self, caller: Hashable) -> None:
        now = monotonic()
        self._last_seconds[caller] = now
        recent = {one: last for one, last in self._last_seconds.items() if now - last < _RECENT_SECONDS}
        self._last_seconds = recent

    def _limit(self, caller: Hashable) -> int:
        others = (self._last_seconds.keys() | self._taken.keys()) - {caller}
        return self._beside_others if others else self._alone

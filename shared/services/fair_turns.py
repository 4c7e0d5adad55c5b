"""Turns at work of which only so much may be done at once: who waits gets them caller by caller, not first come.

So whoever asks for a hundred pieces of work delays another by one of them, not by a hundred.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class FairTurns:
    """The turns of a process: `at_once` are taken at the same time."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()  # whose turn is next first

    @asynccontextmanager
    async def turn(self, caller: Hashable) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the block ends."""
        await self._take(caller)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, caller: Hashable) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # the turn came, too late
                self._give_back()
            raise

    def _give_back(self) -> None:
        self._free += 1
        while self._free and self._waiting:
            caller, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[caller] = turns
            if not turn.done():
                self._free -= 1
                turn.set_result(None)

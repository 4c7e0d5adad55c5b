"""Bytes that a process may hold at once for one purpose: who asks for more than is free waits."""

import asyncio
from collections import deque
from contextlib import suppress


class ByteBudget:
    """First come, first served; who asks for more than the whole budget gets all of it."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._free_bytes = limit_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken_bytes(self) -> int:
        """How much is held."""
        return self.limit_bytes - self._free_bytes

    @property
    def is_roomy(self) -> bool:
        """Whether less than half is held, and nobody waits."""
        return 2 * self.taken_bytes < self.limit_bytes and not self._waiting

    async def take(self, size_bytes: int, wait_seconds: float | None = None) -> int:
        """Wait for bytes; returns what to give back. Raises TimeoutError where they are not free in time."""
        wanted = min(size_bytes, self.limit_bytes)
        if wanted <= self._free_bytes and not self._waiting:
            self._free_bytes -= wanted
            return wanted
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, turn))
        try:
            async with asyncio.timeout(wait_seconds):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # the turn came, too late
                self.give_back(wanted)
            else:
                with suppress(ValueError):  # another's bytes came back meanwhile, and it was passed over
                    self._waiting.remove((wanted, turn))
                self._hand_out()
            raise
        return wanted

    def give_back(self, taken: int) -> None:
        """Give back what `take` returned, or a part of it."""
        self._free_bytes += taken
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free_bytes:
            wanted, turn = self._waiting.popleft()
            if not turn.done():
                self._free_bytes -= wanted
                turn.set_result(None)

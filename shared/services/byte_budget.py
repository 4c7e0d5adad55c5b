"""Bytes that a process may hold at once for one purpose: a request that would exceed them waits."""

import asyncio
from typing import Final

_UNIT_BYTES: Final = 64 * 1024


class ByteBudget:
    """A semaphore of bytes, first come first served; a request for more than the budget gets the whole budget."""

    def __init__(self, limit_bytes: int) -> None:
        self._units = limit_bytes // _UNIT_BYTES
        self._free = asyncio.Semaphore(self._units)
        self._turn = asyncio.Lock()

    async def take(self, size_bytes: int) -> int:
        """Wait for bytes; returns what to give back."""
        taken = 0
        try:
            async with self._turn:
                while taken < min(size_bytes // _UNIT_BYTES + 1, self._units):
                    await self._free.acquire()
                    taken += 1
        except BaseException:
            self.give_back(taken)
            raise
        return taken

    def give_back(self, taken: int) -> None:
        """Give back what `take` returned."""
        for _ in range(taken):
            self._free.release()

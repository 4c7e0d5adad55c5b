"""Turns on the event loop, for work that may go on for long without waiting for anything."""

import asyncio
from typing import Final

_TURN_SECONDS: Final = 0.005


class Turns:
    """The turns of one piece of work."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._ends = self._clock() + _TURN_SECONDS

    async def next(self) -> None:
        """Let others have theirs, if this one has taken its time."""
        if self._clock() > self._ends:
            await asyncio.sleep(0)
            self._ends = self._clock() + _TURN_SECONDS

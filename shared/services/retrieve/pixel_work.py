"""Decoding, encoding and rendering in a process: off the event loop, a few at once, within a memory budget."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from shared.errors import NotAcceptable
from shared.services.byte_budget import ByteBudget

Result = TypeVar("Result")

_MEMORY_BYTES: Final = 192 * 1024**2
_AT_ONCE: Final = 2  # Azure's instances have one or two cores


@dataclass(frozen=True, slots=True)
class PixelWork:
    """The limits of one process. `max_decoded_bytes` is the most that one frame may decode to."""

    max_decoded_bytes: int
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _memory: ByteBudget = field(default_factory=lambda: ByteBudget(_MEMORY_BYTES))

    def check(self, size_bytes: int) -> None:
        """Raises NotAcceptable for more bytes than may be decoded at once."""
        if size_bytes > self.max_decoded_bytes:
            raise NotAcceptable(
                f"What is asked for takes {size_bytes} bytes decoded; the most is {self.max_decoded_bytes}."
            )

    @asynccontextmanager
    async def holding(self, size_bytes: int) -> AsyncIterator[None]:
        """Wait until the process may hold that many more bytes, and hold them."""
        taken = await self._memory.take(size_bytes)
        try:
            yield
        finally:
            self._memory.give_back(taken)

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, run in a thread when its turn comes."""
        async with self._turns:
            return await asyncio.to_thread(work)

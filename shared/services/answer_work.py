"""What a process holds in memory and does at once for its answers, and the share of one answer in that.

There is a budget of bytes for each purpose. An answer takes from them in the order below, each once, so that whoever
holds the last can finish, and all come to an end whatever clients do. Bytes are taken before they are read, and held
until the client has them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Final, TypeVar

from shared.errors import NotAcceptable, Unavailable
from shared.services.byte_budget import ByteBudget

Result = TypeVar("Result")

CHUNK_BYTES: Final = 4 * 1024**2
"""The most that one read of storage gives."""

_AT_ONCE: Final = 2  # Azure's instances have one or two cores
_WAIT_SECONDS: Final = 10  # for room, before an answer begins
_COPIES: Final = 3  # of the largest frame, while it is decoded and rendered or encoded


class Purpose(Enum):
    """What bytes are held for."""

    TABLE = "long tables of frames"
    FILE = "files that are inflated, and headers that are parsed"
    RESULT = "frames, pictures and documents that are made"
    CHUNK = "what is read ahead of the client"
    WORK = "copies of a frame while it is decoded, rendered or encoded"


class ProcessWork:
    """The limits of one process.

    `max_decoded_bytes` is the most that one frame may decode to, `max_frames` how many are shown in one picture.
    """

    def __init__(self, max_decoded_bytes: int, max_frames: int) -> None:
        self.max_decoded_bytes = max_decoded_bytes
        self.max_frames = max_frames
        self.turns = asyncio.Semaphore(_AT_ONCE)
        self.budgets = {
            Purpose.TABLE: ByteBudget(32 * 1024**2),
            Purpose.FILE: ByteBudget(max(96 * 1024**2, max_decoded_bytes)),
            Purpose.RESULT: ByteBudget(max(64 * 1024**2, max_decoded_bytes)),
            Purpose.CHUNK: ByteBudget(64 * 1024**2),
            Purpose.WORK: ByteBudget(_COPIES * max(64 * 1024**2, max_decoded_bytes)),
        }

    def answer(self) -> "AnswerWork":
        """The share of an answer that begins."""
        return AnswerWork(self)


class AnswerWork:
    """The share of one answer, or of one of its parts."""

    def __init__(self, process: ProcessWork, answer: "AnswerWork | None" = None) -> None:
        self._process = process
        self._answer = answer
        self._held: list[tuple[Purpose, int]] = []
        self._parts: set[AnswerWork] = set()
        self._has_begun = False
        self._has_ended = False

    @property
    def max_decoded_bytes(self) -> int:
        """The most bytes that a frame may have when decoded."""
        return self._process.max_decoded_bytes

    def check(self, size_bytes: int) -> None:
        """Raises NotAcceptable for more bytes than may be decoded at once."""
        if size_bytes > self.max_decoded_bytes:
            raise NotAcceptable(
                f"What is asked for takes {size_bytes} bytes decoded; the most is {self.max_decoded_bytes}."
            )

    def check_frames(self, frame_count: int) -> None:
        """Raises NotAcceptable for more frames than one picture may show."""
        if frame_count > self._process.max_frames:
            raise NotAcceptable(f"A picture shows at most {self._process.max_frames} frames, not {frame_count}.")

    def part(self) -> "AnswerWork":
        """The share of one part of the answer, which ends with it at the latest."""
        part = AnswerWork(self._process, self)
        self._parts.add(part)
        return part

    def begin(self) -> None:
        """Note that the answer has a status: from now on it waits for room as long as it takes."""
        self._has_begun = True

    async def hold(self, purpose: Purpose, size_bytes: int) -> None:
        """Wait until the process may hold that many more bytes, and hold them until `end`.

        Raises Unavailable where that takes too long, unless the answer has begun.
        """
        self._held.append((purpose, await self._take(purpose, size_bytes)))
        if self._has_ended:
            self.end()

    def hold_only(self, purpose: Purpose, size_bytes: int) -> None:
        """Give back what was taken for a purpose beyond the bytes that turned out to be needed."""
        held, self._held = self._held, []
        for one, taken in held:
            kept = min(taken, size_bytes) if one is purpose else taken
            self._process.budgets[one].give_back(taken - kept)
            self._held.append((one, kept))

    def is_roomy(self, purpose: Purpose) -> bool:
        """Whether so little is held for a purpose that something may be held ahead of its need."""
        return self._process.budgets[purpose].is_roomy

    @asynccontextmanager
    async def holding(self, size_bytes: int) -> AsyncIterator[None]:
        """Hold bytes of the last purpose while work is done. Raises as `hold` does."""
        taken = await self._take(Purpose.WORK, size_bytes)
        try:
            yield
        finally:
            self._process.budgets[Purpose.WORK].give_back(taken)

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, run in a thread when its turn comes."""
        async with self._process.turns:
            return await asyncio.to_thread(work)

    def end(self) -> None:
        """Give back all that the answer, or the part, and its parts hold."""
        self._has_ended = True
        if self._answer is not None:
            self._answer._parts.discard(self)
        for part in list(self._parts):
            part.end()
        held, self._held = self._held, []
        for purpose, taken in held:
            self._process.budgets[purpose].give_back(taken)

    async def _take(self, purpose: Purpose, size_bytes: int) -> int:
        whole = self._answer or self
        try:
            return await self._process.budgets[purpose].take(size_bytes, None if whole._has_begun else _WAIT_SECONDS)
        except TimeoutError:
            raise Unavailable("The service is busy with other answers: try again.") from None

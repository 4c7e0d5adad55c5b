"""What a process holds in memory and does at once for its answers, and the share of one answer in that.

There is a budget of bytes for each purpose. An answer takes from them in the order below, each once, so that whoever
holds the last can finish, and all come to an end whatever clients do. Bytes are taken before they are read, and held
until the client has them. Once a caller holds half of a budget it waits, as it does when too many of its requests are
under way: there is room for others.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from shared.errors import NotAcceptable, Unavailable
from shared.services.byte_budget import ByteBudget
from shared.services.caller_turns import CallerTurns
from shared.services.fair_turns import FairTurns

Result = TypeVar("Result")

CHUNK_BYTES: Final = 4 * 1024**2
"""The most that one read of storage gives."""

_AT_ONCE: Final = 2  # Azure's instances have one or two cores
_BESIDE_OTHERS: Final = 4  # pieces of work of a caller: enough for it to go on while one waits for storage
_WAIT_SECONDS: Final = 10  # for room, before an answer begins
_COPIES: Final = 3.75  # of the largest frame while it is made: three, and what codecs take for a mammogram of 16 bits


class Purpose(Enum):
    """What bytes are held for."""

    TABLE = "long tables of frames"
    FILE = "files that are inflated, and headers that are parsed"
    RESULT = "frames, pictures and documents that are made"
    CHUNK = "what is read ahead of the client"
    METADATA = "metadata that is kept in blobs"
    WORK = "copies of a frame while it is decoded, rendered or encoded"


class ProcessWork:
    """The limits of one process.

    `max_decoded_bytes` is the most that one frame may decode to, `max_frames` how many are shown in one picture,
    `max_caller_requests` how many requests of one caller are under way.
    """

    def __init__(self, max_decoded_bytes: int, max_frames: int, max_caller_requests: int) -> None:
        self.max_decoded_bytes = max_decoded_bytes
        self.max_frames = max_frames
        self.max_caller_requests = max_caller_requests
        self.turns = FairTurns(_AT_ONCE)
        beside_others = min(_BESIDE_OTHERS, max_caller_requests)
        self.callers_turns = CallerTurns(alone=max_caller_requests, beside_others=beside_others)
        result_bytes = max(64 * 1024**2, max_decoded_bytes)
        self.budgets = {
            Purpose.TABLE: ByteBudget(16 * 1024**2),
            Purpose.FILE: ByteBudget(result_bytes),
            Purpose.RESULT: ByteBudget(result_bytes),
            Purpose.CHUNK: ByteBudget(24 * 1024**2),
            Purpose.METADATA: ByteBudget(16 * 1024**2),
            Purpose.WORK: ByteBudget(int(_COPIES * result_bytes)),
        }
        self._callers: WeakValueDictionary[str, _CallerShare] = WeakValueDictionary()

    def answer(self) -> "AnswerWork":
        """The share of an answer that begins."""
        return AnswerWork(self)

    def share_of(self, caller: str) -> "_CallerShare":
        """The share of a caller, which exists as long as an answer of it."""
        share = self._callers.get(caller)
        if share is None:
            share = self._callers[caller] = _CallerShare(self)
        return share


class _CallerShare:
    def __init__(self, process: ProcessWork) -> None:
        self.requests = asyncio.Semaphore(process.max_caller_requests)
        self.budgets = {purpose: ByteBudget(budget.limit_bytes // 2) for purpose, budget in process.budgets.items()}


@dataclass(slots=True)
class _Held:
    """Bytes that are taken from a budget of the process, and as many or fewer from that of the caller."""

    purpose: Purpose
    share: _CallerShare | None
    taken: int = 0
    callers: int = 0


class AnswerWork:
    """The share of one answer, or of one of its parts; `caller` is whose it is, "" until that is known."""

    def __init__(self, process: ProcessWork, answer: "AnswerWork | None" = None) -> None:
        self.caller: str = answer.caller if answer is not None else ""
        self._process = process
        self._answer = answer
        self._share: _CallerShare | None = answer._share if answer is not None else None
        self._is_under_way = False
        self._held: list[_Held] = []
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

    async def enter(self, caller: str) -> None:
        """Begin to work for a caller, once few enough of its requests are under way.

        Raises Unavailable where that takes too long.
        """
        self.caller = caller
        share = self._process.share_of(caller)
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await share.requests.acquire()
        except TimeoutError:
            raise Unavailable(
                f"You have {self._process.max_caller_requests} requests under way: try again when one has ended."
            ) from None
        self._share, self._is_under_way = share, True
        if self._has_ended:
            self.end()

    def begin(self) -> None:
        """Note that the answer has a status: from now on it waits for room as long as it takes."""
        self._has_begun = True

    async def hold(self, purpose: Purpose, size_bytes: int) -> None:
        """Wait until the process may hold that many more bytes, and hold them until `end`.

        Raises Unavailable where that takes too long, unless the answer has begun.
        """
        self._held.append(await self._take(purpose, size_bytes))
        if self._has_ended:
            self.end()

    async def hold_chunk(self, size_bytes: int) -> None:
        """Hold what is read of `size_bytes` at a time, as `hold` does."""
        await self.hold(Purpose.CHUNK, min(size_bytes, CHUNK_BYTES))

    def hold_only(self, purpose: Purpose, size_bytes: int) -> None:
        """Give back what was taken for a purpose beyond the bytes that turned out to be needed."""
        for held in self._held:
            if held.purpose is purpose:
                self._give_back(held, size_bytes)

    def is_roomy(self, purpose: Purpose) -> bool:
        """Whether so little is held for a purpose that something may be held ahead of its need."""
        is_roomy_for_caller = self._share is None or self._share.budgets[purpose].is_roomy
        return is_roomy_for_caller and self._process.budgets[purpose].is_roomy

    @asynccontextmanager
    async def holding(self, size_bytes: int) -> AsyncIterator[None]:
        """Hold bytes of the last purpose while work is done.

        Raises as `hold` does, and NotAcceptable for more than the process may ever hold.
        """
        most_bytes = self._process.budgets[Purpose.WORK].limit_bytes
        if size_bytes > most_bytes:
            raise NotAcceptable(f"What is asked for takes {size_bytes} bytes to make; the most is {most_bytes}.")
        held = await self._take(Purpose.WORK, size_bytes)
        try:
            yield
        finally:
            self._give_back(held)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Have one of the caller's turns at work, for what does not wait for a client."""
        async with self._process.callers_turns.turn(self._share):
            yield

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, run in a thread when the caller's turn comes."""
        async with self._process.turns.turn(self._share):
            under_way = asyncio.ensure_future(asyncio.to_thread(work))
            try:
                return await asyncio.shield(under_way)
            finally:
                # A thread cannot be stopped: its turn, and what it holds, are not given back before it ends.
                while not under_way.done():
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait([under_way])
                del under_way  # it has the error that is raised here, and that would keep what this holds

    def end(self) -> None:
        """Give back all that the answer, or the part, and its parts hold."""
        self._has_ended = True
        if self._answer is not None:
            self._answer._parts.discard(self)
        for part in list(self._parts):
            part.end()
        while self._held:
            self._give_back(self._held.pop())
        if self._share is not None and self._is_under_way:
            self._is_under_way = False
            self._share.requests.release()

    @property
    def _whole(self) -> "AnswerWork":
        """The share of the whole answer."""
        return self if self._answer is None else self._answer._whole

    async def _take(self, purpose: Purpose, size_bytes: int) -> _Held:
        wait_seconds = None if self._whole._has_begun else _WAIT_SECONDS
        held = _Held(purpose, self._share)
        try:
            if held.share is not None:
                held.callers = await held.share.budgets[purpose].take(size_bytes, wait_seconds)
            held.taken = await self._process.budgets[purpose].take(size_bytes, wait_seconds)
        except BaseException as error:
            self._give_back(held)
            if isinstance(error, TimeoutError):
                raise Unavailable("The service is busy with other answers: try again.") from None
            raise
        return held

    def _give_back(self, held: _Held, but_bytes: int = 0) -> None:
        """Give back all but some of the bytes."""
        taken, callers = max(held.taken - but_bytes, 0), max(held.callers - but_bytes, 0)
        held.taken -= taken
        held.callers -= callers
        self._process.budgets[held.purpose].give_back(taken)
        if held.share is not None:
            held.share.budgets[held.purpose].give_back(callers)

"""What answers hold of a process' budgets, and that all of it comes back."""

import asyncio
import random
import threading
from contextlib import suppress

import pytest

from shared.errors import NotAcceptable, Unavailable
from shared.services import answer_work
from shared.services.answer_work import AnswerWork, ProcessWork, Purpose
from tests.support.garbage import left_in_cycles

MIB = 1024**2
CALLERS_CHUNKS = ProcessWork(MIB, 1, 1).budgets[Purpose.CHUNK].limit_bytes // 2 // answer_work.CHUNK_BYTES


@pytest.fixture
def process() -> ProcessWork:
    return ProcessWork(max_decoded_bytes=MIB, max_frames=10, max_caller_requests=3)


def taken(process: ProcessWork) -> int:
    return sum(budget.taken_bytes for budget in process.budgets.values())


async def test_what_an_answer_and_its_parts_hold_comes_back(process: ProcessWork) -> None:
    answer = process.answer()
    await answer.hold(Purpose.FILE, 10)
    parts = [answer.part(), answer.part()]
    for part in parts:
        await part.hold(Purpose.RESULT, 5)
        await part.hold(Purpose.CHUNK, 3)
    assert taken(process) == 26
    parts[0].end()
    parts[0].end()
    assert taken(process) == 18
    answer.end()
    assert taken(process) == 0


async def test_what_was_taken_in_vain_comes_back_early(process: ProcessWork) -> None:
    answer = process.answer()
    await answer.hold(Purpose.RESULT, 10)
    await answer.hold(Purpose.FILE, 7)
    answer.hold_only(Purpose.RESULT, 4)
    assert taken(process) == 11
    answer.hold_only(Purpose.RESULT, 6)
    assert taken(process) == 11
    answer.end()
    assert taken(process) == 0


async def test_work_holds_for_as_long_as_it_takes(process: ProcessWork) -> None:
    answer = process.answer()
    async with answer.holding(100):
        assert taken(process) == 100
        assert await answer.run(lambda: 1) == 1
    with pytest.raises(ValueError, match="broken"):
        async with answer.holding(100):
            raise ValueError("broken")
    assert taken(process) == 0


async def test_work_that_nobody_waits_for_any_more_holds_until_it_ends(process: ProcessWork) -> None:
    answer, is_to_end = process.answer(), threading.Event()

    async def work() -> None:
        async with answer.holding(100):
            await answer.run(is_to_end.wait)

    working = asyncio.create_task(work())
    await asyncio.sleep(0.02)
    for _ in range(2):
        working.cancel()
        await asyncio.sleep(0.02)
    assert taken(process) == 100
    is_to_end.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert taken(process) == 0


async def test_an_answer_that_has_ended_holds_nothing_more(process: ProcessWork) -> None:
    answer = process.answer()
    part = answer.part()
    answer.end()
    await part.hold(Purpose.CHUNK, 10)
    assert taken(process) == 0


async def test_who_finds_no_room_is_told_to_try_again_unless_its_answer_has_begun(
    process: ProcessWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_work, "_WAIT_SECONDS", 0.01)
    first, second, third = process.answer(), process.answer(), process.answer()
    await first.hold(Purpose.CHUNK, 1024 * MIB)
    with pytest.raises(Unavailable, match="try again"):
        await second.part().hold(Purpose.CHUNK, 1)
    third.begin()
    waiting = asyncio.create_task(third.part().hold(Purpose.CHUNK, 1))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    first.end()
    await waiting
    third.end()
    assert taken(process) == 0


async def test_a_caller_leaves_room_for_others(process: ProcessWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_work, "_WAIT_SECONDS", 0.01)
    greedy = [process.answer() for _ in range(3)]
    for answer in greedy:
        await answer.enter("greedy")
    with pytest.raises(Unavailable, match="3 requests under way"):
        await process.answer().enter("greedy")
    for _ in range(CALLERS_CHUNKS):
        await greedy[0].part().hold(Purpose.CHUNK, answer_work.CHUNK_BYTES)
    with pytest.raises(Unavailable, match="busy with other answers"):
        await greedy[1].part().hold(Purpose.CHUNK, 1)
    other = process.answer()
    await other.enter("other")
    await other.part().hold(Purpose.CHUNK, answer_work.CHUNK_BYTES)
    other.end()
    for answer in greedy:
        answer.end()
        answer.end()
    assert taken(process) == 0
    last = [process.answer() for _ in range(3)]
    for answer in last:
        await answer.enter("greedy")
        await answer.hold(Purpose.CHUNK, 1)
        answer.end()
    assert taken(process) == 0


async def test_room_is_that_of_the_process_and_of_the_caller(process: ProcessWork) -> None:
    answer, other = process.answer(), process.answer()
    await answer.enter("caller")
    await other.enter("other")
    assert answer.is_roomy(Purpose.CHUNK)
    for _ in range(-(-CALLERS_CHUNKS // 2)):
        await answer.part().hold(Purpose.CHUNK, answer_work.CHUNK_BYTES)
    assert not answer.is_roomy(Purpose.CHUNK)
    assert other.is_roomy(Purpose.CHUNK)
    for _ in range(-(-CALLERS_CHUNKS // 2)):
        await other.part().hold(Purpose.CHUNK, answer_work.CHUNK_BYTES)
    assert not process.answer().is_roomy(Purpose.CHUNK)
    answer.end()
    other.end()


async def test_what_is_worked_on_when_an_answer_ends_comes_back(process: ProcessWork) -> None:
    answer = process.answer()
    await answer.enter("caller")
    async with answer.holding(100):
        answer.end()
    assert taken(process) == sum(budget.taken_bytes for budget in process.share_of("caller").budgets.values()) == 0


def test_too_much_is_refused(process: ProcessWork) -> None:
    answer = process.answer()
    answer.check(MIB)
    answer.check_frames(10)
    with pytest.raises(NotAcceptable, match=f"takes {MIB + 1} bytes decoded; the most is {MIB}"):
        answer.check(MIB + 1)
    with pytest.raises(NotAcceptable, match="at most 10 frames, not 11"):
        answer.check_frames(11)


async def test_work_that_would_take_more_than_there_ever_is_is_refused(process: ProcessWork) -> None:
    most_bytes = process.budgets[Purpose.WORK].limit_bytes
    async with process.answer().holding(most_bytes):
        pass
    with pytest.raises(NotAcceptable, match=f"takes {most_bytes + 1} bytes to make; the most is {most_bytes}"):
        async with process.answer().holding(most_bytes + 1):
            pass
    assert taken(process) == 0


def test_what_a_process_holds_for_answers_is_at_most_360_mib() -> None:
    """Results are held before they are worked on, and are among the copies that the work holds."""
    budgets = ProcessWork(64 * MIB, 1, 1).budgets
    assert sum(budget.limit_bytes for purpose, budget in budgets.items() if purpose is not Purpose.RESULT) <= 360 * MIB


@pytest.mark.parametrize("seed", range(20))
async def test_answers_that_take_in_order_all_end(process: ProcessWork, seed: int) -> None:
    """Whatever they hold, and however their clients dawdle, since whoever holds the last purpose waits for nobody."""
    rng = random.Random(seed)

    async def hold_in_order(work: AnswerWork) -> None:
        for purpose in Purpose:
            if purpose is not Purpose.WORK and rng.random() < 0.7:
                await work.hold(purpose, rng.randrange(1, 200 * MIB))
                await asyncio.sleep(rng.random() / 1000)

    async def answer() -> None:
        whole = process.answer()
        whole.begin()
        await hold_in_order(whole)
        for _ in range(rng.randrange(3)):
            async with whole.holding(rng.randrange(1, process.budgets[Purpose.WORK].limit_bytes)):
                await asyncio.sleep(rng.random() / 1000)
        await asyncio.sleep(rng.random() / 1000)
        whole.end()

    async with asyncio.timeout(20):
        await asyncio.gather(*(answer() for _ in range(100)))
    assert taken(process) == 0


def test_work_that_fails_leaves_no_cycle() -> None:
    def fail() -> None:
        raise NotAcceptable("broken")

    async def run() -> None:
        with suppress(NotAcceptable):
            await ProcessWork(max_decoded_bytes=MIB, max_frames=10, max_caller_requests=3).answer().run(fail)

    with left_in_cycles() as left:
        asyncio.run(run())
    assert left == []

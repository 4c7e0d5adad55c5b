"""Turns at work: caller by caller, and none is lost."""

import asyncio
import random
from contextlib import suppress

import pytest

from shared.services.fair_turns import FairTurns


async def test_another_caller_waits_for_one_piece_of_work_of_a_hundred() -> None:
    turns, order = FairTurns(1), []

    async def work(caller: str) -> None:
        async with turns.turn(caller):
            order.append(caller)
            await asyncio.sleep(0)

    greedy = [asyncio.create_task(work("greedy")) for _ in range(100)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(work("other")) for _ in range(3)]
    await asyncio.gather(*greedy, *others)
    places = [place for place, caller in enumerate(order) if caller == "other"]
    assert places == [places[0], places[0] + 2, places[0] + 4]
    assert places[0] <= 3


@pytest.mark.parametrize("seed", range(10))
async def test_no_more_at_once_than_there_are_whoever_gives_up(seed: int) -> None:
    rng, turns, under_way = random.Random(seed), FairTurns(2), []

    async def work(caller: int) -> None:
        async with turns.turn(caller):
            under_way.append(caller)
            try:
                assert len(under_way) <= 2
                await asyncio.sleep(rng.random() / 1000)
            finally:
                under_way.remove(caller)

    async def impatient(caller: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(rng.choice((0, 0.001, 0.01, None))):
                await work(caller)

    async with asyncio.timeout(20):
        await asyncio.gather(*(impatient(rng.randrange(5)) for _ in range(200)))
        async with turns.turn("last"), turns.turn("last"):
            pass

"""A budget of bytes: first come, first served, and nothing is lost, whoever gives up."""

import asyncio
import random

import pytest

from shared.services.byte_budget import ByteBudget


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_finds_room_does_not_wait() -> None:
    budget = ByteBudget(100)
    assert await budget.take(60) == 60
    assert await budget.take(40) == 40
    assert budget.taken_bytes == 100


async def test_who_finds_no_room_waits_for_its_turn() -> None:
    budget, order = ByteBudget(100), list[str]()

    async def take(name: str, size: int) -> None:
        await budget.take(size)
        order.append(name)

    first = await budget.take(60)
    tasks = [asyncio.create_task(take("large", 80)), asyncio.create_task(take("small", 10))]
    await settle()
    assert order == []  # the small one would find room, but came later
    budget.give_back(first)
    await asyncio.gather(*tasks)
    assert order == ["large", "small"]
    assert budget.taken_bytes == 90


async def test_who_asks_for_more_than_all_gets_all() -> None:
    budget = ByteBudget(100)
    taken = await budget.take(1000)
    assert (taken, budget.taken_bytes) == (100, 100)
    budget.give_back(taken)
    assert budget.taken_bytes == 0


async def test_who_waits_too_long_gives_up_and_lets_others_pass() -> None:
    budget = ByteBudget(100)
    held = await budget.take(50)
    impatient = asyncio.create_task(budget.take(100, wait_seconds=0.01))
    patient = asyncio.create_task(budget.take(50))
    with pytest.raises(TimeoutError):
        await impatient
    assert await patient == 50
    budget.give_back(held + 50)
    assert budget.taken_bytes == 0


async def test_who_is_passed_over_while_giving_up_gives_up() -> None:
    budget = ByteBudget(100)
    held = await budget.take(100)
    waiting = asyncio.create_task(budget.take(100))
    await settle()
    waiting.cancel()
    await asyncio.sleep(0)  # its turn is cancelled, and it has not run since
    budget.give_back(held)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.taken_bytes == 0
    assert await budget.take(100, wait_seconds=0.1) == 100


@pytest.mark.parametrize("seed", range(20))
async def test_nothing_is_lost(seed: int) -> None:
    budget, rng, most = ByteBudget(1000), random.Random(seed), 0

    async def use() -> None:
        nonlocal most
        taken = await budget.take(rng.randrange(1, 1500), rng.choice([None, 0.001]))
        most = max(most, budget.taken_bytes)
        try:
            await asyncio.sleep(rng.random() / 500)
        finally:
            budget.give_back(taken)

    tasks = [asyncio.create_task(use()) for _ in range(200)]
    for task in rng.sample(tasks, 40):
        await asyncio.sleep(rng.random() / 1000)
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes if outcome} <= {TimeoutError, asyncio.CancelledError}
    assert budget.taken_bytes == 0
    assert 0 < most <= 1000

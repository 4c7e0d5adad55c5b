"""A budget of bytes: whoever waits gets its turn or leaves, and nothing is lost or taken twice."""

import asyncio
from random import Random

import pytest

from shared.services.byte_budget import ByteBudget


async def test_a_wait_that_ends_as_bytes_come_back_ends_in_its_timeout() -> None:
    budget = ByteBudget(10)
    first = await budget.take(10)
    second = asyncio.create_task(budget.take(10))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)  # its future is cancelled, and it has not run yet
    budget.give_back(first)
    with pytest.raises(asyncio.CancelledError):
        await second
    assert budget.taken_bytes == 0
    assert await budget.take(10, 0.1) == 10


@pytest.mark.parametrize("seed", range(20))
async def test_many_that_take_wait_and_leave(seed: int) -> None:
    random, budget = Random(seed), ByteBudget(100)
    outcomes = []

    async def hold() -> None:
        try:
            taken = await budget.take(random.randint(1, 150), random.choice((None, 0.001, 0.01)))
        except TimeoutError:
            outcomes.append("left")
            return
        assert 0 < budget.taken_bytes <= 100
        try:
            await asyncio.sleep(random.choice((0, 0.001, 0.002)))
        finally:
            budget.give_back(taken)
        outcomes.append("held")

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        tasks = [group.create_task(hold()) for _ in range(100)]
        await asyncio.sleep(0.01)
        for task in random.sample(tasks, 10):
            task.cancel()
    assert outcomes.count("held") > 20
    assert budget.taken_bytes == 0

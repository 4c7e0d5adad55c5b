"""Room for large headers: many requests of any size share it, stall and leave, and all come to an end."""

import asyncio
from random import Random

import pytest

from shared.errors import Unavailable
from shared.services.write.header_room import HeaderBudgets, HeaderRoom

MIB = 1024**2


async def test_small_headers_pass_whatever_others_hold() -> None:
    budgets = HeaderBudgets()
    for _ in range(4):
        await HeaderRoom(budgets).grow(4 * MIB)
    await HeaderRoom(budgets).grow(MIB)


async def test_a_step_is_taken_once_and_given_back() -> None:
    budgets = HeaderBudgets()
    room = HeaderRoom(budgets)
    for size_bytes, taken in ((1, 0), (2, 4), (5, 16), (16, 16), (4, 16), (17, 80), (500, 80)):
        await room.grow(size_bytes * MIB)
        assert budgets.taken_bytes == taken * MIB
    room.release()
    room.release()
    assert budgets.taken_bytes == 0


async def test_who_finds_no_room_waits_and_is_refused_in_the_end() -> None:
    budgets = HeaderBudgets(wait_seconds=0.05)
    first, second = HeaderRoom(budgets), HeaderRoom(budgets)
    await first.grow(100 * MIB)
    with pytest.raises(Unavailable, match="busy with other uploads"):
        await second.grow(100 * MIB)
    second.release()
    first.release()
    await second.grow(100 * MIB)
    second.release()
    assert budgets.taken_bytes == 0


@pytest.mark.parametrize("seed", range(20))
async def test_many_requests_all_end(seed: int) -> None:
    random = Random(seed)
    budgets = HeaderBudgets(wait_seconds=0.2)
    outcomes: list[str] = []

    async def upload() -> None:
        room, size_bytes = HeaderRoom(budgets), 0
        final = int(MIB * 2 ** random.uniform(-2, 8))
        try:
            async with asyncio.timeout(random.choice((0.01, 0.1, 60))):  # the client stalls, or leaves
                while size_bytes < final:
                    size_bytes += random.randint(1, final)
                    await room.grow(size_bytes)
                    await asyncio.sleep(random.choice((0, 0, 0.005)))
            outcomes.append("stored")
        except Unavailable:
            outcomes.append("refused")
        except TimeoutError:
            outcomes.append("stalled")
        finally:
            room.release()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for _ in range(60):
            group.create_task(upload())
    assert len(outcomes) == 60
    assert outcomes.count("stored") > 10
    assert budgets.taken_bytes == 0

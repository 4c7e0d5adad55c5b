import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from inspect import CORO_CLOSED, getcoroutinestate
from typing import Any

import pytest

from shared.storage.parallel import in_parallel
from tests.support.garbage import left_in_cycles


async def test_results_are_in_order_and_operations_bounded() -> None:
    under_way, most = 0, 0

    async def operation(number: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001 * (10 - number))
        under_way -= 1
        return number

    assert await in_parallel((operation(number) for number in range(10)), at_once=3) == list(range(10))
    assert most == 3
    assert await in_parallel([]) == []


async def test_one_operation_needs_no_task() -> None:
    async def task() -> object:
        return asyncio.current_task()

    assert await in_parallel([task()]) == [asyncio.current_task()]


async def test_the_first_failure_is_raised_unchanged_and_the_others_are_cancelled() -> None:
    cancelled = []

    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("first") from ValueError("its cause")

    async def wait(number: int) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    with pytest.raises(KeyError) as raised:
        await in_parallel([wait(1), fail(), wait(2)])
    assert isinstance(raised.value.__cause__, ValueError)
    assert sorted(cancelled) == [1, 2]


async def test_operations_that_never_started_are_closed_or_never_made() -> None:
    made: list[Coroutine[Any, Any, None]] = []

    async def fail() -> None:
        raise KeyError

    def operations() -> Iterator[Coroutine[Any, Any, None]]:
        for _ in range(5):
            made.append(fail())
            yield made[-1]

    with pytest.raises(KeyError):
        await in_parallel(operations(), at_once=1)
    assert len(made) == 2
    assert {getcoroutinestate(operation) for operation in made} == {CORO_CLOSED}


async def test_cancellation_cancels_the_operations_under_way() -> None:
    started, ended = [], []

    async def wait(number: int) -> None:
        started.append(number)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(number)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await in_parallel((wait(number) for number in range(9)), at_once=2)
    assert started == sorted(ended) == [0, 1]


async def test_an_operation_that_is_cancelled_by_others_is_not_taken_for_done() -> None:
    async def stop() -> None:
        raise asyncio.CancelledError

    async def go_on() -> None:
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await in_parallel([go_on(), stop(), go_on()])


def test_a_failure_leaves_no_cycle() -> None:
    async def fail() -> None:
        raise KeyError

    async def fail_twice() -> None:
        with suppress(KeyError):
            await in_parallel([fail(), fail()])

    with left_in_cycles() as left:
        asyncio.run(fail_twice())
    assert left == []

"""The simulated event loop: virtual time, a chosen order, and processes that stop wherever they are."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from typing import Any

import pytest

from tests.simulation.event_loop import SimulatedLoop, Stuck

_is_dropped: ContextVar[list[bool]] = ContextVar("is_dropped")


def run(work: Coroutine[Any, Any, Any], choose: Callable[[int], int] = lambda _: 0) -> SimulatedLoop:
    def is_dropped(context: Context) -> bool:
        dropped = context.get(_is_dropped)
        return dropped is not None and dropped[0]

    loop = SimulatedLoop(choose, is_dropped, lambda: 5.0)  # type: ignore[abstract] # no I/O
    loop.run_until_complete(work)
    return loop


def test_hours_take_no_time() -> None:
    began = time.monotonic()
    loop = run(asyncio.sleep(36_000))
    assert loop.time() == 36_000
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(("choose", "order"), [(lambda _: 0, "abc"), (lambda count: count - 1, "cba")])
def test_the_order_of_what_is_ready_is_chosen(choose: Callable[[int], int], order: str) -> None:
    seen = []

    async def note(name: str) -> None:
        seen.append(name)

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(note(name))

    run(work(), choose)
    assert "".join(seen) == order


def test_a_timeout_comes_when_it_is_due() -> None:
    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.sleep(4)

    assert run(work()).time() == 3


def test_what_is_run_in_a_thread_returns_later_what_it_returns_or_raises() -> None:
    async def work() -> None:
        assert await asyncio.to_thread(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)

    assert run(work()).time() == 10


def test_what_is_dropped_does_not_go_on_and_cleans_nothing_up() -> None:
    seen, dropped = [], [False]

    async def mortal() -> None:
        try:
            seen.append("begun")
            await asyncio.sleep(2)
        finally:
            seen.append("cleaned up")

    async def work() -> None:
        context = Context()
        context.run(_is_dropped.set, dropped)
        asyncio.get_running_loop().create_task(mortal(), context=context)
        await asyncio.sleep(1)
        dropped[0] = True
        await asyncio.sleep(9)

    loop = run(work())
    assert seen == ["begun"]
    assert len(loop.tasks) == 2


def test_waiting_for_what_never_comes_is_an_error() -> None:
    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck, match="Nothing is left to happen"):
        run(work())


def test_what_a_callback_raises_is_kept() -> None:
    async def work() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    (error,) = run(work()).errors
    assert "ZeroDivisionError" in error

"""The probe of the event loop sees what holds it, and does nothing while nothing is under way."""

import asyncio
import time
from typing import Any

import pytest

from functions.edge.loop_probe import LoopProbe, Stalls

STALL_SECONDS = 0.1
# The clock, and the 5 ms between two looks.
LEAST_NOTED_SECONDS = 0.9 * STALL_SECONDS


def hold_the_loop() -> None:
    time.sleep(STALL_SECONDS)


async def test_a_stall_is_seen_by_all_that_is_under_way() -> None:
    probe, one, other = LoopProbe(), Stalls(), Stalls()
    with probe.watching(one), probe.watching(other):
        await asyncio.sleep(0.02)
        asyncio.get_running_loop().call_soon(hold_the_loop)
        await asyncio.sleep(0.02)
    assert one.longest_seconds == other.longest_seconds
    assert LEAST_NOTED_SECONDS < one.longest_seconds < 2 * STALL_SECONDS


async def test_a_stall_at_the_end_is_seen() -> None:
    probe, stalls = LoopProbe(), Stalls()
    with probe.watching(stalls):
        hold_the_loop()
    assert stalls.longest_seconds > LEAST_NOTED_SECONDS


async def test_what_is_over_and_what_comes_later_are_not_blamed() -> None:
    probe, before, later = LoopProbe(), Stalls(), Stalls()
    with probe.watching(before):
        await asyncio.sleep(0.02)
    noted = before.longest_seconds
    hold_the_loop()
    await asyncio.sleep(0.02)
    with probe.watching(later):
        await asyncio.sleep(0.02)
    assert before.longest_seconds == noted
    assert later.longest_seconds < LEAST_NOTED_SECONDS


async def test_the_longest_of_several_stalls_is_kept() -> None:
    probe, stalls = LoopProbe(), Stalls()
    with probe.watching(stalls):
        for seconds in (STALL_SECONDS, STALL_SECONDS / 10):
            time.sleep(seconds)  # noqa: ASYNC251 -- this is the stall
            await asyncio.sleep(0.02)
    assert stalls.longest_seconds > LEAST_NOTED_SECONDS


async def test_nothing_is_due_while_nothing_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    call_later, set_up = loop.call_later, 0

    def counting(*arguments: Any, **options: Any) -> asyncio.TimerHandle:
        nonlocal set_up
        set_up += 1
        return call_later(*arguments, **options)

    monkeypatch.setattr(loop, "call_later", counting)
    probe = LoopProbe()
    for _ in range(2):
        set_up = 0
        with probe.watching(Stalls()):
            await _later(0.05)
        assert set_up > 1
        await _later(0.02)
        set_up = 0
        await _later(0.05)
        assert set_up == 0


async def _later(seconds: float) -> None:
    """Waits in a thread, which sets no timer of the loop."""
    await asyncio.to_thread(time.sleep, seconds)

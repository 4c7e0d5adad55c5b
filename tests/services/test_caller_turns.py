"""How many pieces of work a caller has under way: alone, and beside others."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from shared.services.caller_turns import CallerTurns

ALONE, BESIDE_OTHERS = 8, 2


class Work:
    """Pieces of work that go on until they are told to end."""

    def __init__(self) -> None:
        self.turns = CallerTurns(alone=ALONE, beside_others=BESIDE_OTHERS)
        self.under_way: Counter[str] = Counter()
        self._ends: dict[str, list[asyncio.Future[None]]] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def begin(self, caller: str, pieces: int = 1) -> None:
        self.tasks += [asyncio.create_task(self._piece(caller)) for _ in range(pieces)]
        await asyncio.sleep(0.01)

    async def end(self, caller: str, pieces: int = 1) -> None:
        for _ in range(pieces):
            self._ends[caller].pop().set_result(None)
        await asyncio.sleep(0.01)

    async def _piece(self, caller: str) -> None:
        async with self.turns.turn(caller):
            self.under_way[caller] += 1
            end = asyncio.get_running_loop().create_future()
            self._ends.setdefault(caller, []).append(end)
            await end
        self.under_way[caller] -= 1


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time, which tests move."""
    seconds = [100.0]
    with monkeypatch.context() as patch:
        patch.setattr("shared.services.caller_turns.monotonic", lambda: seconds[0])
        yield seconds


async def test_a_caller_alone_has_many_turns_and_beside_others_few(now: list[float]) -> None:
    work = Work()
    await work.begin("greedy", 20)
    assert work.under_way == {"greedy": ALONE}
    await work.begin("other")
    assert work.under_way == {"greedy": ALONE, "other": 1}  # waits for none of them
    await work.end("greedy", ALONE - BESIDE_OTHERS)
    assert work.under_way["greedy"] == BESIDE_OTHERS
    await work.end("greedy")
    assert work.under_way["greedy"] == BESIDE_OTHERS  # the next one took the turn
    await work.begin("other", 5)
    assert work.under_way == {"greedy": BESIDE_OTHERS, "other": BESIDE_OTHERS}
    await work.end("other", 2)
    await work.end("other", 2)
    await work.end("other", 2)
    now[0] += 0.5
    await work.end("greedy")
    assert work.under_way["greedy"] == BESIDE_OTHERS  # the other one may come back
    now[0] += 10
    await work.end("greedy")
    assert work.under_way == {"greedy": ALONE, "other": 0}
    await work.end("greedy", ALONE)
    await work.end("greedy", 3)
    await asyncio.gather(*work.tasks)
    await work.begin("greedy", 20)
    assert work.under_way["greedy"] == ALONE
    await work.end("greedy", ALONE)
    await work.end("greedy", ALONE)
    await work.end("greedy", 4)
    await asyncio.gather(*work.tasks)


async def test_who_leaves_while_it_waits_keeps_no_turn() -> None:
    work = Work()
    await work.begin("other")
    await work.begin("greedy", 5)
    assert work.under_way["greedy"] == BESIDE_OTHERS
    for task in work.tasks[3:5]:
        task.cancel()
    await work.end("greedy", 2)
    assert work.under_way["greedy"] == 1  # the only one left
    await work.begin("greedy", 3)
    assert work.under_way["greedy"] == BESIDE_OTHERS
    last = work.tasks[-1]
    await asyncio.sleep(0)
    work._ends["greedy"].pop().set_result(None)
    await asyncio.sleep(0)
    last.cancel()
    await asyncio.sleep(0.01)
    await work.end("greedy", work.under_way["greedy"])
    await work.end("other")
    await asyncio.gather(*work.tasks, return_exceptions=True)
    assert not work.turns._taken
    assert not work.turns._waiting

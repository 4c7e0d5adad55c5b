"""Operations in a simulation: clients start, watch and cancel them, while messages and processes are lost.

What an operation does is made up: it adds up numbers, each a unit that takes as many runs. Whatever happens, every
operation ends once, and the results of each run are there once.
"""

from asyncio import sleep
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from shared.archive.operation import Operation, OperationStatus, OperationType, Results
from shared.services.operations import engine
from shared.services.operations.engine import cancel, fail_unit, run_unit, start
from shared.services.operations.operation_types import Work
from shared.services.operations.unit_message import UnitMessage
from shared.services.operations.upkeep import look_after_operations
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.operation_rows import FAILED_ROWS, number_of_unit_row
from tests.simulation.processes import SETTINGS, Process
from tests.simulation.queue_host import QueueHost
from tests.simulation.world import Unanswered, World

_MINUTE: Final = 60.0
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR

_CLIENTS: Final = 3
_UNANSWERED_MORE: Final = 5  # looks of a client that got no answer
_LASTING_HOURS: Final = 3  # what was lost is found 45 minutes later, and then nothing more is lost


class Broken(Exception):
    """What a unit raises that never ends."""


@dataclass
class _Asked:
    """An operation that a client was told of, and what it saw of it."""

    id: str
    numbers: Sequence[int]
    seen: list[tuple[OperationStatus, datetime]] = field(default_factory=list)
    is_canceled: bool = False


@dataclass
class _Operations:
    """What clients were told."""

    world: World
    work: Mapping[OperationType, Work]
    asked: list[_Asked] = field(default_factory=list)

    async def start(self, numbers: Sequence[int]) -> _Asked | None:
        process = await self.world.a_process()
        with suppress(Unanswered):
            operation = await self.world.ask(process, start(process.archive, OperationType.VERIFY, numbers))
            self.asked.append(_Asked(operation.id, numbers))
            return self.asked[-1]
        return None

    async def watch(self, asked: _Asked) -> None:
        process = await self.world.a_process()
        with suppress(Unanswered):
            operation = await self.world.ask(process, process.archive.operations.read(asked.id))
            assert operation is not None, f"{asked.id} is gone"
            asked.seen.append((operation.status, operation.last_updated))

    async def cancel(self, asked: _Asked) -> None:
        process = await self.world.a_process()
        with suppress(Unanswered):
            operation = await self.world.ask(process, cancel(process.archive, asked.id))
            asked.seen.append((operation.status, operation.last_updated))
            asked.is_canceled = operation.status is OperationStatus.CANCELED

    async def run(self, content: Mapping[str, Any], count: int) -> None:
        process = await self.world.a_process()
        await self.world.ask(process, run_unit(process.archive, SETTINGS, _message(content), count, work=self.work))

    async def fail(self, content: Mapping[str, Any], _: int) -> None:
        process = await self.world.a_process()
        await self.world.ask(process, fail_unit(process.archive, _message(content)))

    async def look_after(self) -> None:
        process = await self.world.a_process()
        with suppress(Unanswered):
            await self.world.ask(process, look_after_operations(process.archive, SETTINGS))


async def play_operations(world: World) -> None:
    """Start operations, watch and cancel some, and check what becomes of all. Raises AssertionError."""
    schedule, loop = world.shared.schedule, world.shared.loop
    schedule.is_calm = True
    for _ in range(schedule.random.randint(1, 3)):
        await world.start_process()
    schedule.is_calm = False
    operations = _Operations(world, {OperationType.VERIFY: _adding_up(schedule.random.randint(1, 4), schedule.random)})
    host = QueueHost(world.shared, {"operations": operations.run, "operations-poison": operations.fail})
    troubled = [
        loop.create_task(one)
        for one in (host.serve(_HOUR), _each(10 * _MINUTE, 6, operations.look_after), *_clients(operations))
    ]
    for task in troubled:
        await task
    schedule.is_calm = True
    calm = loop.create_task(host.serve(_LASTING_HOURS * _HOUR))
    await _each(10 * _MINUTE, 6 * _LASTING_HOURS, operations.look_after)
    await calm
    judge = await world.start_process()
    await judge.start(_check(judge, operations, host))
    await sleep(SETTINGS.operation_retention_days * _DAY)
    await operations.look_after()
    await judge.start(_check_gone(judge))


def _clients(operations: _Operations) -> list[Any]:
    return [_client(operations) for _ in range(_CLIENTS)]


async def _client(operations: _Operations) -> None:
    chance = operations.world.shared.schedule.random
    for _ in range(chance.randint(1, 2)):
        await sleep(chance.choice((0, 1, _MINUTE)) * chance.random())
        numbers = [chance.choice((0, 1, 1, 2, 3)) for _ in range(chance.choice((0, 1, 3, 7)))]
        asked = await operations.start(numbers)
        if asked is None:
            continue
        cancels = chance.random() < 0.3
        for _ in range(chance.randint(1, 8)):
            await sleep(chance.choice((0, 0.1, 1, _MINUTE)) * chance.random())
            await operations.watch(asked)
            if cancels and chance.random() < 0.3:
                await operations.cancel(asked)


def _adding_up(step: int, chance: Any) -> Work:
    """The work; `step` units are listed at once, and a number of 0 is a unit that fails more often than not."""

    async def list_units(_: Archive, __: Settings, numbers: Sequence[int], cursor: Any) -> tuple[list[Any], Any]:
        begin = cursor or 0
        end = begin + step
        found = list(enumerate(numbers))[begin:end]
        return found, end if end < len(numbers) else None

    async def run(_: Archive, __: Settings, work: Any, cursor: Any, ___: float) -> tuple[Results, Any]:
        index, number = work
        await sleep(chance.choice((0, 1, _MINUTE)) * chance.random())
        if number == 0 and chance.random() < 0.8:
            raise Broken
        done = (cursor or 0) + 1
        return Results({"runs": 1}, [[index, done]]), done if done < number else None

    return Work(list_units, run, "runs")


async def _check(process: Process, operations: _Operations, host: QueueHost) -> None:
    table = process.archive.operations
    found = {operation.id: operation async for operation in table.read_all()}
    assert set(found) >= {asked.id for asked in operations.asked}, "an operation is not listed"
    for operation in found.values():
        assert operation.status.has_ended, f"{operation} has not ended"
        assert not await table.count_open(operation.id), f"{operation} has units that are not done"
        await _check_results(process.archive, operation, host)
    for asked in operations.asked:
        operation = found[asked.id]
        end = (operation.status, operation.last_updated)
        ended = [seen for seen in asked.seen if seen[0].has_ended]
        assert set(ended) <= {end}, f"{asked} ended more than once: now {end}"
        assert asked.seen[len(asked.seen) - len(ended) :] == ended, f"{asked} went on after its end"
        assert not asked.is_canceled or operation.status is OperationStatus.CANCELED, f"{asked} was canceled"
    assert not host.waiting, f"Messages are left: {host.waiting}"


async def _check_results(archive: Archive, operation: Operation, host: QueueHost) -> None:
    numbers = await archive.operations.read_specification(operation.id)
    rows = [items async for _, items in archive.operations.read_items(operation.id)]
    runs = Counter(tuple(item) for items in rows for item in items)
    failures = await archive.operations.read_failures(operation.id, 100)
    expected = {(index, done) for index, number in enumerate(numbers) for done in range(1, max(1, number) + 1)}
    assert set(runs.values()) <= {1}, f"{operation}: results are there twice: {runs}"
    assert set(runs) <= expected, f"{operation}: {runs}"
    match operation.status:
        case OperationStatus.SUCCEEDED:
            assert set(runs) == expected, f"{operation} lacks {expected - set(runs)}"
            assert not failures, f"{operation}: {failures}"
        case OperationStatus.FAILED:
            assert failures, f"{operation} has no failure"
    # Of one that was canceled, runs that were under way are noted later.
    totals = operation.totals
    if operation.status is OperationStatus.CANCELED:
        totals = await archive.operations.read_totals(operation.id)
    assert totals.get("runs", 0) == len(runs), f"{operation}: {totals} are not the totals of {runs}"
    done = Counter(index for index, _ in runs)
    async for number, reason in _failures(archive, operation):
        # The units' numbers begin after the lister's, and each run leaves the next generation.
        ran = {"operation": operation.id, "unit": number, "generation": done[number - 1]}
        assert number == 0 or ran in host.poisoned or reason != engine._PROCESS_DIED, f"{ran} failed: {reason}"


async def _failures(archive: Archive, operation: Operation) -> AsyncIterator[tuple[int, str]]:
    """Number and reason of each unit that failed."""
    query = "PartitionKey eq @id and RowKey ge @first and RowKey lt @end"
    between = dict(zip(("first", "end"), FAILED_ROWS, strict=True))
    async for row in archive.operations._table.query_entities(query, parameters={"id": operation.id, **between}):
        yield number_of_unit_row(row["RowKey"]), row["reason"]


async def _check_gone(process: Process) -> None:
    left = [operation.id async for operation in process.archive.operations.read_all()]
    assert not left, f"Operations are kept for too long: {left}"


async def _each(seconds: float, times: int, work: Callable[[], Awaitable[None]]) -> None:
    for _ in range(times):
        await sleep(seconds)
        await work()


def _message(content: Mapping[str, Any]) -> UnitMessage:
    return UnitMessage(content["operation"], content["unit"], content["generation"])

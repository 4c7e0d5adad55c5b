"""Messages of units as they lie in Azurite's queue, delivered by hand: in any order, twice, again after a failure."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from azure.core.exceptions import ResourceExistsError
from azure.storage.queue.aio import QueueClient

from shared.archive.operation import Operation, OperationType, Results
from shared.services.operations.engine import MAX_TRIES, fail_unit, run_unit
from shared.services.operations.operation_types import WORK, Work
from shared.services.operations.unit_message import UnitMessage
from shared.settings import Settings
from shared.storage.archive import Archive

Works = Mapping[OperationType, Work]


@dataclass(frozen=True)
class Delivery:
    """A message, delivered for the `count`-th time."""

    message: UnitMessage
    count: int = 1

    @property
    def again(self) -> "Delivery":
        return replace(self, count=self.count + 1)


@dataclass
class Messages:
    """The messages of a queue; `pending` are those that a process has taken and not handled."""

    _queue: QueueClient
    pending: list[Delivery] = field(default_factory=list)

    async def take(self) -> list[Delivery]:
        """Take all messages out of the queue."""
        found = []
        async for message in self._queue.receive_messages(messages_per_page=32):
            found.append(Delivery(UnitMessage.of(message.content.encode())))
            await self._queue.delete_message(message)
        return found

    async def deliver_all(self, archive: Archive, settings: Settings, *, work: Works = WORK) -> list[str]:
        """Deliver messages until there are none, as the host does; return why units failed."""
        reasons: list[str] = []
        while True:
            self.pending += await self.take()
            if not self.pending:
                return reasons
            delivery = self.pending[0]
            self.pending[0] = delivery.again  # where the process dies
            reason = await deliver(archive, settings, delivery, work=work)
            reasons += [reason] if reason else []
            self.pending.pop(0)


async def deliver(archive: Archive, settings: Settings, delivery: Delivery, *, work: Works = WORK) -> str | None:
    """Deliver a message, at once again where it fails, and to the poison queue's function at last."""
    while delivery.count <= MAX_TRIES:
        try:
            return await run_unit(archive, settings, delivery.message, delivery.count, work=work)
        except Exception:  # noqa: BLE001 -- whatever it is, the host delivers again
            delivery = delivery.again
    return await fail_unit(archive, delivery.message)


async def now(archive: Archive, operation: Operation) -> Operation:
    """The operation as it is by now."""
    found = await archive.operations.read(operation.id)
    assert found is not None
    return found


@asynccontextmanager
async def messages_of(settings: Settings) -> AsyncIterator[Messages]:
    """The messages of the queue of operations, which is empty at the beginning."""
    connection_string = settings.storage_connection_string
    async with QueueClient.from_connection_string(connection_string, "operations") as queue:
        try:
            await queue.create_queue()
        except ResourceExistsError:
            await queue.clear_messages()
        yield Messages(queue)


@dataclass
class Counting:
    """Work that adds up numbers: its specification is a list of numbers, each a unit that takes as many runs.

    A step of the lister lists `step` units. `runs` are the units' numbers and cursors, as they were run. A unit of a
    number in `broken` fails, whenever it is run.
    """

    step: int = 3
    broken: frozenset[int] = frozenset()
    runs: list[tuple[int, int]] = field(default_factory=list)

    @property
    def work(self) -> Works:
        return {OperationType.VERIFY: Work(self._list, self._run, "numbers")}

    async def _list(self, _archive: Archive, _settings: Settings, numbers: Any, cursor: Any) -> tuple[list[Any], Any]:
        end = (cursor or 0) + self.step
        return numbers[cursor or 0 : end], end if end < len(numbers) else None

    async def _run(
        self, _archive: Archive, _settings: Settings, number: Any, cursor: Any, _deadline: float
    ) -> tuple[Results, Any]:
        if number in self.broken:
            raise ValueError(number)
        done = (cursor or 0) + 1
        self.runs.append((number, done))
        return Results({"runs": 1}, [[number, done]]), done if done < number else None


UNITS: Final = [1, 2, 1, 1, 3]
"""A specification of `Counting`: its units take eight runs."""

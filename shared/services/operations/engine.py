"""The engine of operations: starts them, and does what a message asks for.

A message names a unit and a generation of it. Whoever takes the unit on saves, under the ETag of the unit's row, how
far it has come and the next generation, and only then sends the message for the rest. So of two deliveries of one
message only one goes on, and a run that finds another generation drops its message. A process may die anywhere: the
queue delivers its message again. If it died between saving and sending, the row is one generation ahead: then the
message that it did not send is sent again, perhaps a second time, which does no harm. What no message leads to,
maintenance finds (`upkeep.py`).

The lister's message comes behind those of the units that it has listed. So it goes on as these are taken, few of an
operation's messages wait at a time, and no operation has to wait until another one has ended.

Storage operations: 1 and a message to start; for a run of a unit 2 to read, 1 to note, and a message or 1 to look
whether it was the last one; for each step of the lister 1 more, for the specification, and a message for each unit.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from shared.archive.operation import LISTER, Operation, OperationStatus, OperationType, Unit, new_operation_id
from shared.errors import NotFound, Unavailable
from shared.failures import described
from shared.services.operations.operation_types import WORK, Work
from shared.services.operations.settlement import end, settle
from shared.services.operations.unit_message import UnitMessage
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.operation_table import OperationMoved
from shared.storage.parallel import in_parallel
from shared.storage.queues import NO_QUEUES, QueueName

MAX_TRIES: Final = 5
"""How often the host delivers a message: then it moves it to the poison queue."""

_RUN_SECONDS: Final = 300
_WAITING_SECONDS: Final = 5
"""After which a lister comes back that has listed nothing and come no further: it waits for something."""
_OVERTAKEN_SECONDS: Final = 2 * _RUN_SECONDS
_PROCESS_DIED: Final = "Each process that ran it ended before it was done."


async def start(
    archive: Archive,
    operation_type: OperationType,
    specification: Any,
    *,
    operation_id: str = "",
    visible_after_seconds: int = 0,
) -> Operation:
    """Start an operation: it runs by itself once this has returned, after so many seconds.

    Its id is a new one, unless one is given. Raises PayloadTooLarge where the specification is too long, and
    Unavailable where the archive has no queues. Where the message cannot be sent, the operation is canceled: who asks
    again starts another.
    """
    check_queues(archive)
    now = datetime.now(UTC)
    operation = Operation(operation_id or new_operation_id(now), operation_type, OperationStatus.NOT_STARTED, now, now)
    lister = await archive.operations.create(operation, specification)
    try:
        await send(
            archive,
            lister.operation_id,
            lister.number,
            lister.generation,
            visible_after_seconds=visible_after_seconds,
        )
    except Exception:
        await cancel(archive, operation.id)
        raise
    return operation


def check_queues(archive: Archive) -> None:
    """Raises Unavailable where the archive has no queues, so that no operation can start."""
    if not archive.queues.is_available:
        raise Unavailable(NO_QUEUES)


async def note_success(
    archive: Archive, operation_type: OperationType, specification: Any, *, operation_id: str
) -> Operation:
    """Note an operation that has nothing to do, so that it has succeeded already. 1 storage operation."""
    now = datetime.now(UTC)
    operation = Operation(operation_id, operation_type, OperationStatus.SUCCEEDED, now, now, is_listed=True)
    await archive.operations.create_ended(operation, specification)
    return operation


async def cancel(archive: Archive, operation_id: str) -> Operation:
    """Let no further unit of an operation begin; return what becomes of it, as it is where it has ended before.

    What is under way still ends, and is noted. Raises NotFound.
    """
    while True:
        operation = await archive.operations.read(operation_id)
        if operation is None:
            raise NotFound("There is no such operation.")
        if operation.status.has_ended:
            return operation
        try:
            return await end(archive, operation, OperationStatus.CANCELED)
        except OperationMoved:
            continue


async def run_unit(
    archive: Archive,
    settings: Settings,
    message: UnitMessage,
    dequeue_count: int,
    *,
    work: Mapping[OperationType, Work] = WORK,
) -> str | None:
    """Do what a message asks for, which has been delivered `dequeue_count` times.

    Returns why its unit has failed for good, None where it has not. What a run raises is raised, for the message to be
    delivered again, as long as that may happen.
    """
    was_overtaken = False
    while True:
        operation = await archive.operations.read(message.operation)
        unit = await archive.operations.read_unit(message.operation, message.unit)
        if operation is None:
            return None
        if unit is None or unit.generation != message.generation:
            if was_overtaken:
                # By another delivery, which sends them itself; or this one's answer was lost. At once, they would let
                # two go on side by side to the end.
                await _catch_up(archive, message, unit, work, visible_after_seconds=_OVERTAKEN_SECONDS)
            elif dequeue_count > 1:
                await _catch_up(archive, message, unit, work)
            return None
        if operation.status.has_ended:
            await archive.operations.remove_open(operation.id, [unit.number])
            return None
        try:
            if unit.number == LISTER:
                await _list(archive, settings, operation, unit, work)
            else:
                await _run(archive, settings, operation, unit, work)
        except OperationMoved:
            was_overtaken = True
        except Exception as error:
            reason = described(error)
            if dequeue_count < MAX_TRIES or not await _fail(archive, message, reason, work):
                raise
            return reason
        else:
            return None


async def fail_unit(archive: Archive, message: UnitMessage, *, work: Mapping[OperationType, Work] = WORK) -> str | None:
    """Note that the unit of a message failed that was delivered MAX_TRIES times and not handled.

    Returns why it failed; None where its row shows that the message was handled, or is no longer needed.
    """
    if await _fail(archive, message, _PROCESS_DIED, work):
        return _PROCESS_DIED
    unit = await archive.operations.read_unit(message.operation, message.unit)
    await _catch_up(archive, message, unit, work)
    return None


async def send(
    archive: Archive, operation_id: str, number: int, generation: int, *, visible_after_seconds: int = 0
) -> None:
    """Send the message of a unit whose row has this generation: another of it does no harm."""
    message = UnitMessage(operation_id, number, generation)
    await archive.queues.send(QueueName.OPERATIONS, message.content, visible_after_seconds=visible_after_seconds)


async def _list(
    archive: Archive, settings: Settings, operation: Operation, lister: Unit, work: Mapping[OperationType, Work]
) -> None:
    """List the next units, and send their messages. Raises OperationMoved."""
    specification = await archive.operations.read_specification(operation.id)
    found, cursor = await work[operation.type].list_units(archive, settings, specification, lister.cursor)
    units = await archive.operations.list_units(operation, lister, found, cursor, datetime.now(UTC))
    await in_parallel(send(archive, operation.id, unit.number, unit.generation) for unit in units)
    is_waiting = not found and cursor == lister.cursor
    await _go_on(archive, lister, cursor, work, after_seconds=_WAITING_SECONDS if is_waiting else 0)


async def _run(
    archive: Archive, settings: Settings, operation: Operation, unit: Unit, work: Mapping[OperationType, Work]
) -> None:
    """Do a unit's work, and note what came of it. Raises OperationMoved where another has noted it."""
    deadline = monotonic() + _RUN_SECONDS
    results, cursor = await work[operation.type].run(archive, settings, unit.work, unit.cursor, deadline)
    while True:
        try:
            await archive.operations.note_run(unit, results, cursor)
            break
        except OperationMoved:
            unit = await _still(archive, unit)
    await _go_on(archive, unit, cursor, work)


async def _go_on(
    archive: Archive, unit: Unit, cursor: Any, work: Mapping[OperationType, Work], *, after_seconds: int = 0
) -> None:
    """What follows once it is noted how far a unit has come."""
    if cursor is None:
        await settle(archive, unit.operation_id, work=work)
    else:
        generation = unit.generation + 1
        await send(archive, unit.operation_id, unit.number, generation, visible_after_seconds=after_seconds)


async def _fail(archive: Archive, message: UnitMessage, reason: str, work: Mapping[OperationType, Work]) -> bool:
    """Note that a unit has failed, if it still has the generation of the message; whether it was noted."""
    operation = await archive.operations.read(message.operation)
    if operation is None or operation.status.has_ended:
        return False
    while True:
        unit = await archive.operations.read_unit(message.operation, message.unit)
        if unit is None or unit.generation != message.generation:
            return False
        try:
            await archive.operations.note_failure(unit, reason)
        except OperationMoved:
            continue
        await settle(archive, unit.operation_id, work=work)
        return True


async def _catch_up(
    archive: Archive,
    message: UnitMessage,
    unit: Unit | None,
    work: Mapping[OperationType, Work],
    *,
    visible_after_seconds: int = 0,
) -> None:
    """Do what whoever handled the message may have died before doing; `unit` is its row now."""
    is_lister = message.unit == LISTER
    sent = await archive.operations.read_listed(message.operation, message.generation) if is_lister else []
    if unit is not None and unit.generation == message.generation + 1:
        sent.append((unit.number, unit.generation))
    await in_parallel(
        send(archive, message.operation, *one, visible_after_seconds=visible_after_seconds) for one in sent
    )
    await settle(archive, message.operation, work=work)


async def _still(archive: Archive, unit: Unit) -> Unit:
    """A unit whose row has changed, if it still has the same generation. Raises OperationMoved."""
    found = await archive.operations.read_unit(unit.operation_id, unit.number)
    if found is None or found.generation != unit.generation:
        raise OperationMoved
    return found

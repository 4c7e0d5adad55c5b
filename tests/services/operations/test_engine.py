"""Operations from their start to their end: whatever is delivered, and however often."""

import random
from datetime import UTC, datetime

import pytest

from shared.archive.operation import LISTER, Operation, OperationStatus, OperationType
from shared.services.operations.engine import MAX_TRIES, run_unit, start
from shared.services.operations.unit_message import UnitMessage
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.operation_messages import UNITS, Counting, Delivery, Messages, deliver

VERIFY = OperationType.VERIFY


async def now(archive: Archive, operation: Operation) -> Operation:
    """The operation as it is by now."""
    found = await archive.operations.read(operation.id)
    assert found is not None
    return found


async def items(archive: Archive, operation: Operation) -> list[object]:
    return [item async for _, some in archive.operations.read_items(operation.id) for item in some]


async def check_succeeded(archive: Archive, operation: Operation) -> None:
    """Each run of UNITS was noted once."""
    ended = await now(archive, operation)
    assert (ended.status, ended.unit_count, ended.totals) == (OperationStatus.SUCCEEDED, 5, {"runs": 8})
    noted = await items(archive, operation)
    assert noted == [[1, 1], [2, 1], [2, 2], [1, 1], [1, 1], [3, 1], [3, 2], [3, 3]]
    assert await archive.operations.count_open(operation.id) == 0


async def test_an_operation_does_all_its_units_and_ends(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    counting = Counting()
    before = datetime.now(UTC)
    operation = await start(archive, VERIFY, UNITS)
    assert operation.status is OperationStatus.NOT_STARTED
    assert await now(archive, operation) == Operation(
        operation.id, VERIFY, OperationStatus.NOT_STARTED, operation.created, operation.created,
        etag=(await now(archive, operation)).etag,
    )  # fmt: skip
    (first,) = await messages.take()
    assert first.message == UnitMessage(operation.id, LISTER, 0)
    await deliver(archive, settings, first, work=counting.work)
    listed = await now(archive, operation)
    assert (listed.status, listed.unit_count, listed.is_listed) == (OperationStatus.RUNNING, 3, False)
    assert await archive.operations.count_open(operation.id) == 4
    assert await messages.deliver_all(archive, settings, work=counting.work) == []
    await check_succeeded(archive, operation)
    assert len(counting.runs) == 8
    assert before <= operation.created < (await now(archive, operation)).last_updated


async def test_an_operation_without_units_ends_at_once(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    operation = await start(archive, VERIFY, [])
    await messages.deliver_all(archive, settings, work=Counting().work)
    assert (await now(archive, operation)).status is OperationStatus.SUCCEEDED


async def test_a_unit_that_fails_five_times_fails_the_operation_which_keeps_the_others_results(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    counting = Counting(broken=frozenset({2}))
    operation = await start(archive, VERIFY, UNITS)
    (reason,) = await messages.deliver_all(archive, settings, work=counting.work)
    assert reason.startswith("ValueError at ")
    ended = await now(archive, operation)
    assert (ended.status, ended.totals) == (OperationStatus.FAILED, {"runs": 6})
    assert await archive.operations.read_failures(operation.id, 10) == [reason]


async def test_a_unit_that_fails_is_tried_again(archive: Archive, settings: Settings, messages: Messages) -> None:
    operation = await start(archive, VERIFY, [2])
    (first,) = await messages.take()
    await deliver(archive, settings, first, work=Counting().work)
    (unit,) = await messages.take()
    for count in range(1, MAX_TRIES):
        with pytest.raises(ValueError, match="2"):
            await run_unit(archive, settings, unit.message, count, work=Counting(broken=frozenset({2})).work)
    assert await run_unit(archive, settings, unit.message, MAX_TRIES, work=Counting().work) is None
    await messages.deliver_all(archive, settings, work=Counting().work)
    assert (await now(archive, operation)).status is OperationStatus.SUCCEEDED


async def test_duplicates_in_any_order_do_nothing_twice(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    chance = random.Random(7)
    counting = Counting()
    operation = await start(archive, VERIFY, UNITS)
    seen: list[Delivery] = []
    for _ in range(200):
        seen += await messages.take()
        delivery = chance.choice(seen)
        await run_unit(archive, settings, delivery.message, chance.randint(1, 3), work=counting.work)
        if (await now(archive, operation)).status.has_ended:
            break
    await check_succeeded(archive, operation)
    for delivery in seen:
        await deliver(archive, settings, delivery.again, work=counting.work)
    await check_succeeded(archive, operation)
    assert len(counting.runs) == 8

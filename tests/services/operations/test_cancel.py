"""Operations that are canceled: nothing of them begins any more, and what is under way still counts."""

from dataclasses import replace
from typing import Any

import pytest

from shared.archive.operation import OperationStatus, OperationType
from shared.errors import NotFound
from shared.services.operations.engine import cancel, fail_unit, start
from shared.services.operations.operation_states import state_of
from shared.services.operations.upkeep import look_after_operations
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.operation_messages import UNITS, Counting, Messages, deliver, now

VERIFY = OperationType.VERIFY


async def test_nothing_of_a_canceled_operation_begins(archive: Archive, settings: Settings, messages: Messages) -> None:
    counting = Counting()
    operation = await start(archive, VERIFY, UNITS)
    await deliver(archive, settings, (await messages.take())[0], work=counting.work)
    one, *others = await messages.take()
    await deliver(archive, settings, one, work=counting.work)
    canceled = await cancel(archive, operation.id)
    assert (canceled.status, canceled.totals) == (OperationStatus.CANCELED, {})
    assert await now(archive, operation) == replace(canceled, etag=(await now(archive, operation)).etag)
    await deliver(archive, settings, others[0], work=counting.work)
    assert len(counting.runs) == 1
    assert await archive.operations.count_open(operation.id) == 2
    assert await look_after_operations(archive, settings) == 0
    assert await archive.operations.count_open(operation.id) == 0
    await messages.deliver_all(archive, settings, work=counting.work)
    assert await archive.operations.read_totals(operation.id) == {"runs": 1}
    again = await cancel(archive, operation.id)
    assert (again.status, again.last_updated) == (OperationStatus.CANCELED, canceled.last_updated)
    with pytest.raises(NotFound):
        await cancel(archive, "0" * 32)


async def test_what_is_under_way_when_an_operation_is_canceled_is_noted_and_counted(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    counting = Counting()
    operation = await start(archive, VERIFY, UNITS)
    await deliver(archive, settings, (await messages.take())[0], work=counting.work)
    one, two, *_ = await messages.take()
    await deliver(archive, settings, one, work=counting.work)
    inner = counting.work[VERIFY].run

    async def canceled(*arguments: Any) -> Any:
        await cancel(archive, operation.id)
        return await inner(*arguments)

    await deliver(archive, settings, two, work={VERIFY: replace(counting.work[VERIFY], run=canceled)})
    ended = await now(archive, operation)
    assert ended.status is OperationStatus.CANCELED
    state = await state_of(archive, ended, "v2", "https://dicom.example.org/v2")
    assert state["results"] == {"runs": 2, "differences": [[1, 1], [2, 1]]}


async def test_a_unit_of_a_canceled_operation_does_not_fail_any_more(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    operation = await start(archive, VERIFY, UNITS)
    (first,) = await messages.take()
    await cancel(archive, operation.id)
    assert await fail_unit(archive, first.message) is None
    assert await archive.operations.read_failures(operation.id, 10) == []
    assert await messages.take() == []


async def test_an_operation_that_is_canceled_while_its_units_are_listed_lists_none(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    counting = Counting()
    operation = await start(archive, VERIFY, UNITS)
    inner = counting.work[VERIFY].list_units

    async def canceled(*arguments: Any) -> Any:
        await cancel(archive, operation.id)
        return await inner(*arguments)

    work = {VERIFY: replace(counting.work[VERIFY], list_units=canceled)}
    assert await messages.deliver_all(archive, settings, work=work) == []
    assert (await now(archive, operation)).status is OperationStatus.CANCELED
    assert await archive.operations.count_open(operation.id) == 0

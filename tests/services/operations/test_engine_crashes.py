"""A process that dies at each storage operation of an operation: the next one ends it, and notes each run once."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from shared.archive.operation import OperationStatus, OperationType
from shared.services.operations.engine import cancel, start
from shared.services.operations.upkeep import look_after_operations
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.operation_messages import Counting, Messages
from tests.support.storage_policies import StopAt, before_or_after, die_at

WORK = Counting(step=1).work
NUMBERS = [1, 2]


async def maintain(archive: Archive, settings: Settings) -> None:
    await look_after_operations(archive, settings, now=datetime.now(UTC) + timedelta(hours=1))


async def check_ended(archive: Archive, status: OperationStatus = OperationStatus.SUCCEEDED) -> None:
    """Each operation has ended so, has noted each run once, and has left nothing to do."""
    async for operation in archive.operations.read_all():
        assert operation.status is status
        assert await archive.operations.count_open(operation.id) == 0
        noted = [item async for _, items in archive.operations.read_items(operation.id) for item in items]
        if status is OperationStatus.SUCCEEDED:
            assert operation.totals == {"runs": 3}
            assert noted == [[1, 1], [2, 1], [2, 2]]
        else:
            assert len(noted) == len({tuple(item) for item in noted}) <= 3
        await archive.operations.remove(operation.id)


@before_or_after
@pytest.mark.parametrize("is_delivered_again", [True, False], ids=["delivered again", "maintained"])
async def test_a_run_that_dies_anywhere(
    archive: Archive,
    settings: Settings,
    messages: Messages,
    monkeypatch: pytest.MonkeyPatch,
    is_done: bool,
    is_delivered_again: bool,
) -> None:
    for operation in count(1):
        await start(archive, OperationType.VERIFY, NUMBERS)
        stop = StopAt(operation, is_done=is_done)
        await die_at(stop, monkeypatch, settings, lambda mortal: messages.deliver_all(mortal, settings, work=WORK))
        if not is_delivered_again:
            messages.pending.clear()
            await maintain(archive, settings)
        assert await messages.deliver_all(archive, settings, work=WORK) == []
        if not is_delivered_again:  # what was sent and lost after that
            await maintain(archive, settings)
            assert await messages.deliver_all(archive, settings, work=WORK) == []
        await check_ended(archive)
        if not stop.has_died:
            break
    assert operation == 27


@before_or_after
async def test_a_start_that_dies_anywhere(
    archive: Archive, settings: Settings, messages: Messages, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    for operation in count(1):
        stop = StopAt(operation, is_done=is_done)
        await die_at(stop, monkeypatch, settings, lambda mortal: start(mortal, OperationType.VERIFY, NUMBERS))
        await maintain(archive, settings)
        assert await messages.deliver_all(archive, settings, work=WORK) == []
        await check_ended(archive)
        if not stop.has_died:
            break
    assert operation == 3


@before_or_after
async def test_maintenance_that_dies_anywhere(
    archive: Archive, settings: Settings, messages: Messages, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    for operation in count(1):
        running = await start(archive, OperationType.VERIFY, NUMBERS)
        canceled = await start(archive, OperationType.VERIFY, NUMBERS)
        await cancel(archive, canceled.id)
        await messages.take()  # and they are lost
        stop = StopAt(operation, is_done=is_done)
        await die_at(stop, monkeypatch, settings, lambda mortal: maintain(mortal, settings))
        await maintain(archive, settings)
        assert await archive.operations.count_open(canceled.id) == 0
        assert await messages.deliver_all(archive, settings, work=WORK) == []
        await archive.operations.remove(canceled.id)
        await check_ended(archive)
        assert await archive.operations.read(running.id) is None
        if not stop.has_died:
            break
    assert operation == 6

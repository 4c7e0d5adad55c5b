"""Operations from their start to their end: whatever is delivered, and however often."""

import random
from asyncio import Barrier, gather
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.archive.operation import LISTER, Operation, OperationStatus, OperationType
from shared.errors import PayloadTooLarge, Unavailable
from shared.services.operations.engine import MAX_TRIES, fail_unit, run_unit, start
from shared.services.operations.unit_message import NotAUnitMessage, UnitMessage
from shared.services.operations.upkeep import look_after_operations
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.queues import Queues
from tests.support.operation_messages import UNITS, Counting, Delivery, Messages, deliver, now
from tests.support.storage_operations import Counting as StorageCounting
from tests.support.storage_policies import archive_through

VERIFY = OperationType.VERIFY


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


async def test_a_run_that_maintenance_overtakes_is_noted_all_the_same(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    counting = Counting()
    operation = await start(archive, VERIFY, [1])
    await deliver(archive, settings, (await messages.take())[0], work=counting.work)
    (unit,) = await messages.take()
    inner = counting.work[VERIFY].run

    async def touched(*arguments: Any) -> Any:
        found = await inner(*arguments)
        assert await look_after_operations(archive, settings, now=datetime.now(UTC) + timedelta(minutes=46)) == 1
        return found

    work = {VERIFY: replace(counting.work[VERIFY], run=touched)}
    assert await run_unit(archive, settings, unit.message, 1, work=work) is None
    assert len(counting.runs) == 1
    assert (await now(archive, operation)).status is OperationStatus.SUCCEEDED
    await messages.deliver_all(archive, settings, work=work)  # the message that was sent again
    assert len(counting.runs) == 1


async def test_messages_that_were_lost_are_sent_again_once_their_rows_have_not_moved(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    counting = Counting()
    operation = await start(archive, VERIFY, UNITS)
    (first,) = await messages.take()
    await deliver(archive, settings, first, work=counting.work)
    assert len(await messages.take()) == 4  # and they are lost
    assert await look_after_operations(archive, settings) == 0
    soon = datetime.now(UTC) + timedelta(minutes=44)
    assert await look_after_operations(archive, settings, now=soon) == 0
    later = datetime.now(UTC) + timedelta(minutes=46)
    assert await look_after_operations(archive, settings, now=later) == 4
    await messages.deliver_all(archive, settings, work=counting.work)
    await check_succeeded(archive, operation)


async def test_units_are_listed_as_those_before_them_are_done(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    counting = Counting(step=2)
    operations = [await start(archive, VERIFY, [1] * 20) for _ in range(2)]
    waiting, finished = await messages.take(), list[str]()
    while waiting:
        first = waiting.pop(0)
        await deliver(archive, settings, first, work=counting.work)
        waiting += await messages.take()
        assert len(waiting) <= 2 * (2 + 1)
        finished.append(first.message.operation)
    for operation in operations:  # neither waits until the other has ended
        assert finished.index(operation.id) < 3
        assert finished[-6:].count(operation.id) >= 2


async def test_what_died_between_saving_and_sending_is_made_up_for(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    counting = Counting()
    operation = await start(archive, VERIFY, UNITS)
    (first,) = await messages.take()
    await deliver(archive, settings, first, work=counting.work)
    await messages.take()  # as if they had not been sent
    await run_unit(archive, settings, first.message, 1, work=counting.work)
    assert await messages.take() == []  # a mere duplicate sends nothing
    await run_unit(archive, settings, first.message, 2, work=counting.work)
    sent = await messages.take()
    assert sorted((one.message.unit, one.message.generation) for one in sent) == [(0, 1), (1, 0), (2, 0), (3, 0)]
    for delivery in sent:
        await deliver(archive, settings, delivery, work=counting.work)
    await messages.deliver_all(archive, settings, work=counting.work)
    await check_succeeded(archive, operation)


async def test_the_function_of_the_poison_queue_looks_before_it_fails_a_unit(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    counting = Counting()
    operation = await start(archive, VERIFY, [2, 1])
    (first,) = await messages.take()
    await deliver(archive, settings, first, work=counting.work)
    two, one = await messages.take()
    await deliver(archive, settings, two, work=counting.work)
    await messages.take()  # as if it had not been sent
    assert await fail_unit(archive, first.message) is None
    assert await fail_unit(archive, two.message) is None
    sent = await messages.take()
    assert sorted((more.message.unit, more.message.generation) for more in sent) == [(1, 1), (2, 0)]
    reason = await fail_unit(archive, one.message)
    assert reason == "Each process that ran it ended before it was done."
    assert await fail_unit(archive, one.message) is None
    for more in sent:
        await deliver(archive, settings, more, work=counting.work)
    ended = await now(archive, operation)
    assert (ended.status, ended.totals) == (OperationStatus.FAILED, {"runs": 2})


async def test_two_runs_of_one_unit_side_by_side_are_not_followed_by_two(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    counting = Counting()
    operation = await start(archive, VERIFY, [3])
    (first,) = await messages.take()
    inner = counting.work[VERIFY].list_units, counting.work[VERIFY].run
    together = Barrier(2)

    async def list_units(*arguments: Any) -> Any:
        await together.wait()
        return await inner[0](*arguments)

    async def run(*arguments: Any) -> Any:
        await together.wait()
        return await inner[1](*arguments)

    side_by_side = {VERIFY: replace(counting.work[VERIFY], list_units=list_units, run=run)}
    for message in (first.message, UnitMessage(operation.id, 1, 0)):
        runs = (run_unit(archive, settings, message, count, work=side_by_side) for count in (1, 2))
        assert await gather(*runs) == [None, None]
        (following,) = await messages.take()
        assert following.message.unit == 1
    assert following.message.generation == 1
    await deliver(archive, settings, following, work=counting.work)
    await messages.deliver_all(archive, settings, work=counting.work)
    ended = await now(archive, operation)
    assert (ended.status, ended.totals) == (OperationStatus.SUCCEEDED, {"runs": 3})


async def test_one_that_has_ended_is_kept_for_a_while(archive: Archive, settings: Settings, messages: Messages) -> None:
    operation = await start(archive, VERIFY, UNITS)
    await messages.deliver_all(archive, settings, work=Counting(broken=frozenset({3})).work)
    other = await start(archive, VERIFY, [])
    for days, count in ((6.9, 2), (7.1, 1)):
        await look_after_operations(archive, settings, now=datetime.now(UTC) + timedelta(days=days))
        assert len([one async for one in archive.operations.read_all()]) == count
    assert await archive.operations.read(operation.id) is None
    assert [row["RowKey"] async for row in archive.operations._table.list_entities()] == ["open:00000000", "operation"]
    await deliver(archive, settings, Delivery(UnitMessage(operation.id, 1, 0), 2))  # comes too late
    assert [one.id async for one in archive.operations.read_all()] == [other.id]


async def test_newer_operations_come_first(archive: Archive, messages: Messages) -> None:
    started = [await start(archive, VERIFY, []) for _ in range(3)]
    assert len(await messages.take()) == 3
    listed = [one.id async for one in archive.operations.read_all()]
    assert listed == sorted(one.id for one in started)
    assert listed[-1] == started[0].id
    assert [one.id async for one in archive.operations.read_all(listed[0])] == listed[1:]


async def test_one_whose_message_cannot_be_sent_does_not_run(archive: Archive, messages: Messages) -> None:
    broken = replace(archive, queues=Refusing())
    with pytest.raises(Unavailable, match="no answer"):
        await start(broken, VERIFY, UNITS)
    (left,) = [one async for one in archive.operations.read_all()]
    assert left.status is OperationStatus.CANCELED
    assert await messages.take() == []


async def test_without_queues_there_are_no_operations_and_none_of_storage(
    settings: Settings, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = StorageCounting()
    async with archive_through(counting, monkeypatch, settings) as counted:
        off = replace(counted, queues=Queues(None))
        with pytest.raises(Unavailable, match="has no queues"):
            await start(off, VERIFY, UNITS)
        assert await look_after_operations(off, settings) == 0
        assert counting.operations == {}
        assert await look_after_operations(counted, settings) == 0
    assert sum(counting.operations.values()) == 2


async def test_a_specification_of_a_mebibyte_is_kept_and_one_that_fits_no_row_refused(
    archive: Archive, messages: Messages
) -> None:
    chance = random.Random(7)
    uids = [f"2.25.{chance.getrandbits(128)}" for _ in range(26_000)]  # 1.1 MiB as JSON
    operation = await start(archive, VERIFY, uids)
    assert await archive.operations.read_specification(operation.id) == uids
    with pytest.raises(PayloadTooLarge, match="Start several"):
        await start(archive, VERIFY, [*uids, *(uid[::-1] for uid in uids)])
    assert len(await messages.take()) == 1


async def test_where_the_table_is_missing_it_says_what_to_do(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    await archive.operations._table.delete_table()
    with pytest.raises(Unavailable, match="provision"):
        await start(archive, VERIFY, UNITS)
    with pytest.raises(Unavailable, match="provision"):
        await look_after_operations(archive, settings)
    assert await archive.operations.read("0" * 32) is None
    assert await messages.take() == []


async def test_the_storage_operations_of_a_small_operation(
    archive: Archive, settings: Settings, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = StorageCounting()
    async with archive_through(counting, monkeypatch, settings) as counted:
        table = counted.operations._table.table_name
        await start(counted, VERIFY, [1, 2])
        assert counting.operations == {f"POST {table}": 1, "POST operations": 1}
        counting.operations.clear()
        await messages.deliver_all(counted, settings, work=Counting(step=1).work)
    # Two steps of the lister and three runs read two rows each, the steps also the specification; three of them look
    # whether they were the last, the last one sums up and ends the operation.
    assert counting.operations == {
        f"GET {table}": 2 * 3 + 3 * 2 + 3 + 1,
        f"POST {table}": 2 + 3,
        f"PATCH {table}": 1,
        "POST operations": 2 + 1 + 1,
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"operation":"x","unit":1,"generation":0}',
        b'{"operation":null,"unit":1,"generation":0}',
        b'{"operation":"' + b"0" * 32 + b'","unit":"1","generation":0}',
        b'{"operation":"' + b"0" * 32 + b'","unit":true,"generation":0}',
        b'{"operation":"' + b"0" * 32 + b'","unit":-1,"generation":0}',
        b'{"operation":"' + b"0" * 32 + b'","unit":1,"generation":1e99}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_a_message_of_another_kind_is_refused(body: bytes) -> None:
    with pytest.raises(NotAUnitMessage):
        UnitMessage.of(body)


class Refusing(Queues):
    """Queues that do not answer."""

    def __init__(self) -> None:
        super().__init__(None)

    @property
    def is_available(self) -> bool:
        return True

    async def send(self, *_arguments: Any, **_options: Any) -> None:
        raise Unavailable("There is no answer.")

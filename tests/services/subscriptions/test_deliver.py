"""Delivering: every change, in order, at least once, whatever the receiver does."""

from datetime import timedelta

from shared.archive.change import StudyChanges
from shared.services.subscriptions.deliver import PAUSES
from shared.services.subscriptions.subscribe import deliveries as deliveries_of
from shared.storage.archive import Archive
from tests.support.default_partition import study_key
from tests.support.feeds import commit_of, leave
from tests.support.served_instances import new_uid
from tests.support.subscribers import Deliveries, Receiver


async def commit(archive: Archive, *counts: int, study: str | None = None) -> None:
    """Leave commits of so many new instances each in the outbox: of one study, or each of another."""
    commits: list[StudyChanges] = [
        commit_of(study_key(study) if study else None, revision, size) for revision, size in enumerate(counts, 1)
    ]
    if study:
        await leave(archive, *commits)
    else:
        for one in commits:
            await leave(archive, one)


async def test_each_change_is_told_in_order(archive: Archive, deliveries: Deliveries, receiver: Receiver) -> None:
    await deliveries.subscribe(receiver)
    await commit(archive, 3, 2, 4, study=new_uid())
    await deliveries.wake()
    assert receiver.sequences() == list(range(1, 10))
    await commit(archive, 1, 1)
    await deliveries.wake()
    assert receiver.sequences() == list(range(1, 12))
    assert deliveries.messages.waiting == []


async def test_what_was_before_is_told_where_it_is_asked_for(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    await commit(archive, 5)
    await deliveries.subscribe(receiver)
    await deliveries.wake()
    assert receiver.sequences() == []
    await deliveries.subscribe(receiver, after=2)
    await deliveries.wake()
    assert receiver.sequences() == [3, 4, 5]


async def test_batches(archive: Archive, deliveries: Deliveries, receiver: Receiver) -> None:
    await deliveries.subscribe(receiver, maxEventsPerBatch=4)
    await commit(archive, 10)
    await deliveries.wake()
    assert [len(request.events) for request in receiver.requests] == [4, 4, 2]
    assert receiver.sequences() == list(range(1, 11))


async def test_a_receiver_that_fails_three_times_in_ten(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    await deliveries.subscribe(receiver)
    receiver.answer = lambda number: 503 if number % 10 in (2, 5, 6) else 204
    await commit(archive, 30, 20, study=new_uid())
    await deliveries.wake()
    await deliveries.after(timedelta(hours=2))
    assert receiver.sequences() == list(range(1, 51))


async def test_a_receiver_that_is_down_for_a_day_gets_all_of_it(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    subscription = await deliveries.subscribe(receiver)
    receiver.answer = lambda _: 500
    await commit(archive, 3)
    await deliveries.wake()
    tries = [len(receiver.requests)]
    for pause in PAUSES:
        await deliveries.after(pause + timedelta(seconds=2))
        tries.append(len(receiver.requests))
    assert tries == list(range(1, len(PAUSES) + 2))
    await commit(archive, 2)
    await deliveries.wake()  # asks nobody before the next try is due
    await deliveries.after(timedelta(days=1))
    assert len(receiver.requests) in (tries[-1] + 23, tries[-1] + 24)  # each try is a second late
    found = await deliveries_of(archive, subscription, clock=deliveries.now)
    assert (found["status"], found["lagChanges"], found["lastStatusCode"]) == ("failing", 5, 500)
    assert found["lagSeconds"] > timedelta(days=1).total_seconds()
    assert found["failures"] == len(receiver.requests)
    assert all(request.events[0]["data"]["sequenceNumber"] == 1 for request in receiver.requests)
    receiver.answer = lambda _: 200
    await deliveries.after(timedelta(hours=1, seconds=5))
    assert receiver.sequences() == [1, 2, 3, 4, 5]
    found = await deliveries_of(archive, subscription, clock=deliveries.now)
    assert (found["status"], found["lagChanges"], found["lagSeconds"], found["failures"]) == ("active", 0, 0, 0)
    assert "reason" not in found
    assert "nextTryTime" not in found

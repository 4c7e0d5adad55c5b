"""Delivering: every change, in order, at least once, whatever the receiver does."""

import asyncio
import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shared.archive.change import StudyChanges
from shared.services.feed.drain import drain
from shared.services.subscriptions import delivery_run
from shared.services.subscriptions.delivery_run import LEASE, PAUSES
from shared.services.subscriptions.subscribe import deliveries as deliveries_of
from shared.services.subscriptions.subscribe import restart, unsubscribe
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.queues import QueueName
from shared.storage.storage_use import StorageUse
from shared.web.subscription_request import RestartRequest
from tests.support.default_partition import study_key
from tests.support.feeds import commit_of, leave
from tests.support.logged import logged
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


async def lease(archive: Archive, subscription: str, until: datetime) -> None:
    """Have another run be at work on a subscription, whose lease ends then."""
    row = await archive.subscriptions.read(subscription)
    assert row is not None
    await archive.subscriptions.save(row, replace(row.progress, leased_until=until))


async def test_each_change_is_told_in_order(archive: Archive, deliveries: Deliveries, receiver: Receiver) -> None:
    await deliveries.subscribe(receiver)
    await commit(archive, 3, 2, 4, study=new_uid())
    await deliveries.wake()
    assert receiver.sequences() == list(range(1, 10))
    await commit(archive, 1, 1)
    await deliveries.wake()
    assert receiver.sequences() == list(range(1, 12))
    assert deliveries.waiting == []


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


async def test_a_receiver_that_is_down_for_a_week_is_parked_until_somebody_restarts_it(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    subscription = await deliveries.subscribe(receiver)
    receiver.answer = lambda _: 503
    await commit(archive, 2)
    await deliveries.wake()
    await deliveries.after(timedelta(days=8))
    found = await deliveries_of(archive, subscription, clock=deliveries.now)
    assert (found["status"], found["reason"]) == ("parked", "It answered 503. So it was for 7 days.")
    tried = len(receiver.requests)
    await commit(archive, 1)
    await deliveries.wake()
    assert deliveries.waiting == []
    assert len(receiver.requests) == tried
    receiver.answer = lambda _: 200
    await restart(archive, deliveries.settings, subscription, RestartRequest(None))
    await deliveries.after(timedelta(seconds=9))
    assert receiver.sequences() == [1, 2, 3]


async def test_a_receiver_that_is_gone_is_parked_at_once(
    archive: Archive, deliveries: Deliveries, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    subscription = await deliveries.subscribe(receiver)
    receiver.answer = lambda _: 410
    await commit(archive, 2)
    await deliveries.wake()
    await deliveries.after(timedelta(days=1))
    assert len(receiver.requests) == 1
    found = await deliveries_of(archive, subscription)
    assert (found["status"], found["reason"], found["deliveredSequence"]) == ("parked", "It answered 410.", 0)
    # An alert looks for it.
    errors = [record.getMessage() for record in logged(caplog, delivery_run.__name__) if record.levelname == "ERROR"]
    assert errors == [f"Subscription {subscription} is parked: It answered 410."]


async def test_a_restart_may_go_back(archive: Archive, deliveries: Deliveries, receiver: Receiver) -> None:
    subscription = await deliveries.subscribe(receiver)
    await commit(archive, 4)
    await deliveries.wake()
    await restart(archive, deliveries.settings, subscription, RestartRequest(2))
    await deliveries.after(timedelta(seconds=9))
    assert receiver.sequences() == [1, 2, 3, 4, 3, 4]
    ids = [event["id"] for event in receiver.taken]
    assert (len(ids), len(set(ids))) == (6, 4)  # so a receiver can tell what it has had


@pytest.mark.parametrize("status", [503, 200])
async def test_a_restart_while_a_request_is_on_its_way(
    archive: Archive, deliveries: Deliveries, receiver: Receiver, status: int
) -> None:
    """The run that has sent it gives its lease back: nobody waits for the end of that."""
    subscription = await deliveries.subscribe(receiver)
    receiver.answer, receiver.pause_seconds = lambda number: status if number == 1 else 200, 0.2
    await commit(archive, 2)
    await drain(archive, seconds=30)
    run = asyncio.create_task(deliveries.run({"subscription": subscription}))
    await receiver.is_asked.wait()
    await restart(archive, deliveries.settings, subscription, RestartRequest(None))
    await run
    await deliveries.after(timedelta(seconds=9))
    assert list(dict.fromkeys(receiver.sequences())) == [1, 2]
    row = await archive.subscriptions.read(subscription)
    assert row is not None
    assert (row.progress.leased_until, row.progress.next_try) == (None, None)


async def test_a_run_that_another_overtook_leaves_it_the_lease(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    subscription = await deliveries.subscribe(receiver)
    receiver.pause_seconds = 0.2
    await commit(archive, 1)
    await drain(archive, seconds=30)
    run = asyncio.create_task(deliveries.run({"subscription": subscription}))
    await receiver.is_asked.wait()
    leased_until = deliveries.now() + LEASE
    await lease(archive, subscription, leased_until)
    await run
    row = await archive.subscriptions.read(subscription)
    assert row is not None
    assert row.progress.leased_until == leased_until
    await deliveries.after(timedelta(minutes=3))  # as if that one had died
    assert receiver.sequences() == [1, 1]


async def test_retry_after_is_heeded(archive: Archive, deliveries: Deliveries, receiver: Receiver) -> None:
    await deliveries.subscribe(receiver)
    receiver.answer, receiver.headers = lambda number: 503 if number == 1 else 200, {"Retry-After": "1200"}
    await commit(archive, 1)
    await deliveries.wake()
    await deliveries.after(timedelta(minutes=19))
    assert len(receiver.requests) == 1
    await deliveries.after(timedelta(minutes=2))
    assert receiver.sequences() == [1]


async def test_messages_of_one_that_fails_do_not_multiply(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    subscription = await deliveries.subscribe(receiver)
    receiver.answer = lambda _: 503
    await commit(archive, 1)
    await deliveries.wake()
    for _ in range(5):  # as wakes send them until the first one is handled
        deliveries.waiting.append((deliveries.now(), {"subscription": subscription}))
    await deliveries.after(timedelta(minutes=2))
    assert len(deliveries.waiting) == 1
    receiver.answer = lambda _: 200
    await deliveries.after(timedelta(hours=1))
    assert receiver.sequences() == [1]


async def test_the_message_for_the_next_try_may_come_early(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    subscription = await deliveries.subscribe(receiver)
    receiver.answer = lambda number: 503 if number == 1 else 200
    await commit(archive, 1)
    await deliveries.wake()
    deliveries.waiting.clear()
    deliveries.passed += timedelta(seconds=7)  # of ten: the clock of another machine is ahead
    await deliveries.run({"subscription": subscription})
    await deliveries.after(timedelta(seconds=9))
    assert receiver.sequences() == [1]


async def test_redirects_are_not_followed(archive: Archive, deliveries: Deliveries, receiver: Receiver) -> None:
    subscription = await deliveries.subscribe(receiver)
    receiver.answer, receiver.headers = lambda _: 307, {"Location": receiver.url}
    await commit(archive, 1)
    await deliveries.wake()
    assert len(receiver.requests) == 1
    assert (await deliveries_of(archive, subscription))["reason"] == "It answered 307."


async def test_two_runs_at_once(archive: Archive, deliveries: Deliveries, receiver: Receiver) -> None:
    subscription = await deliveries.subscribe(receiver)
    receiver.pause_seconds = 0.02
    await commit(archive, 20)
    await drain(archive, seconds=30)
    runs = [deliveries.run({"subscription": subscription}) for _ in range(3)]
    await asyncio.gather(*runs)
    assert receiver.sequences() == list(range(1, 21))
    await deliveries.after(timedelta(minutes=2))
    assert receiver.sequences() == list(range(1, 21))


async def test_a_run_that_died_is_gone_on_with_after_a_minute(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    subscription = await deliveries.subscribe(receiver)
    await commit(archive, 2)
    await drain(archive, seconds=30)
    await lease(archive, subscription, deliveries.now() + LEASE)
    await deliveries.wake()
    assert receiver.sequences() == []
    await deliveries.after(timedelta(seconds=70))
    assert receiver.sequences() == [1, 2]


@pytest.mark.parametrize(("age", "come_back"), [(3, 0), (30, 5)])
async def test_messages_that_find_a_run_at_work_do_not_come_back(
    archive: Archive, deliveries: Deliveries, receiver: Receiver, age: int, come_back: int
) -> None:
    """Unless it may have died: its lease has not been renewed for a while."""
    subscription = await deliveries.subscribe(receiver)
    await commit(archive, 1)
    await drain(archive, seconds=30)
    await lease(archive, subscription, deliveries.now() - timedelta(seconds=age) + LEASE)
    deliveries.waiting.clear()
    for _ in range(5):
        await deliveries.run({"subscription": subscription})
    assert len(deliveries.waiting) == come_back


async def test_a_subscription_that_ends_while_it_is_told(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    subscription = await deliveries.subscribe(receiver)
    receiver.pause_seconds = 0.02
    await commit(archive, 90)
    await drain(archive, seconds=30)
    run = asyncio.create_task(deliveries.run({"subscription": subscription}))
    await receiver.is_asked.wait()
    await unsubscribe(archive, subscription)
    await run
    assert len(receiver.requests) <= 50  # until the next save
    assert await archive.subscriptions.read_all() == []
    await deliveries.after(timedelta(days=1))


async def test_a_long_run_hands_over(
    archive: Archive, deliveries: Deliveries, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = await deliveries.subscribe(receiver)
    await commit(archive, 90, 90, 90, 90)
    await drain(archive, seconds=30)
    monkeypatch.setattr(delivery_run, "_RUN", timedelta())
    await deliveries.run({"subscription": subscription})
    assert 0 < len(receiver.requests) < 360
    assert deliveries.waiting[-1][1] == {"subscription": subscription}
    await deliveries.after(timedelta(seconds=9))
    assert receiver.sequences() == list(range(1, 361))


async def test_operations_of_a_run(
    archive: Archive, settings: Settings, receiver: Receiver, deliveries: Deliveries
) -> None:
    subscription = await deliveries.subscribe(receiver)
    await commit(archive, 60)
    await drain(archive, seconds=30)
    for expected in (2 + 1 + 1 + 1 + 1 + 1 + 1, 2):  # lease, head, page, 50 events, head, end
        storage = StorageUse()
        with storage.watching():
            await deliveries.run({"subscription": subscription})
        assert storage.operations.total() == expected, storage.operations
    assert len(receiver.requests) == 60


@pytest.mark.parametrize("batch", [1, 100])
async def test_what_a_study_costs_that_is_told(
    archive: Archive, deliveries: Deliveries, receiver: Receiver, batch: int
) -> None:
    await deliveries.subscribe(receiver, events=["created", "studySettled"], maxEventsPerBatch=batch)
    deliveries.waiting.clear()
    deliveries.sent = 0
    await commit(archive, 96)
    await deliveries.send(QueueName.DELIVERIES, {})
    storage = StorageUse()
    with storage.watching():
        await deliveries.after(timedelta(minutes=3))
    assert len(receiver.taken) == 97
    page = (Path(__file__).parents[3] / "docs/costs.md").read_text()
    said = re.search(
        r"takes (\d+) operations on tables\s+and\s+(\d+) messages .*?;\s+(\d+)\s+operations", page, re.DOTALL
    )
    assert said
    assert (storage.operations.total(), deliveries.sent) == (int(said[1 if batch == 1 else 3]), int(said[2]))


async def test_a_slow_receiver_is_not_sent_more_than_a_runs_time_allows(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    subscription = await deliveries.subscribe(receiver)
    await commit(archive, 60)
    await drain(archive, seconds=30)

    def slowly(_: int) -> int:
        deliveries.passed += timedelta(seconds=20)
        return 200

    receiver.answer = slowly
    await deliveries.run({"subscription": subscription})
    assert receiver.sequences() == list(range(1, 13))  # twelve times twenty seconds
    row = await archive.subscriptions.read(subscription)
    assert row is not None
    assert (row.progress.delivered, row.progress.leased_until) == (12, None)
    await deliveries.after(timedelta(hours=1))
    assert receiver.sequences() == list(range(1, 61))

"""Wakes: few, and none where nobody subscribes; whatever is lost, the next one makes up for it."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.errors import Unavailable
from shared.services.subscriptions.subscribe import restart
from shared.services.subscriptions.wake import wake_if_needed
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage import wakes
from shared.storage.archive import Archive
from shared.storage.queues import QueueName
from shared.storage.storage_use import StorageUse
from shared.web.subscription_request import RestartRequest
from tests.support.default_partition import resource_of
from tests.support.feeds import commit_of, leave
from tests.support.served_instances import new_uid
from tests.support.stores import files_of, store
from tests.support.subscribers import Deliveries, Receiver


@pytest.fixture
def stores(archive: Archive, settings: Settings) -> StoreService:
    return StoreService(archive, settings)


def forget(archive: Archive) -> None:
    """Have the process not know who subscribes, and that it has woken anyone."""
    archive.wakes._known_until = archive.wakes._sent_until = float("-inf")


async def operations_of_a_store(stores: StoreService) -> int:
    storage = StorageUse()
    files = files_of(new_uid(), 1)
    with storage.watching():
        await store(stores, *files)
    return storage.operations.total()


async def test_a_store_wakes_nobody_where_nobody_subscribes(
    archive: Archive, stores: StoreService, deliveries: Deliveries, settings: Settings
) -> None:
    off = StoreService(await Archive.open(replace(settings, subscription_hosts=(), create_storage=False)), settings)
    for service in (off, stores):
        await service.archive.tags.recent()  # which is read each ten seconds
    usual = await operations_of_a_store(off)
    await off.archive.close()
    assert await operations_of_a_store(stores) == usual + 1  # it looks who subscribes
    assert await operations_of_a_store(stores) == usual
    assert deliveries.waiting == []


async def test_a_store_wakes_where_it_is_not_known_who_subscribes(
    archive: Archive, stores: StoreService, deliveries: Deliveries, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deliveries.subscribe(receiver)
    deliveries.waiting.clear()
    forget(archive)

    async def unanswered() -> bool:
        raise Unavailable("Storage does not answer.")

    monkeypatch.setattr(archive.subscriptions, "has_any", unanswered)
    await store(stores, *files_of(new_uid(), 1))  # which only asks
    await store(stores, *files_of(new_uid(), 1))
    await deliveries.after(timedelta(seconds=9))
    assert receiver.sequences() == [1, 2]


async def test_a_store_after_the_only_subscription_was_restarted_wakes(
    archive: Archive, stores: StoreService, deliveries: Deliveries, receiver: Receiver
) -> None:
    subscription = await deliveries.subscribe(receiver)
    receiver.answer = lambda number: 410 if number == 1 else 200
    await store(stores, *files_of(new_uid(), 1))
    await deliveries.wake()
    forget(archive)
    await store(stores, *files_of(new_uid(), 1))  # the process looks who subscribes
    await deliveries.after(timedelta(seconds=9))
    await restart(archive, deliveries.settings, subscription, RestartRequest(None))
    await deliveries.after(timedelta(seconds=9))
    archive.wakes._sent_until = float("-inf")
    await store(stores, *files_of(new_uid(), 1))
    await deliveries.after(timedelta(seconds=9))
    assert receiver.sequences() == [1, 2, 3]


async def test_a_process_wakes_once_a_second(
    archive: Archive, stores: StoreService, deliveries: Deliveries, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deliveries.subscribe(receiver)
    deliveries.waiting.clear()
    forget(archive)
    monkeypatch.setattr(wakes, "WAKE_SECONDS", 3600)
    study = new_uid()
    for _ in range(3):
        await store(stores, *files_of(study, 1))
    await delete(archive, resource_of(study))
    assert [message for _, message in deliveries.waiting] == [{}]
    monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + 3601)
    await store(stores, *files_of(study, 1))
    assert len(deliveries.waiting) == 2


async def test_a_long_request_wakes_before_it_ends(
    archive: Archive, stores: StoreService, deliveries: Deliveries, receiver: Receiver
) -> None:
    await deliveries.subscribe(receiver)
    deliveries.waiting.clear()
    forget(archive)
    marks: list[int] = []
    mark_done = archive.journal.mark_done

    async def noting(entry: Any) -> None:
        marks.append(len(deliveries.waiting))
        await mark_done(entry)

    archive.journal.mark_done = noting  # type: ignore[method-assign]
    await store(stores, *files_of(new_uid(), 200))
    assert marks == [1]


async def test_a_store_is_answered_although_nobody_can_be_woken(
    archive: Archive, stores: StoreService, deliveries: Deliveries, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    await deliveries.subscribe(receiver)
    deliveries.waiting.clear()

    async def refuse(queue: QueueName, message: Mapping[str, Any], *, visible_after_seconds: int = 0) -> None:
        raise Unavailable("The archive has no queues.")

    deliveries.send, send = refuse, deliveries.send  # type: ignore[method-assign]
    forget(archive)
    await store(stores, *files_of(new_uid(), 1))
    assert "No subscriber is told yet" in caplog.text
    deliveries.send = send  # type: ignore[method-assign]
    await drained_by_nobody(archive, deliveries)
    assert receiver.sequences() == [1]


async def drained_by_nobody(archive: Archive, deliveries: Deliveries) -> None:
    """What maintenance does, which drains before it."""
    from shared.services.feed.drain import drain

    await drain(archive, seconds=30)
    await wake_if_needed(archive, clock=deliveries.now)
    assert [message for _, message in deliveries.waiting] == [{}]
    await deliveries.after(timedelta(seconds=9))


async def test_maintenance_wakes_nobody_where_all_is_told(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    await deliveries.subscribe(receiver)
    await leave(archive, commit_of())
    await deliveries.wake()
    await wake_if_needed(archive, clock=deliveries.now)
    assert deliveries.waiting == []
    receiver.answer = lambda _: 500
    await leave(archive, commit_of())
    await deliveries.wake()
    before = list(deliveries.waiting)
    await wake_if_needed(archive, clock=deliveries.now)
    assert deliveries.waiting == before  # the next try has its message


async def test_while_there_is_something_to_do_one_wake_follows_another(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    await deliveries.subscribe(receiver)
    deliveries.waiting.clear()
    pauses = []
    for _ in range(4):
        await leave(archive, commit_of())
        wakes_ = [one for one in deliveries.waiting if "subscription" not in one[1]]
        message = wakes_[0][1] if wakes_ else {}
        deliveries.waiting = []
        await deliveries.run(message)
        (planned,) = [message for _, message in deliveries.waiting if "wake" in message]
        pauses.append(planned["pause"])
    assert pauses == [1, 2, 4, 4]


async def test_a_wake_has_nothing_to_do_while_another_is_planned(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    await deliveries.subscribe(receiver)
    deliveries.waiting.clear()
    await leave(archive, commit_of())
    await deliveries.run({})
    await leave(archive, commit_of())
    count = len(deliveries.waiting)
    storage = StorageUse()
    with storage.watching():
        await deliveries.run({})
    assert (storage.operations.total(), len(deliveries.waiting)) == (1, count)
    await deliveries.after(timedelta(seconds=9))
    assert receiver.sequences() == [1, 2]
    assert deliveries.waiting == []


async def test_a_planned_wake_that_never_comes(archive: Archive, deliveries: Deliveries, receiver: Receiver) -> None:
    await deliveries.subscribe(receiver)
    await leave(archive, commit_of())
    await deliveries.run({})
    deliveries.waiting.clear()
    await leave(archive, commit_of())
    deliveries.passed += timedelta(minutes=3)
    await deliveries.wake()
    assert receiver.sequences() == [1, 2]


async def test_a_new_subscription_is_served_although_other_processes_do_not_know_of_it(
    archive: Archive, settings: Settings, deliveries: Deliveries, receiver: Receiver
) -> None:
    other = await Archive.open(replace(settings, create_storage=False))
    await other.wakes.send()
    subscription = await deliveries.subscribe(receiver)
    row = await archive.subscriptions.read(subscription)
    assert row is not None
    await archive.subscriptions.save(
        replace(row, subscription=replace(row.subscription, created=deliveries.now())), row.progress
    )
    await deliveries.after(timedelta(seconds=20))
    await store(StoreService(other, settings), *files_of(new_uid(), 1))
    await deliveries.after(timedelta(seconds=5))
    assert receiver.sequences() == [1]
    await deliveries.after(timedelta(seconds=60))
    assert deliveries.waiting == []
    await other.close()

"""A run, or a wake, that dies at each of its storage operations: nothing is lost, and the order of a study stays."""

from datetime import timedelta
from itertools import count

import pytest

from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.default_partition import study_key
from tests.support.feeds import commit_of, leave
from tests.support.served_instances import new_uid
from tests.support.storage_policies import StopAt, before_or_after, die_at
from tests.support.subscribers import Deliveries, Receiver


@before_or_after
@pytest.mark.parametrize("what", ["wake", "run", "settled"])
async def test_deliveries_that_die_anywhere(
    archive: Archive,
    settings: Settings,
    deliveries: Deliveries,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    is_done: bool,
) -> None:
    kinds = ["created", "studySettled"]
    subscription = await deliveries.subscribe(receiver, events=kinds, settle="PT10M", maxEventsPerBatch=2)
    message = {} if what == "wake" else {"subscription": subscription}
    await deliveries.wake()
    for operation in count(1):
        study = new_uid()
        await deliveries.stamp_from_now()
        await leave(archive, commit_of(study_key(study), 1, 3), commit_of(study_key(study), 2, 2))
        if what != "wake":
            await deliveries.run({})
            deliveries.waiting.clear()
        if what == "settled":
            await deliveries.run(message)
            deliveries.passed += timedelta(minutes=11)
        receiver.taken.clear()

        async def mortal_run(mortal: Archive) -> None:
            monkeypatch.setattr(mortal.wakes, "_queues", deliveries)
            await deliveries.run(message, mortal)

        stop = StopAt(operation, is_done=is_done)
        await die_at(stop, monkeypatch, settings, mortal_run)
        deliveries.waiting.append((deliveries.now() + timedelta(seconds=30), message))  # what was not ended comes again
        await deliveries.after(timedelta(minutes=15))
        created = receiver.sequences()
        if what != "settled":
            first = min(created)
            assert list(dict.fromkeys(created)) == list(range(first, first + 5))
        (settled,) = {event["id"] for event in receiver.taken if "Settled" in event["type"]}
        assert settled.endswith("-settled")
        rows = await archive.subscriptions.read_settling(subscription)
        assert rows == []
        assert deliveries.waiting == []
        if not stop.has_died:
            break
    assert operation > 5

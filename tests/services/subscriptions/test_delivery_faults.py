"""A delivery each of whose storage operations fails once: what it was to tell is told, without maintenance."""

from datetime import timedelta

import pytest

from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.default_partition import study_key
from tests.support.feeds import commit_of, leave
from tests.support.served_instances import new_uid
from tests.support.storage_policies import Fault, Faults, archive_through, fault_at, refusing_server
from tests.support.subscribers import Deliveries, Receiver

FAULTS = [Fault.NOT_SENT, Fault.ANSWER_LOST, Fault.TIMED_OUT, Fault.BUSY]


@pytest.mark.parametrize("retries", [0, 4])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_at_each_operation(
    archive: Archive,
    settings: Settings,
    deliveries: Deliveries,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    retries: int,
) -> None:
    subscription = await deliveries.subscribe(receiver, events=["created", "studySettled"], settle="PT10M")
    await deliveries.wake()
    message = {"subscription": subscription}
    async with refusing_server() as url:
        for operation in range(1, 12):
            study = study_key(new_uid())
            await deliveries.stamp_from_now()
            await leave(archive, commit_of(study, 1, 3), commit_of(study, 2, 2))
            await deliveries.run({})
            deliveries.waiting.clear()
            receiver.taken.clear()
            faults = Faults(fault_at(operation, fault), url)
            async with archive_through(faults, monkeypatch, settings, retries=retries) as faulty:
                monkeypatch.setattr(faulty.wakes, "_queues", deliveries)
                try:
                    await deliveries.run(message, faulty)
                except Exception:  # noqa: BLE001 -- as the host does with any
                    deliveries.waiting.append((deliveries.now() + timedelta(seconds=30), message))
            await deliveries.after(timedelta(minutes=15))
            created = list(dict.fromkeys(receiver.sequences()))
            assert len(created) == 5, operation
            assert created == sorted(created)
            assert len({event["id"] for event in receiver.taken if "Settled" in event["type"]}) == 1
            assert await archive.subscriptions.read_settling(subscription) == []
    assert deliveries.waiting == []

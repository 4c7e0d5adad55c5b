"""Studies that have settled: told once nothing has changed for a while, and with what they are then."""

from datetime import timedelta
from typing import Any

import pytest

from shared.services.feed.drain import drain
from shared.services.subscriptions import delivery_run
from shared.services.subscriptions.subscribe import deliveries as deliveries_of
from shared.services.subscriptions.subscribe import unsubscribe
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.default_partition import resource_of
from tests.support.feeds import commit_of, leave
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.stores import files_of, store
from tests.support.subscribers import Deliveries, Receiver

SETTLED = "Microsoft.HealthcareApis.DicomStudySettled"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def stores(archive: Archive, settings: Settings) -> StoreService:
    return StoreService(archive, settings)


async def subscribed(deliveries: Deliveries, receiver: Receiver, **asked: Any) -> str:
    """A subscription to nothing but studies that have been quiet for ten minutes."""
    return await deliveries.subscribe(receiver, **{"events": ["studySettled"], "settle": "PT10M", **asked})


async def test_a_quiet_study(stores: StoreService, deliveries: Deliveries, receiver: Receiver) -> None:
    await subscribed(deliveries, receiver)
    study, first, second = new_uid(), new_uid(), new_uid()
    about = {"StudyInstanceUID": study, "AccessionNumber": "A17"}
    ct = dataset(**about, SeriesInstanceUID=first, Modality="CT")
    mr = [dataset(**about, SeriesInstanceUID=second, Modality="MR") for _ in range(2)]
    await store(stores, part10(ct), *map(part10, mr))
    await deliveries.wake()
    await deliveries.after(9 * MINUTE)
    assert receiver.taken == []
    await deliveries.after(2 * MINUTE)
    (event,) = receiver.taken
    assert event["type"] == SETTLED
    assert event["subject"] == f"dicom.example.org/v2/studies/{study}"
    assert event["data"] == {
        "partitionName": "Microsoft.Default",
        "studyInstanceUid": study,
        "accessionNumber": "A17",
        "modalities": ["CT", "MR"],
        "numberOfSeries": 2,
        "numberOfInstances": 3,
        "serviceHostName": "dicom.example.org",
        "sequenceNumber": 3,
    }
    assert b"Test" not in receiver.requests[0].body
    await deliveries.after(timedelta(days=1))
    assert len(receiver.taken) == 1
    assert deliveries.waiting == []


async def test_studies_that_settled_long_ago_do_not_pile_up(
    archive: Archive, deliveries: Deliveries, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        for _ in range(10):
            await leave(archive, commit_of())
        await drain(archive, seconds=30)
        deliveries.passed += timedelta(hours=1)
        await deliveries.stamp_from_now()
    subscription = await subscribed(deliveries, receiver, after=0)
    monkeypatch.setattr(delivery_run, "MAX_SETTLING", 5)
    most, save = 0, archive.subscriptions.save

    async def counting(*args: Any, **named: Any) -> Any:
        nonlocal most
        saved = await save(*args, **named)
        most = max(most, len(await archive.subscriptions.read_settling(subscription)))
        return saved

    monkeypatch.setattr(archive.subscriptions, "save", counting)
    await deliveries.after(20 * MINUTE)
    assert receiver.sequences("StudySettled") == list(range(1, 41))
    assert most <= 15  # those of an hour, and of a save
    assert await archive.subscriptions.read_settling(subscription) == []


async def test_a_study_that_changes_is_told_when_it_no_longer_does(
    archive: Archive, stores: StoreService, deliveries: Deliveries, receiver: Receiver
) -> None:
    subscription = await subscribed(deliveries, receiver)
    study = new_uid()
    for _ in range(4):
        await store(stores, *files_of(study, 1))
        await deliveries.wake()
        found = await deliveries_of(archive, subscription, clock=deliveries.now)
        assert [one["studyInstanceUid"] for one in found["settlingStudies"]] == [study]
        await deliveries.after(8 * MINUTE)
        await deliveries.stamp_from_now()
    assert receiver.taken == []
    await deliveries.after(3 * MINUTE)
    (event,) = receiver.taken
    assert event["data"]["numberOfInstances"] == 4
    assert (await deliveries_of(archive, subscription))["settlingStudyCount"] == 0


async def test_a_change_that_is_not_in_the_feed_yet_counts(
    stores: StoreService, deliveries: Deliveries, receiver: Receiver
) -> None:
    await subscribed(deliveries, receiver)
    study = new_uid()
    await store(stores, *files_of(study, 1))
    await deliveries.wake()
    await store(stores, *files_of(study, 1))
    deliveries.waiting = [one for one in deliveries.waiting if "subscription" in one[1]]  # its wake is lost
    await deliveries.after(11 * MINUTE)
    (event,) = receiver.taken
    assert (event["data"]["numberOfInstances"], event["data"]["sequenceNumber"]) == (2, 2)


async def test_a_study_that_has_gone_meanwhile_is_told_as_empty(
    archive: Archive, stores: StoreService, deliveries: Deliveries, receiver: Receiver
) -> None:
    await subscribed(deliveries, receiver, filter="Modality=CT")
    study = new_uid()
    await store(stores, part10(dataset(StudyInstanceUID=study, Modality="CT")))
    await deliveries.wake()
    await delete(archive, resource_of(study))
    await deliveries.wake()
    await deliveries.after(11 * MINUTE)
    (event,) = receiver.taken
    assert (event["data"]["numberOfInstances"], event["data"]["modalities"]) == (0, [])
    assert "accessionNumber" not in event["data"]


async def test_only_studies_that_match(stores: StoreService, deliveries: Deliveries, receiver: Receiver) -> None:
    await subscribed(deliveries, receiver, filter="Modality=CT&AccessionNumber=A*")
    wanted = new_uid()
    for study, modality, number in ((wanted, "CT", "A1"), (new_uid(), "MR", "A2"), (new_uid(), "CT", "B1")):
        await store(stores, part10(dataset(StudyInstanceUID=study, Modality=modality, AccessionNumber=number)))
    await deliveries.wake()
    await deliveries.after(11 * MINUTE)
    assert [event["data"]["studyInstanceUid"] for event in receiver.taken] == [wanted]


async def test_a_receiver_that_is_down_meanwhile(
    stores: StoreService, deliveries: Deliveries, receiver: Receiver
) -> None:
    await subscribed(deliveries, receiver)
    studies = [new_uid() for _ in range(3)]
    for study in studies:
        await store(stores, *files_of(study, 1))
        await deliveries.wake()
    receiver.answer = lambda _: 503
    await deliveries.after(timedelta(hours=5))
    assert receiver.requests
    receiver.answer = lambda number: 503 if number % 2 else 200
    await deliveries.after(timedelta(hours=5))
    assert [event["data"]["studyInstanceUid"] for event in receiver.taken] == studies


@pytest.mark.parametrize("batch", [1, 100])
async def test_many_studies(archive: Archive, deliveries: Deliveries, receiver: Receiver, batch: int) -> None:
    subscription = await subscribed(deliveries, receiver, maxEventsPerBatch=batch)
    commits = [commit_of() for _ in range(250)]
    for commit in commits:
        await leave(archive, commit)
    await deliveries.wake()
    assert (await deliveries_of(archive, subscription))["settlingStudyCount"] == 250
    await deliveries.after(11 * MINUTE)
    assert sorted(receiver.sequences(SETTLED)) == list(range(1, 251))
    assert (await deliveries_of(archive, subscription))["settlingStudyCount"] == 0
    assert deliveries.waiting == []


async def test_what_a_subscription_remembers_goes_with_it(
    archive: Archive, deliveries: Deliveries, receiver: Receiver
) -> None:
    subscription = await subscribed(deliveries, receiver)
    await leave(archive, commit_of())
    await deliveries.wake()
    assert len(await archive.subscriptions.read_settling(subscription)) == 1
    await unsubscribe(archive, subscription)
    assert await archive.subscriptions.read_settling(subscription) == []
    await deliveries.after(timedelta(days=1))
    assert (receiver.taken, deliveries.waiting) == ([], [])

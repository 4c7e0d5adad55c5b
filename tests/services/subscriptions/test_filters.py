"""What of the feed a filter lets through."""

import pytest

from shared.archive.subscription import Progress
from shared.errors import BadRequest
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.storage_use import StorageUse
from tests.support.default_partition import resource_of
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.stores import store
from tests.support.subscribers import Deliveries, Receiver


@pytest.fixture
def stores(archive: Archive, settings: Settings) -> StoreService:
    return StoreService(archive, settings)


async def test_series_and_studies(
    archive: Archive, stores: StoreService, deliveries: Deliveries, receiver: Receiver
) -> None:
    await deliveries.subscribe(receiver, filter="Modality=CT&StudyDescription=Head*")
    study = new_uid()
    ct = dataset(StudyInstanceUID=study, Modality="CT", StudyDescription="Head and neck")
    mr = dataset(StudyInstanceUID=study, Modality="MR", StudyDescription="Head and neck")
    other = dataset(Modality="CT", StudyDescription="Knee")
    await store(stores, *map(part10, (ct, mr, other)))
    await deliveries.wake()
    told = [event["data"]["imageSopInstanceUid"] for event in receiver.taken]
    assert told == [ct.SOPInstanceUID]


async def test_what_can_no_longer_be_asked_is_told(
    archive: Archive, stores: StoreService, deliveries: Deliveries, receiver: Receiver
) -> None:
    await deliveries.subscribe(receiver, filter="Modality=CT")
    gone = dataset(Modality="MR")
    ct, mr = (dataset(StudyInstanceUID=gone.StudyInstanceUID + "1", Modality=one) for one in ("CT", "MR"))
    await store(stores, *map(part10, (gone, ct, mr)))
    await delete(archive, resource_of(gone.StudyInstanceUID))
    await delete(archive, resource_of(mr.StudyInstanceUID, mr.SeriesInstanceUID))
    await deliveries.wake()
    told = [(event["type"].rpartition("Image")[2], event["data"]["imageSopInstanceUid"]) for event in receiver.taken]
    images = (gone, ct, mr)
    assert sorted(told) == sorted(
        [*(("Created", one.SOPInstanceUID) for one in images), *(("Deleted", one.SOPInstanceUID) for one in (gone, mr))]
    )


async def test_the_last_series_that_matched_is_told_when_it_goes(
    archive: Archive, stores: StoreService, deliveries: Deliveries, receiver: Receiver
) -> None:
    await deliveries.subscribe(receiver, filter="Modality=CT&StudyDescription=Head")
    ct = dataset(Modality="CT", StudyDescription="Head")
    mr = dataset(StudyInstanceUID=ct.StudyInstanceUID, Modality="MR", StudyDescription="Head")
    await store(stores, part10(ct), part10(mr))
    await deliveries.wake()
    await delete(archive, resource_of(ct.StudyInstanceUID, ct.SeriesInstanceUID))
    await deliveries.wake()
    told = [(event["type"].rpartition("Image")[2], event["data"]["imageSopInstanceUid"]) for event in receiver.taken]
    assert told == [("Created", ct.SOPInstanceUID), ("Deleted", ct.SOPInstanceUID)]


async def test_a_series_that_goes_is_not_told_where_its_study_does_not_match(
    archive: Archive, stores: StoreService, deliveries: Deliveries, receiver: Receiver
) -> None:
    await deliveries.subscribe(receiver, filter="Modality=CT&StudyDescription=Head")
    knee = {"Modality": "CT", "StudyInstanceUID": new_uid(), "StudyDescription": "Knee"}
    one, other = dataset(**knee), dataset(**knee)
    await store(stores, part10(one), part10(other))
    await delete(archive, resource_of(one.StudyInstanceUID, one.SeriesInstanceUID))
    await deliveries.wake()
    assert receiver.taken == []


async def test_a_study_is_read_once_a_page(
    archive: Archive, stores: StoreService, deliveries: Deliveries, receiver: Receiver
) -> None:
    subscription = await deliveries.subscribe(receiver, filter="Modality=CT")
    study = new_uid()
    await store(stores, *(part10(dataset(StudyInstanceUID=study)) for _ in range(5)))
    deliveries.waiting.clear()
    await deliveries.wake()
    assert receiver.requests == []
    row = await archive.subscriptions.read(subscription)
    assert row is not None
    assert row.progress.delivered == 5
    await archive.subscriptions.save(row, Progress(0))
    storage = StorageUse()
    with storage.watching():
        await deliveries.run({"subscription": subscription})
    assert storage.operations.total() == 8  # row, head, lease, head, page, study, head, end


async def test_one_that_is_refused_keeps_the_target_from_being_asked(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    with pytest.raises(BadRequest, match="limit"):
        await deliveries.subscribe(receiver, filter="limit=3")
    assert receiver.origins == []

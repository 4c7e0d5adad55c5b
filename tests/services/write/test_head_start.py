"""What a store does for its commit while its file is on the way: it is of use, or, if others were at work, undone."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from azure.storage.blob.aio import ContainerClient

from shared.errors import Unavailable
from shared.services.write.commit_plan import CommitPlan
from shared.services.write.delete import delete
from shared.services.write.head_start import HeadStart
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.blobs import InstanceBlobs
from shared.web.store_response import Failed, Outcome, Stored
from tests.support.default_partition import resource_of, study_key
from tests.support.invariants import check_postings, check_study, requests_in_journal
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.storage_operations import Counting
from tests.support.storage_policies import archive_through
from tests.support.stores import files_of, store

Action = Callable[[], Awaitable[Any]]


def before_next_put(monkeypatch: pytest.MonkeyPatch, action: Action) -> None:
    """Have the next file that goes to storage wait for the postings of its head start, and then for an action."""
    put, write = InstanceBlobs.put, HeadStart.write
    begun: list[HeadStart] = []

    def writing(head_start: HeadStart, plan: CommitPlan) -> None:
        begun.append(head_start)
        write(head_start, plan)

    async def putting(blobs: InstanceBlobs, name: str, content: bytes) -> None:
        monkeypatch.setattr(InstanceBlobs, "put", put)
        for head_start in begun:
            await head_start.finish()
        await action()
        await put(blobs, name, content)

    monkeypatch.setattr(HeadStart, "write", writing)
    monkeypatch.setattr(InstanceBlobs, "put", putting)


def named(study: str, name: str) -> bytes:
    return part10(dataset(StudyInstanceUID=study, StudyDescription=name))


def terms_written(counting: Counting) -> int:
    """How many operations have written postings, or removed them."""
    return sum(counting.operations[f"{method} terms"] for method in ("POST", "PUT", "DELETE"))


def kinds(outcomes: list[Outcome]) -> list[type]:
    return [type(outcome) for outcome in outcomes]


def has_no_head_start(stores: StoreService) -> bool:
    return not stores.commits._head_starts


async def check_settled(
    stores: StoreService, archive: Archive, container: ContainerClient, uid: str, count: int
) -> None:
    """Check that a study has so many instances, and that nothing else is left of what was stored, or was to be."""
    assert await check_study(archive, container, uid) == count
    await check_postings(archive, uid)
    assert await requests_in_journal(archive) == 0
    assert has_no_head_start(stores)


@pytest.fixture
def other(archive: Archive, settings: Settings) -> StoreService:
    """The stores of another process."""
    return StoreService(archive, settings)


@pytest.fixture(params=["new", "known"])
async def study(request: pytest.FixtureRequest, stores: StoreService) -> tuple[str, int]:
    """A study, and how many instances it has."""
    uid = new_uid()
    if request.param == "new":
        return uid, 0
    await store(stores, named(uid, "Before"))
    return uid, 1


async def test_a_study_is_read_once_and_written_while_the_file_is_on_its_way(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, study: tuple[str, int]
) -> None:
    uid, count = study
    counting = Counting()
    async with archive_through(counting, monkeypatch, settings) as counted:
        seen: list[int] = []

        async def look() -> None:
            seen.append(terms_written(counting))

        before_next_put(monkeypatch, look)
        assert kinds(await store(StoreService(counted, settings), named(uid, "Before"))) == [Stored]
    assert counting.operations["GET catalog"] == 1
    assert counting.operations["POST catalog"] == 1
    assert seen == [terms_written(counting)] == [2 if count else 9]


@pytest.mark.parametrize("is_same_process", [False, True])
async def test_another_stores_into_the_study_meanwhile(
    stores: StoreService,
    other: StoreService,
    archive: Archive,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
    study: tuple[str, int],
    is_same_process: bool,
) -> None:
    """Another request of the process has no head start, and is first."""
    uid, count = study
    before_next_put(monkeypatch, lambda: store(stores if is_same_process else other, named(uid, "Other")))
    assert kinds(await store(stores, named(uid, "Ours"))) == [Stored]
    await check_settled(stores, archive, container, uid, count + 2)


async def test_another_process_deletes_the_study_meanwhile(
    stores: StoreService, archive: Archive, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = new_uid()
    await store(stores, *files_of(uid, 2))
    before_next_put(monkeypatch, lambda: delete(archive, resource_of(uid)))
    assert kinds(await store(stores, named(uid, "Ours"))) == [Stored]
    await check_settled(stores, archive, container, uid, 1)


async def test_another_process_stores_the_same_instance_meanwhile(
    stores: StoreService,
    other: StoreService,
    archive: Archive,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
    study: tuple[str, int],
) -> None:
    uid, count = study
    file = named(uid, "Ours")
    before_next_put(monkeypatch, lambda: store(other, file))
    assert kinds(await store(stores, file)) == [Failed]
    await check_settled(stores, archive, container, uid, count + 1)


async def test_requests_that_meet_on_a_new_study_write_its_postings_once(
    settings: Settings, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others let the one with the head start go first, whose file takes longer."""
    uid = new_uid()
    counting = Counting()
    async with archive_through(counting, monkeypatch, settings) as counted:
        stores = StoreService(counted, settings)
        before_next_put(monkeypatch, lambda: asyncio.sleep(0.3))
        monkeypatch.setattr("shared.services.write.commit._PATIENCE_SECONDS", 60)
        outcomes = await asyncio.gather(*(store(stores, file) for file in files_of(uid, 4)))
        assert [kind for one in outcomes for kind in kinds(one)] == [Stored] * 4
        written = terms_written(counting)
        assert await check_study(counted, container, uid) == 4
    assert 8 < written <= 8 + 3, counting.operations  # for each of the others one, or one for all


async def test_a_file_that_cannot_be_written(
    stores: StoreService,
    archive: Archive,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
    study: tuple[str, int],
) -> None:
    uid, count = study

    async def fail(*_: Any) -> None:
        raise Unavailable("no")

    with monkeypatch.context() as patched:
        patched.setattr(InstanceBlobs, "put", fail)
        with pytest.raises(Unavailable):
            await store(stores, named(uid, "Ours"))
    await check_settled(stores, archive, container, uid, count)


async def test_a_request_that_is_cancelled(
    stores: StoreService,
    archive: Archive,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
    study: tuple[str, int],
) -> None:
    uid, count = study
    is_putting = asyncio.Event()

    async def wait() -> None:
        is_putting.set()
        await asyncio.Event().wait()

    before_next_put(monkeypatch, wait)
    storing = asyncio.create_task(store(stores, named(uid, "Ours")))
    await is_putting.wait()
    storing.cancel()
    await asyncio.gather(storing, return_exceptions=True)
    await check_settled(stores, archive, container, uid, count)


async def test_a_request_that_is_cancelled_while_another_commits(
    stores: StoreService, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves its postings to maintenance, and no head start that later requests would wait for."""
    uid = new_uid()
    async with archive.study_lock(study_key(uid)):
        storing = asyncio.create_task(store(stores, named(uid, "Ours")))
        async with asyncio.timeout(30):
            while study_key(uid) not in stores.commits._queues:  # noqa: ASYNC110 -- there is no event for it
                await asyncio.sleep(0.01)
        storing.cancel()
        await asyncio.gather(storing, return_exceptions=True)
    assert has_no_head_start(stores)


async def test_the_first_instance_comes_after_a_batch_of_others(
    stores: StoreService, archive: Archive, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.storage.catalog_batches._BATCH_ROWS", 7)  # three instances
    uid = new_uid()
    before_next_put(monkeypatch, lambda: asyncio.sleep(0.3))
    assert kinds(await store(stores, *files_of(uid, 7))) == [Stored] * 7
    await check_settled(stores, archive, container, uid, 7)

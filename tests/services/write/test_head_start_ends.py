"""Head starts that end early: nothing is taken back that a batch may need, and what may be left stays named."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.exceptions import ServiceResponseError
from azure.storage.blob.aio import ContainerClient

from shared.dicom.identifiers import DEFAULT_PARTITION
from shared.errors import Unavailable
from shared.multipart import MultipartTruncated
from shared.services.repair.maintenance import replay_journal
from shared.services.write.head_start import HeadStart
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.blobs import InstanceBlobs
from shared.storage.catalog import Catalog, CommitUnanswered
from shared.storage.postings import Postings
from shared.web.store_response import Stored
from tests.support.answers import answer_work
from tests.support.default_partition import study_key
from tests.support.garbage import left_in_cycles
from tests.support.invariants import check_postings, check_study, requests_in_journal
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.stores import LATER, events, files_of, store


def file_of(study: str) -> bytes:
    return part10(dataset(StudyInstanceUID=study))


async def check_whole(archive: Archive, study: str, count: int) -> None:
    """Check that a study has so many instances, and each posting that it says it has."""
    found = await archive.catalog.read_study(study_key(study))
    assert found is not None
    record = found.record
    assert record.instance_count == count
    assert await archive.postings.existing(record.key, record.created, record.posted) == record.posted


def hold_planned(monkeypatch: pytest.MonkeyPatch, until: asyncio.Event) -> None:
    """Have the file of the instance that has the head start go to storage only once `until` is set."""
    declare, put = HeadStart.declare, InstanceBlobs.put
    planned: list[str] = []

    async def declaring(head_start: HeadStart, new: Any, intent: Any) -> None:
        planned.append(new.facts.identifiers.sop_instance_uid)
        await declare(head_start, new, intent)

    async def putting(blobs: InstanceBlobs, name: str, content: bytes) -> None:
        if planned and planned[0] in name:
            await until.wait()
        await put(blobs, name, content)

    monkeypatch.setattr(HeadStart, "declare", declaring)
    monkeypatch.setattr(InstanceBlobs, "put", putting)
    monkeypatch.setattr("shared.storage.catalog_batches._BATCH_ROWS", 7)  # three instances


async def test_a_request_is_cancelled_while_a_batch_of_its_other_instances_is_under_way(
    stores: StoreService, archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, commit = new_uid(), Catalog.commit
    at_commit, go_on, is_over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def committing(catalog: Catalog, *arguments: Any, **named: Any) -> Any:
        at_commit.set()
        await go_on.wait()
        try:
            return await commit(catalog, *arguments, **named)
        finally:
            is_over.set()

    with monkeypatch.context() as patched:
        hold_planned(patched, asyncio.Event())
        patched.setattr(Catalog, "commit", committing)
        storing = asyncio.create_task(store(stores, *files_of(study, 4)))
        await asyncio.wait_for(at_commit.wait(), 20)
        storing.cancel()
        await asyncio.gather(storing, return_exceptions=True)
        go_on.set()
        await asyncio.wait_for(is_over.wait(), 20)
    await check_whole(archive, study, 3)
    assert await requests_in_journal(archive) == 1
    await replay_journal(archive, settings, now=datetime.now(UTC) + LATER)
    await check_postings(archive, study)


async def test_a_batch_of_its_other_instances_has_no_answer_and_is_carried_out_late(
    stores: StoreService, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, commit = new_uid(), Catalog.commit
    go_on, has_failed = asyncio.Event(), asyncio.Event()
    late: list[asyncio.Task[Any]] = []

    async def committing(*arguments: Any, **named: Any) -> Any:
        async def later() -> None:
            await go_on.wait()
            await commit(*arguments, **named)

        late.append(asyncio.create_task(later()))
        has_failed.set()
        raise CommitUnanswered(ServiceResponseError("Connection reset by peer"))

    with monkeypatch.context() as patched:
        hold_planned(patched, has_failed)
        patched.setattr(Catalog, "commit", committing)
        with pytest.raises(ServiceResponseError):
            await store(stores, *files_of(study, 4))
        go_on.set()
        await asyncio.gather(*late)
    await check_whole(archive, study, 3)
    assert await requests_in_journal(archive) == 1


async def test_a_request_takes_too_long_while_its_postings_are_written(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, add = new_uid(), Postings.add

    async def adding(*arguments: Any) -> None:
        await asyncio.sleep(2)
        await add(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Postings, "add", adding)
        with pytest.raises(Unavailable, match="longer than 1 seconds"):
            await store(StoreService(archive, replace(settings, max_request_seconds=1)), file_of(study))
    await check_postings(archive, study)
    assert await requests_in_journal(archive) == 0


@pytest.mark.parametrize("count", [0, 1])
async def test_postings_without_an_answer_are_left_to_maintenance(
    stores: StoreService,
    archive: Archive,
    settings: Settings,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    """Storage may write them after they were looked for."""
    study, add = new_uid(), Postings.add
    if count:
        await store(stores, *files_of(study, count))
    go_on, late = asyncio.Event(), list[asyncio.Task[None]]()

    async def adding(*arguments: Any) -> None:
        async def later() -> None:
            await go_on.wait()
            await add(*arguments)

        late.append(asyncio.create_task(later()))
        raise Unavailable("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(Postings, "add", adding)
        with pytest.raises(Unavailable):
            await store(stores, file_of(study))
    go_on.set()
    await asyncio.gather(*late)
    assert await requests_in_journal(archive) == 1
    await replay_journal(archive, settings, now=datetime.now(UTC) + LATER)
    assert await check_study(archive, container, study) == count
    await check_postings(archive, study)


async def test_a_request_is_cancelled_again_while_it_cleans_up(
    stores: StoreService, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_putting, is_deleting = asyncio.Event(), asyncio.Event()

    async def hang(event: asyncio.Event) -> None:
        event.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(InstanceBlobs, "put", lambda *_: hang(is_putting))
    monkeypatch.setattr(InstanceBlobs, "delete", lambda *_: hang(is_deleting))
    storing = asyncio.create_task(store(stores, file_of(new_uid())))
    for event in (is_putting, is_deleting):
        await asyncio.wait_for(event.wait(), 20)
        storing.cancel()
    await asyncio.gather(storing, return_exceptions=True)
    assert not stores.commits._head_starts


async def test_postings_of_many_studies_cannot_be_taken_back(
    stores: StoreService, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise Unavailable("no")

    files = [file_of(new_uid()) for _ in range(20)]
    with monkeypatch.context() as patched:
        patched.setattr("shared.services.write.head_start.remove_needless_postings", fail)
        with pytest.raises(MultipartTruncated):
            await stores.store(
                events(files, fails=True),
                answer_work(),
                partition=DEFAULT_PARTITION,
                study_instance_uid=None,
                api_version="v2",
            )
    assert not stores.commits._head_starts
    assert await requests_in_journal(archive) > 0


@pytest.mark.parametrize(
    "failing", [(Catalog, "read_before"), (Postings, "add"), (InstanceBlobs, "put")], ids=lambda one: one[1]
)
async def test_a_failure_holds_nothing_afterwards(
    stores: StoreService, monkeypatch: pytest.MonkeyPatch, failing: tuple[type, str]
) -> None:
    async def fail(*_: Any) -> None:
        await asyncio.sleep(0)
        raise Unavailable("no")

    with monkeypatch.context() as patched, left_in_cycles() as left:
        patched.setattr(*failing, fail)
        with pytest.raises(Unavailable):
            await store(stores, file_of(new_uid()))
        await asyncio.sleep(0.1)
    assert left == []


async def test_after_another_process_was_quicker_there_is_none_for_a_while(
    stores: StoreService, archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, now = new_uid(), 1000.0
    monkeypatch.setattr("shared.services.write.commit.monotonic", lambda: now)
    await store(stores, file_of(study))
    put, other = InstanceBlobs.put, StoreService(archive, settings)

    async def putting(*arguments: Any) -> None:
        monkeypatch.setattr(InstanceBlobs, "put", put)
        await store(other, file_of(study))
        await put(*arguments)

    monkeypatch.setattr(InstanceBlobs, "put", putting)
    (outcome,) = await store(stores, file_of(study))
    assert isinstance(outcome, Stored)
    assert stores.commits.head_start(study_key(study)) is None
    now += 11
    later = stores.commits.head_start(study_key(study))
    assert later is not None
    stores.commits.forget(later)
    await later.take_back()


async def test_a_duplicate_whose_file_is_being_removed_when_the_request_fails_stays_named(
    stores: StoreService, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, other = new_uid(), new_uid()
    duplicate, delete, commit = file_of(study), InstanceBlobs.delete, Catalog.commit
    await store(stores, duplicate)
    is_removing = asyncio.Event()

    async def deleting(blobs: InstanceBlobs, names: Any) -> None:
        if list(names) and not is_removing.is_set():
            is_removing.set()
            await asyncio.Event().wait()
        await delete(blobs, names)

    async def committing(catalog: Catalog, before: Any, after: Any, **named: Any) -> Any:
        if after.key == study_key(other):
            await is_removing.wait()
            raise Unavailable("no answer")
        return await commit(catalog, before, after, **named)

    monkeypatch.setattr(InstanceBlobs, "delete", deleting)
    monkeypatch.setattr(Catalog, "commit", committing)
    with pytest.raises(Unavailable):
        await store(stores, duplicate, file_of(other))
    assert study_key(study).path in {entry.resource async for entry in archive.journal.read()}

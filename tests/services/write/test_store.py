import asyncio
import gc
import json
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from azure.core.exceptions import ServiceResponseError
from azure.storage.blob.aio import ContainerClient

from shared.archive.study import StudyRecord
from shared.dicom.identifiers import DEFAULT_PARTITION
from shared.errors import Unavailable
from shared.multipart import MultipartTruncated
from shared.services.repair.maintenance import replay_journal
from shared.services.retrieve.metadata import json_array
from shared.services.write.back_pressure import MAX_BLOCK_BYTES
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.catalog import CommitUnanswered, InstanceExists, StudyChanged
from shared.storage.catalog_rows import StudyRevision
from shared.web.failure_reasons import Duplicate, FailureReason
from shared.web.store_response import Failed, Stored
from tests.support.answers import answer_work
from tests.support.default_partition import resource_of, study_key
from tests.support.garbage import left_in_cycles
from tests.support.invariants import blobs_of_study, check_study, requests_in_journal
from tests.support.served_instances import dataset, long_content, new_uid, part10
from tests.support.stores import events, files_of, store


async def test_a_large_study_takes_several_batches(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    study = new_uid()
    outcomes = await store(stores, *files_of(study, 250))
    assert [type(outcome) for outcome in outcomes] == [Stored] * 250
    assert await check_study(archive, container, study) == 250
    assert await requests_in_journal(archive) == 0


async def test_outcomes_are_in_the_order_of_the_parts(stores: StoreService) -> None:
    study = new_uid()
    first, second = files_of(study, 2)
    outcomes = await store(stores, b"not DICOM", first, first, second)
    assert [type(outcome) for outcome in outcomes] == [Failed, Stored, Failed, Stored]
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, Failed)]
    assert reasons == [FailureReason.PROCESSING_FAILURE, FailureReason.INSTANCE_EXISTS]


@pytest.mark.parametrize("size", [MAX_BLOCK_BYTES - 600, MAX_BLOCK_BYTES + 1, 2 * MAX_BLOCK_BYTES + 12345])
async def test_a_large_instance_goes_in_blocks(
    stores: StoreService, archive: Archive, container: ContainerClient, size: int
) -> None:
    study = new_uid()
    pixels = random.Random(1).randbytes(size)
    file = part10(dataset(StudyInstanceUID=study, PixelData=pixels + bytes(size % 2)))
    assert [type(outcome) for outcome in await store(stores, file)] == [Stored]
    (row,) = [row async for row in archive.catalog.read_instances(study_key(study))]
    assert row.size_bytes == len(file)
    (name,) = await blobs_of_study(container, study)
    assert await archive.blobs.read_all(name) == file
    assert await check_study(archive, container, study) == 1


async def test_metadata_too_large_for_a_row_gets_a_separate_blob(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    study = new_uid()
    content = long_content(800_000)
    file = part10(dataset(StudyInstanceUID=study, ContentSequence=content, PixelData=None))
    assert [type(outcome) for outcome in await store(stores, file)] == [Stored]
    assert len(await blobs_of_study(container, study)) == 2
    assert await check_study(archive, container, study) == 1
    records = archive.catalog.read_metadata(study_key(study))
    (metadata,) = json.loads(
        b"".join([text async for text in json_array(archive, records, "http://host/v2", answer_work())])
    )
    texts = [item["0040A160"]["Value"][0] for item in metadata["0040A730"]["Value"]]
    assert texts == [item.TextValue for item in content]
    await delete(archive, resource_of(study))
    assert await check_study(archive, container, study) == 0


@pytest_asyncio.fixture(scope="session")
async def processes(settings: Settings) -> AsyncIterator[list[StoreService]]:
    """Store services that share nothing but the storage, like those of several processes."""
    archives = [await Archive.open(settings) for _ in range(3)]
    yield [StoreService(archive, settings) for archive in archives]
    for archive in archives:
        await archive.close()


async def test_stores_that_meet_on_a_study_all_succeed_and_the_count_is_exact(
    processes: list[StoreService], archive: Archive, container: ContainerClient
) -> None:
    study = new_uid()
    requests = [(stores, files_of(study, 3)) for stores in processes for _ in range(3)]
    outcomes = await asyncio.gather(*(store(stores, *files) for stores, files in requests))
    assert all(isinstance(outcome, Stored) for request in outcomes for outcome in request)
    assert await check_study(archive, container, study) == 27
    assert await requests_in_journal(archive) == 0


async def test_one_store_of_the_same_instance_wins_and_the_others_leave_no_blob(
    processes: list[StoreService], archive: Archive, container: ContainerClient
) -> None:
    study = new_uid()
    files = files_of(study, 2)
    outcomes = await asyncio.gather(*(store(stores, *files) for stores in processes for _ in range(2)))
    for index in range(2):
        won = [request[index] for request in outcomes if isinstance(request[index], Stored)]
        assert len(won) == 1
    assert await check_study(archive, container, study) == 2


async def test_a_request_that_breaks_off_leaves_nothing(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    study = new_uid()
    large = part10(dataset(StudyInstanceUID=study, PixelData=bytes(2 * MAX_BLOCK_BYTES)))
    with pytest.raises(MultipartTruncated):
        await stores.store(
            events([large, *files_of(study, 3)], fails=True),
            answer_work(),
            partition=DEFAULT_PARTITION,
            study_instance_uid=None,
            api_version="v2",
        )
    assert await check_study(archive, container, study) == 0
    assert await requests_in_journal(archive) == 0


async def test_storage_that_fails_before_the_commit_leaves_nothing(
    stores: StoreService, archive: Archive, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_uid()

    async def fail(*_: object, **__: object) -> None:
        raise Unavailable("no")

    with monkeypatch.context() as patched:
        patched.setattr(type(archive.blobs), "put", fail)
        with pytest.raises(Unavailable):
            await store(stores, *files_of(study, 3))
    assert await check_study(archive, container, study) == 0
    assert await requests_in_journal(archive) == 0


async def test_a_commit_whose_answer_is_lost_is_recognised(
    stores: StoreService, archive: Archive, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_uid()
    commit = type(archive.catalog).commit
    calls = 0

    async def commit_and_lose_the_answer(
        catalog: object, before: StudyRevision | None, after: StudyRecord | None, **rows: object
    ) -> object:
        nonlocal calls
        calls += 1
        result = await commit(archive.catalog, before, after, **rows)  # type: ignore[arg-type]
        if calls == 1:
            raise StudyChanged  # what the SDK's own second attempt would find
        return result

    monkeypatch.setattr(type(archive.catalog), "commit", commit_and_lose_the_answer)
    outcomes = await store(stores, *files_of(study, 3))
    assert [type(outcome) for outcome in outcomes] == [Stored] * 3
    assert await check_study(archive, container, study) == 3


async def test_a_commit_that_ends_without_an_answer_keeps_its_blobs_and_its_journal_entry(
    stores: StoreService, archive: Archive, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_uid()
    commit = type(archive.catalog).commit

    async def commit_and_fail(
        catalog: object, before: StudyRevision | None, after: StudyRecord | None, **rows: object
    ) -> None:
        await commit(archive.catalog, before, after, **rows)  # type: ignore[arg-type]
        raise Unavailable("timed out")

    with monkeypatch.context() as patched:
        patched.setattr(type(archive.catalog), "commit", commit_and_fail)
        with pytest.raises(Unavailable):
            await store(stores, *files_of(study, 2))
    assert await check_study(archive, container, study) == 2
    entries = [entry async for entry in archive.journal.read()]
    assert [entry.resource for entry in entries] == [f"studies/{study}"]
    await archive.journal.mark_done(entries[0])


async def test_a_store_into_a_contended_study_fails_and_can_be_sent_again(
    stores: StoreService,
    archive: Archive,
    settings: Settings,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = new_uid()
    files = files_of(study, 2)

    async def changed(*_: object, **__: object) -> None:
        raise StudyChanged

    with monkeypatch.context() as patched:
        patched.setattr(type(archive.catalog), "commit", changed)
        patched.setattr("shared.services.write.contention._BACKOFF_SECONDS", 0)
        outcomes = await store(stores, *files)
    assert [outcome.reason for outcome in outcomes if isinstance(outcome, Failed)] == [272, 272]
    assert await archive.catalog.read_study(study_key(study)) is None
    assert [type(outcome) for outcome in await store(stores, *files)] == [Stored] * 2
    # the failed store may have left postings in the index, which the journal declares
    assert await requests_in_journal(archive) == 1
    assert (await replay_journal(archive, settings, now=datetime.now(UTC) + timedelta(hours=2))).settled_entries == 1
    assert await check_study(archive, container, study) == 2
    assert await requests_in_journal(archive) == 0


@pytest.mark.parametrize("fails", ["nothing", "put", "stage", "commit", "study"])
async def test_a_store_that_fails_holds_nothing_afterwards(
    stores: StoreService, archive: Archive, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    study = new_uid()
    large = part10(dataset(StudyInstanceUID=study, PixelData=bytes(2 * MAX_BLOCK_BYTES)))
    files = [large, large[:-7], b"no file", *files_of(study, 2)]

    async def fail(*_: object, **__: object) -> None:
        raise StudyChanged if fails == "study" else Unavailable("no")

    with monkeypatch.context() as patched, left_in_cycles() as left:
        if fails != "nothing":
            of = archive.catalog if fails in ("commit", "study") else archive.blobs
            patched.setattr(type(of), "commit" if fails == "study" else fails, fail)
            patched.setattr("shared.services.write.contention._BACKOFF_SECONDS", 0)
        with suppress(Unavailable):
            await store(stores, *files)
        await asyncio.sleep(0.1)
    assert left == []


async def test_a_duplicate_whose_batch_has_no_answer_takes_no_posting_that_the_study_needs(
    stores: StoreService, archive: Archive, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = dataset(PatientName="Doe^Jane")
    await store(stores, part10(image))
    commit = archive.catalog.commit

    async def refused_without_an_answer(*arguments: Any, **named: Any) -> None:
        monkeypatch.undo()
        with pytest.raises(InstanceExists):
            await commit(*arguments, **named)
        raise CommitUnanswered(ServiceResponseError("Connection reset by peer"))

    monkeypatch.setattr(archive.catalog, "commit", refused_without_an_answer)
    image.PatientName = "Roe^Richard"
    (outcome,) = await store(stores, part10(image))
    assert isinstance(outcome, Failed)
    assert outcome.duplicate is Duplicate.DIFFERENT
    assert await check_study(archive, container, image.StudyInstanceUID) == 1
    assert await requests_in_journal(archive) == 0


async def test_an_error_that_comes_after_its_request_was_cancelled_is_not_logged_with_its_message(
    stores: StoreService, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_under_way, is_cancelled, said = asyncio.Event(), asyncio.Event(), []

    async def failing(*_: Any, **__: Any) -> None:
        is_under_way.set()
        await is_cancelled.wait()
        raise ServiceResponseError("Doe^Jane")

    monkeypatch.setattr(archive.catalog, "commit", failing)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: said.append(context["message"]))
    storing = asyncio.create_task(store(stores, part10(dataset())))
    await is_under_way.wait()
    storing.cancel()
    with suppress(asyncio.CancelledError):
        await storing
    is_cancelled.set()
    await asyncio.gather(*stores.commits._workers)
    gc.collect()
    loop.set_exception_handler(None)
    assert said == []

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob.aio import ContainerClient

from shared.errors import NotFound
from shared.identifiers import ResourceIdentifiers
from shared.records import EVERY_STUDY, Term, terms_of_instance
from shared.services.attempts import StudyContended
from shared.services.delete import delete
from shared.services.maintenance import replay_journal
from shared.services.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.catalog import StudyChanged, StudyVersion
from shared.store_response import Stored
from tests.http.instances import new_uid
from tests.services.invariants import check_study, requests_in_journal
from tests.services.test_store import files_of, store

LATER = datetime.now(UTC) + timedelta(hours=2)


async def stored(stores: StoreService, study: str, *series: tuple[str, int]) -> list[Stored]:
    files = [file for uid, count in series for file in files_of(study, count, series=uid)]
    return [outcome for outcome in await store(stores, *files) if isinstance(outcome, Stored)]


async def test_an_instance_then_its_series_then_the_study(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    study, first, second = new_uid(), new_uid(), new_uid()
    instances = await stored(stores, study, (first, 3), (second, 2))
    sop_instance_uid = instances[0].identifiers.sop_instance_uid
    await delete(archive, ResourceIdentifiers(study, first, sop_instance_uid))
    assert await check_study(archive, container, study) == 4
    await delete(archive, ResourceIdentifiers(study, first))
    assert await check_study(archive, container, study) == 2
    await delete(archive, ResourceIdentifiers(study))
    assert await check_study(archive, container, study) == 0
    assert await requests_in_journal(archive) == 0
    for term in (EVERY_STUDY, Term("SeriesInstanceUID", first), *terms_of_instance(instances[0].identifiers)):
        assert study not in [posting.study_instance_uid async for posting in archive.terms.read([term])]


async def test_a_large_study_goes_in_several_transactions(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    study = new_uid()
    instances = await stored(stores, study, *((new_uid(), 1) for _ in range(120)))
    assert len(instances) == 120
    await delete(archive, ResourceIdentifiers(study))
    assert await check_study(archive, container, study) == 0


@pytest.mark.parametrize("series", [None, "9.9"])
async def test_what_is_not_there_is_not_found(archive: Archive, series: str | None) -> None:
    with pytest.raises(NotFound, match="no such study" if series is None else "no such series"):
        await delete(archive, ResourceIdentifiers(new_uid(), series))


async def test_deletes_that_meet_leave_nothing(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    study, first, second = new_uid(), new_uid(), new_uid()
    await stored(stores, study, (first, 5), (second, 5))
    resources = [ResourceIdentifiers(study, first), ResourceIdentifiers(study, second), ResourceIdentifiers(study)]
    results = await asyncio.gather(*(delete(archive, resource) for resource in resources), return_exceptions=True)
    assert all(result is None or isinstance(result, NotFound) for result in results)
    assert await check_study(archive, container, study) == 0


async def test_storing_into_a_study_while_it_is_deleted_ends_consistent(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    study = new_uid()
    await stored(stores, study, (new_uid(), 20))
    storing = [store(stores, *files_of(study, 4)) for _ in range(4)]
    deleting = [delete(archive, ResourceIdentifiers(study)) for _ in range(2)]
    await asyncio.gather(*storing, *deleting, return_exceptions=True)
    count = await check_study(archive, container, study)
    if count:
        await delete(archive, ResourceIdentifiers(study))
    assert await check_study(archive, container, study) == 0


async def test_a_delete_that_does_not_get_through_says_so_and_is_finished_later(
    stores: StoreService,
    archive: Archive,
    settings: Settings,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = new_uid()
    await stored(stores, study, (new_uid(), 2))

    async def changed(*_: object, **__: object) -> None:
        raise StudyChanged

    with monkeypatch.context() as patched:
        patched.setattr(type(archive.catalog), "commit", changed)
        patched.setattr("shared.services.attempts._BACKOFF_SECONDS", 0)
        with pytest.raises(StudyContended):
            await delete(archive, ResourceIdentifiers(study))
    assert await check_study(archive, container, study) == 2
    await store(stores, *files_of(study, 1))
    assert await replay_journal(archive, settings, now=LATER) == 1
    # what was stored after the delete began stays
    assert await check_study(archive, container, study) == 1
    assert await requests_in_journal(archive) == 0


async def test_a_new_series_of_another_process_in_between_makes_it_read_again(
    stores: StoreService,
    archive: Archive,
    settings: Settings,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = new_uid()
    await store(stores, *files_of(study, 1))
    other = await Archive.open(settings)
    read_study, is_stored = archive.catalog.read_study, False

    async def read_and_let_another_store(uid: str) -> StudyVersion | None:
        nonlocal is_stored
        found = await read_study(uid)
        if not is_stored:
            is_stored = True
            await store(StoreService(other, settings), *files_of(study, 1))
        return found

    monkeypatch.setattr(archive.catalog, "read_study", read_and_let_another_store)
    await delete(archive, ResourceIdentifiers(study))
    assert is_stored
    assert await check_study(archive, container, study) == 0
    await other.close()

"""What is committed can be drained before its request ends: the journal is told so, once, where more is to come."""

from collections.abc import Sequence
from typing import Any

import pytest
from azure.core.exceptions import ServiceResponseError

from shared.archive.instance import NewInstance
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.catalog import Catalog, CommitUnanswered
from shared.storage.journal import ReadyEntry
from shared.web.store_response import Failed, Stored
from tests.support.default_partition import resource_of, study_key
from tests.support.served_instances import new_uid
from tests.support.storage_operations import Counting
from tests.support.storage_policies import archive_through
from tests.support.stores import files_of, store


async def ready(archive: Archive, study: str) -> list[ReadyEntry]:
    return [entry async for entry in archive.journal.read_ready() if study in entry.resource]


def batch_rows(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr("shared.storage.catalog_batches._BATCH_ROWS", rows)


@pytest.mark.parametrize(("instances", "marks"), [(1, 0), (3, 0), (4, 1), (9, 1)])
async def test_a_store_marks_its_entry_once_if_it_takes_several_batches(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, instances: int, marks: int
) -> None:
    batch_rows(monkeypatch, 7)  # three instances
    counting = Counting()
    async with archive_through(counting, monkeypatch, settings) as counted:
        await store(StoreService(counted, settings), *files_of(new_uid(), instances))
    written = [counting.operations[f"{method} journal"] for method in ("POST", "PATCH", "PUT")]
    assert written == [1, marks, 1]


async def test_the_first_batch_can_be_drained_before_the_second_is_sent(
    stores: StoreService, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_rows(monkeypatch, 7)
    study, commit = new_uid(), Catalog.commit
    seen: list[list[bool]] = []

    async def watched(catalog: Catalog, *arguments: Any, added: Sequence[NewInstance]) -> Any:
        seen.append([entry.is_done for entry in await ready(archive, study)])
        return await commit(catalog, *arguments, added=added)

    monkeypatch.setattr(Catalog, "commit", watched)
    await store(stores, *files_of(study, 5))
    assert seen == [[], [False]]
    assert [entry.is_done for entry in await ready(archive, study)] == [True]
    assert await archive.outbox.read_revisions(study_key(study)) == [1, 2]


async def test_a_store_that_leaves_something_to_maintenance_can_be_drained(
    stores: StoreService, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_uid()
    first, second = files_of(study, 2)
    await store(stores, first)
    await archive.journal.remove(await ready(archive, study))

    async def fail(_: Sequence[str]) -> None:
        raise ServiceResponseError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(archive.blobs, "delete", fail)  # the blob of the one that is stored already stays
        assert [type(outcome) for outcome in await store(stores, first, second)] == [Failed, Stored]
    assert [entry.is_done for entry in await ready(archive, study)] == [False]


@pytest.mark.parametrize("rows", [100, 7])
async def test_a_delete_can_be_drained_before_it_cleans_up(
    stores: StoreService, archive: Archive, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    study, remove = new_uid(), archive.blobs.delete
    await store(stores, *files_of(study, 5))
    await archive.journal.remove(await ready(archive, study))
    batch_rows(monkeypatch, rows)
    seen: list[list[bool]] = []

    async def watched(names: Sequence[str]) -> None:
        seen.append([entry.is_done for entry in await ready(archive, study)])
        await remove(names)

    monkeypatch.setattr(archive.blobs, "delete", watched)
    await delete(archive, resource_of(study))
    assert seen
    assert all(marks == [False] for marks in seen)
    assert [entry.is_done for entry in await ready(archive, study)] == [True]


@pytest.mark.parametrize("is_answered", [True, False])
async def test_what_a_delete_hands_over_can_be_drained(
    stores: StoreService, archive: Archive, monkeypatch: pytest.MonkeyPatch, is_answered: bool
) -> None:
    study, commit = new_uid(), Catalog.commit
    await store(stores, *files_of(study, 1))
    await archive.journal.remove(await ready(archive, study))

    async def unanswered(catalog: Catalog, *arguments: Any, **options: Any) -> Any:
        await commit(catalog, *arguments, **options)
        raise CommitUnanswered(ServiceResponseError("no answer"))

    if not is_answered:
        monkeypatch.setattr(Catalog, "commit", unanswered)
    await delete(archive, resource_of(study), answer_seconds=0)
    assert [entry.is_done for entry in await ready(archive, study)] == [False]
    (entry,) = [entry async for entry in archive.journal.read() if study in entry.resource]
    assert entry.is_over

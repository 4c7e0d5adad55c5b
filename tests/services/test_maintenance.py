"""A process that dies between two storage operations leaves an archive that the next maintenance run makes whole."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from azure.storage.blob.aio import ContainerClient

from shared.identifiers import ResourceIdentifiers
from shared.services.delete import delete
from shared.services.maintenance import replay_journal
from shared.services.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.blobs import InstanceBlobs
from shared.storage.catalog import Catalog
from shared.storage.journal import Journal
from shared.storage.terms import Terms
from tests.http.instances import dataset, new_uid, part10
from tests.services.invariants import check_study, requests_in_journal
from tests.services.test_store import files_of, store

LATER = timedelta(hours=2)


class Died(BaseException):
    """The process is no more: not even its cleaning up happens."""


class MortalArchive:
    """Makes every storage operation of an archive fail from the n-th on, before or after it was carried out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, operations_left: int, *, is_done: bool) -> None:
        self.operations_left = operations_left
        self.is_done = is_done
        for store_type, names in {
            InstanceBlobs: ("put", "stage", "commit", "delete"),
            Catalog: ("commit",),
            Terms: ("add", "remove", "remove_marked"),
            Journal: ("write", "remove"),
        }.items():
            for name in names:
                monkeypatch.setattr(store_type, name, self.mortal(getattr(store_type, name)))

    def mortal(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        async def run(*arguments: Any, **named: Any) -> Any:
            self.operations_left -= 1
            if self.operations_left < 0:
                raise Died
            if self.operations_left == 0:
                if self.is_done:
                    await operation(*arguments, **named)
                raise Died
            return await operation(*arguments, **named)

        return run


@pytest_asyncio.fixture(autouse=True)
async def clean_journal(archive: Archive) -> AsyncIterator[None]:
    yield
    async for entry in archive.journal.read():
        await archive.journal.remove(entry.request_id, [entry.resource])


async def die_at(monkeypatch: pytest.MonkeyPatch, operation: int, is_done: bool, request: Callable[[], Any]) -> bool:
    """Run a request that dies at its n-th storage operation; whether it got that far."""
    with monkeypatch.context() as patched:
        mortal = MortalArchive(patched, operation, is_done=is_done)
        with suppress(Died):
            await request()
        # Tasks of the request that were under way die with it.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*(task for task in others if "_finish" in repr(task)), return_exceptions=True)
        return mortal.operations_left <= 0


@pytest.mark.parametrize("is_done", [False, True])
async def test_a_store_that_dies_anywhere(
    stores: StoreService,
    archive: Archive,
    settings: Settings,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
    is_done: bool,
) -> None:
    operation = 0
    died = True
    while died:
        operation += 1
        study = new_uid()
        files = files_of(study, 3)
        died = await die_at(monkeypatch, operation, is_done, partial(store, stores, *files))
        await replay_journal(archive, settings, now=datetime.now(UTC) + LATER)
        assert await check_study(archive, container, study) in (0, 3)
        assert await requests_in_journal(archive) == 0
        # what the client was not told of can be sent again
        await store(stores, *files)
        assert await check_study(archive, container, study) == 3
    assert operation > 6


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("level", ["study", "series"])
async def test_a_delete_that_dies_anywhere_is_finished_or_never_began(
    stores: StoreService,
    archive: Archive,
    settings: Settings,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
    is_done: bool,
    level: str,
) -> None:
    operation = 0
    died = True
    while died:
        operation += 1
        study, series = new_uid(), new_uid()
        await store(stores, *files_of(study, 2, series=series), *files_of(study, 1))
        resource = ResourceIdentifiers(study, series if level == "series" else None)
        died = await die_at(monkeypatch, operation, is_done, partial(delete, archive, resource))
        await replay_journal(archive, settings, now=datetime.now(UTC) + LATER)
        left = 0 if level == "study" else 1
        assert await check_study(archive, container, study) in ((3, left) if operation == 1 else (left,))
        assert await requests_in_journal(archive) == 0
    assert operation > 4


async def test_requests_that_may_be_alive_are_left_alone(
    stores: StoreService, archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_uid()
    file = part10(dataset(StudyInstanceUID=study))
    await die_at(monkeypatch, 4, True, partial(store, stores, file))
    assert await requests_in_journal(archive) == 1
    assert await replay_journal(archive, settings, now=datetime.now(UTC)) == 0
    assert await requests_in_journal(archive) == 1
    assert await replay_journal(archive, settings, now=datetime.now(UTC) + LATER) == 1


async def test_runs_that_meet_do_no_harm(
    stores: StoreService,
    archive: Archive,
    settings: Settings,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = new_uid()
    files = files_of(study, 4)
    await store(stores, *files[:2])
    await die_at(monkeypatch, 3, True, partial(store, stores, *files[2:]))
    later = datetime.now(UTC) + LATER
    await asyncio.gather(*(replay_journal(archive, settings, now=later) for _ in range(3)))
    assert await check_study(archive, container, study) == 2

"""Maintenance while requests are alive and other runs are at work. How it handles crashes: test_crash_points."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob.aio import ContainerClient

from shared.archive.terms import Term
from shared.services.repair.maintenance import replay_journal
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.journal import JournalEntry
from tests.support.default_partition import resource_of
from tests.support.invariants import blobs_of_study, check_study, requests_in_journal
from tests.support.served_instances import new_uid
from tests.support.storage_policies import BATCH, StopAt, die_at
from tests.support.stores import LATER, files_of, store


async def die_before_the_commit(monkeypatch: pytest.MonkeyPatch, settings: Settings, files: list[bytes]) -> None:
    """Store in a process that dies once all blobs are written and before any instance is entered."""

    async def request(archive: Archive) -> None:
        await store(StoreService(archive, settings), *files)

    assert await die_at(StopAt(BATCH, is_done=False), monkeypatch, settings, request)


async def test_requests_that_may_be_alive_are_left_alone(
    archive: Archive, settings: Settings, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_uid()
    await die_before_the_commit(monkeypatch, settings, files_of(study, 1))
    assert (await replay_journal(archive, settings, now=datetime.now(UTC))).settled_entries == 0
    assert await requests_in_journal(archive) == 1
    assert len(await blobs_of_study(container, study)) == 1
    assert (await replay_journal(archive, settings, now=datetime.now(UTC) + LATER)).settled_entries == 1


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
    await die_before_the_commit(monkeypatch, settings, files[2:])
    later = datetime.now(UTC) + LATER
    await asyncio.gather(*(replay_journal(archive, settings, now=later) for _ in range(3)))
    assert await check_study(archive, container, study) == 2
    assert len(await blobs_of_study(container, study)) == 2
    assert await requests_in_journal(archive) == 0


async def test_postings_of_a_study_that_another_request_is_deleting_are_removed(
    archive: Archive, settings: Settings
) -> None:
    resource, created, term = resource_of(new_uid()), datetime.now(UTC), Term("PatientName", "roe^richard")
    await archive.postings.add(resource.study, created, [term])
    over = JournalEntry(
        "0" * 32, "delete", created, resource.path, frozenset({created}), frozenset({term}), is_over=True
    )
    alive = replace(over, request_id="1" * 32, terms=frozenset(), is_over=False)
    for entry in (over, alive):
        await archive.journal.insert(entry)
    assert (await replay_journal(archive, settings)).settled_entries == 1
    assert await archive.postings.existing(resource.study, created, [term]) == frozenset()
    await archive.journal.mark_done(alive)


async def test_a_dead_request_leaves_nothing_in_one_study_because_it_began_later_on_another(
    archive: Archive, settings: Settings, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = [new_uid(), new_uid()]
    await die_before_the_commit(monkeypatch, settings, [*files_of(studies[0], 1), *files_of(studies[1], 1)])
    first, second = sorted([entry async for entry in archive.journal.read()], key=lambda entry: entry.started)
    assert first.request_id == second.request_id
    later = first.started + timedelta(seconds=2 * settings.max_request_seconds + 60)
    await archive.journal.update(replace(second, started=first.started + timedelta(hours=1)))
    for _ in studies:
        assert (await replay_journal(archive, settings, now=later)).settled_entries == 1
        later += timedelta(hours=2)
    assert [await blobs_of_study(container, study) for study in studies] == [set(), set()]


async def test_blobs_of_others_stay_and_stop_nothing(
    archive: Archive, settings: Settings, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_uid()
    foreign = [f"{study}/notes.txt", f"{study}/x/notes.txt"]
    for name in foreign:
        await container.upload_blob(name, b"")
    await die_before_the_commit(monkeypatch, settings, files_of(study, 1))
    replay = await replay_journal(archive, settings, now=datetime.now(UTC) + LATER)
    assert (replay.settled_entries, replay.removed_blobs, replay.failures) == (1, 1, 0)
    assert sorted(await blobs_of_study(container, study)) == foreign
    for name in foreign:
        await container.delete_blob(name)

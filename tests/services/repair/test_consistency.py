"""Every kind of damage is reported as what it is and repaired where possible; nothing else is touched or reported."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.archive.study_terms import terms_of_instance
from shared.archive.terms import Term
from shared.services.repair.consistency import repair
from shared.services.repair.differences import Difference, Kind
from shared.services.repair.study_check import Examined
from shared.services.write.delete import delete
from shared.storage import blob_names, keys
from shared.storage.catalog import Catalog
from shared.storage.journal import Journal, JournalEntry
from shared.web.store_response import Stored
from tests.support.damages import DAMAGES, LONG_AGO, OTHER_BLOB_VERSION, Damage, surplus_posting_that_is_listed
from tests.support.default_partition import resource_of, study_key
from tests.support.invariants import check_study
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.stores import files_of, store

FOR_A_PERSON = {
    Kind.FOREIGN_BLOB,
    Kind.MISSING_BLOB,
    Kind.WRONG_SIZE,
    Kind.WRONG_HASH,
    Kind.WRONG_METADATA,
    Kind.UNREADABLE_ROW,
    Kind.UNREADABLE_CHANGE,
}
EACH = [(kind, damage) for kind, damages in DAMAGES.items() for damage in damages]


def name(value: object) -> str:
    return value.name if isinstance(value, Kind) else getattr(value, "__name__", "")


async def new_study(raw: RawArchive) -> str:
    study = new_uid()
    await store(raw.stores, *files_of(study, 2), *files_of(study, 1))
    return study


async def repair_twice_at_once(raw: RawArchive, found: list[Difference]) -> None:
    for difference in found:
        await asyncio.gather(*(repair(archive, raw.settings, difference) for archive in (raw.archive, raw.other)))


def test_every_kind_can_be_planted() -> None:
    assert set(DAMAGES) == set(Kind) - {
        Kind.EMPTY_STUDY,
        Kind.BROKEN_FEED,
        Kind.BUSY_STUDY,
    }  # which have separate tests


@pytest.mark.parametrize(("kind", "damage"), EACH, ids=name)
async def test_damage_is_reported_and_repaired(raw: RawArchive, kind: Kind, damage: Damage) -> None:
    study, healthy = await new_study(raw), await new_study(raw)
    before = await raw.everything_of(healthy)
    rows = await raw.instances(study)
    await damage(raw, study)
    damaged = await raw.everything_of(study)
    found = await raw.differences(deep=True)
    assert [(difference.kind, difference.study) for difference in found] == [(kind, study_key(study))]
    assert "left^over" not in f"{found}{found[0].sentence}".lower()
    await repair_twice_at_once(raw, found)
    if kind in FOR_A_PERSON:
        assert await raw.differences(deep=True) == found
        assert await raw.everything_of(study) == damaged
    else:
        assert await raw.differences(deep=True) == []
        assert await raw.instances(study) == rows
        assert await check_study(raw.archive, raw.container, study) == 3
    assert await raw.everything_of(healthy) == before


async def test_finding_a_wrong_hash_takes_a_deep_examination(raw: RawArchive) -> None:
    study = await new_study(raw)
    await DAMAGES[Kind.WRONG_HASH][0](raw, study)
    assert await raw.kinds() == []
    assert await raw.kinds(deep=True) == [(Kind.WRONG_HASH, study)]


@pytest.mark.parametrize("has_series_rows", [True, False])
async def test_a_study_without_instances_is_removed(raw: RawArchive, has_series_rows: bool) -> None:
    study, healthy = await new_study(raw), await new_study(raw)
    for row in await raw.instances(study):
        identifiers = row.identifiers
        await raw.container.delete_blob(blob_names.instance_blob(identifiers, row.blob_version))
        await raw.remove_row(study, keys.instance_row(identifiers.series_instance_uid, identifiers.sop_instance_uid))
        (term,) = terms_of_instance(identifiers)
        await raw.remove_posting(term, study)
        if not has_series_rows:
            await raw.remove_row(study, keys.series_row(identifiers.series_instance_uid))
    found = await raw.differences()
    assert [(difference.kind, difference.study) for difference in found] == [(Kind.EMPTY_STUDY, study_key(study))]
    await repair_twice_at_once(raw, found)
    assert await raw.differences() == []
    assert await raw.left_of(study) == []
    assert await check_study(raw.archive, raw.container, healthy) == 3


async def test_series_rows_alone_are_removed(raw: RawArchive) -> None:
    study = await new_study(raw)
    (row, *_) = await raw.instances(study)
    lost = new_uid()
    entity = await raw.row(study, keys.series_row(row.identifiers.series_instance_uid))
    await raw.replace_row({**entity, "PartitionKey": lost})
    found = await raw.differences()
    assert [(difference.kind, difference.study) for difference in found] == [(Kind.NO_STUDY_ROW, study_key(lost))]
    await repair_twice_at_once(raw, found)
    assert await raw.differences() == []
    assert await raw.left_of(lost) == []


async def test_more_series_than_a_batch_holds_are_repaired(raw: RawArchive) -> None:
    study = new_uid()
    await store(raw.stores, *(file for _ in range(95) for file in files_of(study, 1)))
    before = await raw.archive.catalog.read_study(study_key(study))
    assert before is not None
    for series in before.record.series:
        await raw.remove_row(study, keys.series_row(series))
    found = await raw.differences()
    assert [difference.kind for difference in found] == [Kind.NO_SERIES_ROW] * 95
    await repair(raw.archive, raw.settings, found[0])
    assert await raw.differences() == []
    after = await raw.archive.catalog.read_study(study_key(study))
    assert after is not None
    assert after.record == before.record


async def test_a_rebuilt_study_row_is_what_it_was(raw: RawArchive) -> None:
    study = await new_study(raw)
    before = await raw.row(study, "study")
    await raw.remove_row(study, "study")
    await repair(raw.archive, raw.settings, (await raw.differences())[0])
    after = await raw.row(study, "study")
    # Changes of the revisions that it has had may still wait for the feed.
    assert after.pop("revision").value > before.pop("revision").value + 10**9
    assert after == before
    await store(raw.stores, *files_of(study, 1))
    assert await raw.kinds() == []


async def test_a_study_that_has_gone_is_none(raw: RawArchive) -> None:
    study = await new_study(raw)
    (row, *_) = await raw.instances(study)
    created = await raw.created(study)
    await delete(raw.archive, resource_of(study))
    examined = Examined()
    assert await raw.differences(examined=examined) == []
    assert examined == Examined()
    await raw.posting(Term("PatientName", "left^over"), study, created)
    await raw.container.upload_blob(blob_names.instance_blob(row.identifiers, row.blob_version), b"orphan")
    found = await raw.differences()
    assert [difference.kind for difference in found] == [Kind.ORPHAN_BLOB, Kind.SURPLUS_POSTING]
    await repair_twice_at_once(raw, found)
    assert await raw.differences() == []
    assert await raw.left_of(study) == []


async def test_changes_that_are_drained_meanwhile_are_not_stranded(
    raw: RawArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = await new_study(raw)
    read_resources = Journal.read_resources

    async def drained_before(journal: Journal) -> AsyncIterator[str]:
        await raw.archive.outbox.remove(study_key(study), await raw.revisions(study))
        await raw.remove_entries(study)
        async for resource in read_resources(journal):
            yield resource

    monkeypatch.setattr(Journal, "read_resources", drained_before)
    assert await raw.kinds() == []


async def test_an_orphan_takes_its_posting_with_it(raw: RawArchive) -> None:
    study = await new_study(raw)
    series = (await raw.instances(study))[0].identifiers.series_instance_uid
    await raw.container.upload_blob(f"{study}/{series}/1.2.3_{OTHER_BLOB_VERSION}.dcm", b"orphan")
    await raw.posting(Term("SOPInstanceUID", "1.2.3", series), study, await raw.created(study))
    # While it may be at work, no posting of the study is known to be surplus.
    entry = JournalEntry("a" * 32, "store", datetime.now(UTC), f"studies/{study}")
    await raw.archive.journal.insert(entry)
    found = await raw.differences()
    assert [difference.kind for difference in found] == [Kind.ORPHAN_BLOB]
    await repair_twice_at_once(raw, found)
    await raw.archive.journal.mark_done(entry)
    assert await raw.differences() == []


async def test_blobs_of_a_study_without_any_row_are_orphans(raw: RawArchive) -> None:
    study, names = (
        new_uid(),
        [f"{series}/1.{number}_{OTHER_BLOB_VERSION}.dcm" for series in ("1", "1.2") for number in "12"],
    )
    for blob in names:
        await raw.container.upload_blob(f"{study}/{blob}", b"orphan")
    foreign = ["notes.txt", "=Microsoft.Default=/1.2/notes.txt"]
    for blob in foreign:
        await raw.container.upload_blob(blob, b"mine")
    found = await raw.differences()
    orphans = [difference.concerns for difference in found if difference.kind is Kind.ORPHAN_BLOB]
    assert sorted(orphans) == sorted(f"{study}/{blob}" for blob in names)
    assert [difference.concerns for difference in found if difference.kind is not Kind.ORPHAN_BLOB] == foreign
    await repair_twice_at_once(raw, found)
    assert [blob async for blob in raw.container.list_blob_names()] == sorted(foreign)


async def test_postings_of_a_study_that_is_gone_are_removed(raw: RawArchive) -> None:
    study = new_uid()
    await raw.posting(Term("PatientName", "left^over"), study, datetime.now(UTC))
    await raw.posting(Term("SOPInstanceUID", "1.2.3", "1.2"), study, datetime.now(UTC))
    found = await raw.differences()
    assert [difference.concerns for difference in found] == ["PatientName", "SOPInstanceUID"]
    await repair_twice_at_once(raw, found)
    assert await raw.everything_of(study) == {}


async def test_a_request_that_may_be_alive_excuses_its_blobs_and_postings(raw: RawArchive) -> None:
    study = await new_study(raw)
    for damage in (*DAMAGES[Kind.ABANDONED_REQUEST], *DAMAGES[Kind.SURPLUS_POSTING]):
        await damage(raw, study)
    await raw.container.upload_blob(f"{study}/1.2/1.3_{'ab' * 16}000000.dcm", b"not committed")
    assert {kind for kind, _ in await raw.kinds()} == {Kind.ABANDONED_REQUEST, Kind.ORPHAN_BLOB, Kind.SURPLUS_POSTING}
    reported = await raw.differences()
    (entry,) = [entry async for entry in raw.archive.journal.read()]
    assert await raw.differences(now=entry.started) == []
    before = await raw.everything_of(study)
    for difference in reported:
        await repair(raw.archive, raw.settings, difference, now=entry.started)
    assert await raw.everything_of(study) == before


async def test_all_kinds_of_damage_at_once_are_repaired(raw: RawArchive) -> None:
    damages = [planted[0] for kind, planted in DAMAGES.items() if kind not in FOR_A_PERSON]
    studies = [await new_study(raw) for _ in damages]
    for damage, study in zip(damages, studies, strict=True):
        await damage(raw, study)
    await repair_twice_at_once(raw, await raw.differences())
    assert await raw.differences(deep=True) == []
    for study in studies:
        assert await check_study(raw.archive, raw.container, study) == 3


class Gate:
    """Holds an operation on a store of one process until the gate is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, store: object, operation: str) -> None:
        self.reached, self.open = asyncio.Event(), asyncio.Event()
        original = getattr(store, operation)

        async def held(*arguments: Any, **named: Any) -> Any:
            self.reached.set()
            await self.open.wait()
            return await original(*arguments, **named)

        monkeypatch.setattr(store, operation, held)


@pytest.mark.parametrize("is_new", [True, False])
async def test_a_store_at_work_is_left_alone(raw: RawArchive, monkeypatch: pytest.MonkeyPatch, is_new: bool) -> None:
    study = new_uid() if is_new else await new_study(raw)
    before = 0 if is_new else 3
    gate = Gate(monkeypatch, raw.archive.catalog, "commit")
    storing = asyncio.create_task(store(raw.stores, *files_of(study, 3)))
    await gate.reached.wait()
    blobs = [name async for name in raw.container.list_blob_names()]
    assert len(blobs) == before + 3
    assert await raw.differences(deep=True) == []
    for blob in blobs:
        await repair(raw.other, raw.settings, Difference(Kind.ORPHAN_BLOB, study_key(study), blob))
    async for term, posting in raw.archive.postings.read_every_term():
        await repair(raw.other, raw.settings, Difference(Kind.SURPLUS_POSTING, posting.study, term[0], (term, posting)))
    gate.open.set()
    assert [type(outcome) for outcome in await storing] == [Stored] * 3
    assert await raw.differences(deep=True) == []
    assert await check_study(raw.archive, raw.container, study) == before + 3


@pytest.mark.parametrize(("store_name", "operation"), [("blobs", "delete"), ("catalog", "commit")])
async def test_a_delete_at_work_is_left_alone(
    raw: RawArchive, monkeypatch: pytest.MonkeyPatch, store_name: str, operation: str
) -> None:
    study = await new_study(raw)
    series = (await raw.instances(study))[0].identifiers.series_instance_uid
    gate = Gate(monkeypatch, getattr(raw.archive, store_name), operation)
    deleting = asyncio.create_task(delete(raw.archive, resource_of(study, series)))
    await gate.reached.wait()
    assert await raw.differences(deep=True) == []
    gate.open.set()
    await deleting
    assert await raw.differences(deep=True) == []


async def test_a_posting_that_a_store_relies_on_is_written_again(
    raw: RawArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = await new_study(raw)
    await surplus_posting_that_is_listed(raw, study)
    found = await raw.differences()
    gate = Gate(monkeypatch, raw.archive.catalog, "commit")
    storing = asyncio.create_task(store(raw.stores, part10(dataset(StudyInstanceUID=study, PatientName="Left^Over"))))
    await gate.reached.wait()  # it has already read that the term is posted
    for difference in found:
        await repair(raw.other, raw.settings, difference, now=datetime.now(UTC) + LONG_AGO)
    assert [kind for kind, _ in await raw.kinds()] == []
    gate.open.set()
    await storing
    assert await check_study(raw.archive, raw.container, study) == 4


async def test_nothing_differs_in_normal_use(raw: RawArchive) -> None:
    studies = [new_uid() for _ in range(6)]
    is_over = asyncio.Event()

    async def use(study: str) -> None:
        for _ in range(4):
            await asyncio.gather(*(store(raw.stores, *files_of(study, 3)) for _ in range(2)))
            for row in (await raw.instances(study))[:2]:
                resource = resource_of(study, row.identifiers.series_instance_uid)
                await asyncio.gather(delete(raw.archive, resource), return_exceptions=True)
        if study in studies[:2]:
            await delete(raw.archive, resource_of(study))

    async def watch() -> list[Difference]:
        found = []
        while not is_over.is_set():
            found += [difference for difference in await raw.differences() if difference.kind is not Kind.BUSY_STUDY]
        return found

    watching = asyncio.create_task(watch())
    await asyncio.gather(*map(use, studies))
    is_over.set()
    assert await watching == []
    examined = Examined()
    assert await raw.differences(examined=examined) == []
    rows = [row for study in studies for row in await raw.instances(study)]
    postings = [posting async for _, posting in raw.archive.postings.read_every_term()]
    assert examined == Examined(4, len(rows), len(rows), len(postings))
    assert len(rows) > 12


async def test_a_study_that_keeps_changing_is_reported_as_busy(
    raw: RawArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = await new_study(raw)
    await DAMAGES[Kind.WRONG_COUNTS][0](raw, study)
    read_instances = Catalog.read_instances_and_metadata

    async def change_while_reading(catalog: Catalog, *arguments: Any, **named: Any) -> AsyncIterator[Any]:
        async for row in read_instances(catalog, *arguments, **named):
            yield row
        await raw.replace_row(await raw.row(study, "study"))

    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "read_instances_and_metadata", change_while_reading)
        assert await raw.kinds() == [(Kind.BUSY_STUDY, study)]
    assert await raw.kinds() == [(Kind.WRONG_COUNTS, study)]

"""A commit's batch also writes what it did; a study's row keeps its revision, even once the study has gone."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.archive.change import Action, Change, StudyChanges
from shared.archive.instance import NewInstance
from shared.archive.study import StudyRecord, with_instances, without_instances
from shared.dicom.attributes import TAG
from shared.dicom.identifiers import ResourceIdentifiers, StudyKey
from shared.storage import catalog_batches, keys
from shared.storage.archive import Archive
from shared.storage.catalog import InstanceExists, StudyChanged
from shared.storage.catalog_batches import fits_batch
from shared.storage.catalog_rows import StudyRevision, Tombstone
from shared.storage.outbox import change_entity
from tests.support.default_partition import study_key
from tests.support.instance_rows import new_instance, new_uid, study_of
from tests.support.old_format import as_before_the_feed
from tests.support.raw_archive import RawArchive


async def outbox_of(archive: Archive, study: str) -> list[tuple[int, list[tuple[str, str, str]]]]:
    return [
        (
            one.revision,
            [(change.action.value, change.identifiers.sop_instance_uid, change.blob_version) for change in one.changes],
        )
        async for one in archive.outbox.read(study_key(study))
    ]


async def add(archive: Archive, study: str, *instances: NewInstance) -> StudyRevision:
    before = await archive.catalog.read_before(study_key(study))
    if isinstance(before, StudyRevision):
        after = with_instances(before.record, instances, before.record.created)
    else:
        after = study_of(*instances)
    revision = await archive.catalog.commit(before, after, added=instances)
    assert revision is not None
    assert await archive.catalog.read_study(study_key(study)) == revision
    return revision


async def remove(archive: Archive, study: str, *uids: str) -> StudyRevision | None:
    before = await archive.catalog.read_study(study_key(study))
    assert before is not None
    rows = [row async for row in archive.catalog.read_instances(study_key(study))]
    removed = [row for row in rows if row.identifiers.sop_instance_uid in uids]
    return await archive.catalog.commit(before, without_instances(before.record, removed), removed=removed)


async def test_each_commit_raises_the_revision_and_says_what_it_did(archive: Archive) -> None:
    study = new_uid()
    assert (await add(archive, study, new_instance(study, "2", "1"), new_instance(study, "2", "2"))).revision == 1
    assert (await add(archive, study, new_instance(study, "3", "3", version="b"))).revision == 2
    left = await remove(archive, study, "1", "3")
    assert left is not None
    assert left.revision == 3
    assert await outbox_of(archive, study) == [
        (1, [("create", "1", "a"), ("create", "2", "a")]),
        (2, [("create", "3", "b")]),
        (3, [("delete", "1", "a"), ("delete", "3", "b")]),
    ]
    instance = new_instance(study, "2", "2").facts
    found = [one async for one in archive.outbox.read(study_key(study))]
    expected = Change(Action.CREATE, instance.identifiers, "a", instance.sop_class_uid, "OT")
    assert found[0].changes[1] == expected
    assert {change.modality for one in found for change in one.changes} == {"OT"}
    assert await archive.outbox.read_revisions(study_key(study)) == [1, 2, 3]
    await archive.outbox.remove(study_key(study), [1, 2])
    await archive.outbox.remove(study_key(study), [1, 2])
    assert await archive.outbox.read_revisions(study_key(study)) == [3]


@pytest.mark.parametrize(
    "attributes", [{}, {TAG["Modality"]: {"vr": "CS"}}, {TAG["Modality"]: {"vr": "CS", "Value": [None, "M" * 17]}}]
)
async def test_a_series_may_have_no_modality(archive: Archive, attributes: dict[str, Any]) -> None:
    study = new_uid()
    instances = [replace(new_instance(study, "2", uid), series_attributes=attributes) for uid in ("1", "2")]
    await add(archive, study, *instances)
    await remove(archive, study, "1")
    changes = [change async for one in archive.outbox.read(study_key(study)) for change in one.changes]
    assert [change.modality for change in changes] == ["", "", ""]


async def test_a_commit_that_adds_and_removes_nothing_says_nothing(archive: Archive) -> None:
    study = new_uid()
    before = await add(archive, study, new_instance(study, "2", "1"))
    after = await archive.catalog.commit(before, before.record)
    assert after is not None
    assert after.revision == 2
    assert await archive.outbox.read_revisions(study_key(study)) == [1]


async def test_a_commit_that_fails_says_nothing(archive: Archive) -> None:
    study = new_uid()
    before = await add(archive, study, new_instance(study, "2", "1"))
    instance = new_instance(study, "2", "1", version="b")
    with pytest.raises(InstanceExists):
        await add(archive, study, instance)
    await add(archive, study, new_instance(study, "2", "2"))
    with pytest.raises(StudyChanged):
        await archive.catalog.commit(before, before.record, added=[new_instance(study, "2", "3")])
    assert await outbox_of(archive, study) == [(1, [("create", "1", "a")]), (2, [("create", "2", "a")])]


async def test_changes_that_stand_in_the_way_are_no_instance_that_exists(raw: RawArchive) -> None:
    study = new_uid()
    instance = new_instance(study, "2", "1")
    await raw.replace_row(dict(change_entity(StudyChanges(study_key(study), 1, ()))))
    with pytest.raises(StudyChanged):
        await raw.archive.catalog.commit(None, study_of(instance), added=[instance])
    await raw.archive.catalog.commit(None, study_of(instance), added=[instance], first_revision=2)
    assert await raw.revisions(study) == [1, 2]


async def test_a_study_that_has_gone_leaves_a_tombstone_that_nobody_sees(raw: RawArchive) -> None:
    archive, study = raw.archive, new_uid()
    await add(archive, study, new_instance(study, "2", "1"))
    etag = await archive.catalog.read_etag(ResourceIdentifiers(study_key(study)))
    assert await remove(archive, study, "1") is None
    tombstone = await archive.catalog.read_before(study_key(study))
    assert isinstance(tombstone, Tombstone)
    assert tombstone.revision == 2
    entity = await raw.row(study, keys.STUDY_ROW)
    assert set(entity) == {"PartitionKey", "RowKey", "revision", "gone"}
    key = study_key(study)
    assert await archive.catalog.read_study(key) is None
    assert await archive.catalog.read_outline(key) is None
    assert await archive.catalog.read_summary(key) == (None, {})
    assert await archive.catalog.read_etag(ResourceIdentifiers(key)) is None
    assert not await archive.catalog.has_rows(key)
    assert key not in [found async for found, _ in archive.catalog.read_revisions()]
    assert [row async for row in archive.catalog.read_rows(key)] == []
    (rows,) = [rows async for rows in archive.catalog.read_study_rows() if rows.study == key]
    assert (rows.is_there, rows.changes) == (False, [1, 2])
    assert key not in (await archive.catalog.read_unannounced_page(""))[0]
    assert etag not in (None, tombstone.etag)


async def test_a_study_stored_again_goes_on_from_its_tombstone(archive: Archive) -> None:
    study, etags = new_uid(), set()
    for turn in range(3):
        revision = await add(archive, study, new_instance(study, "2", "1", version=f"v{turn}"))
        assert revision.revision == 2 * turn + 1
        etags.add(revision.etag)
        await remove(archive, study, "1")
    assert len(etags) == 3
    actions = [(action, f"v{turn}") for turn in range(3) for action in ("create", "delete")]
    assert [(changes[0][0], changes[0][2]) for _, changes in await outbox_of(archive, study)] == actions


async def test_of_two_that_store_a_study_again_one_has_to_look_again(archive: Archive) -> None:
    study = new_uid()
    await add(archive, study, new_instance(study, "2", "1"))
    await remove(archive, study, "1")
    tombstone = await archive.catalog.read_before(study_key(study))
    instance = new_instance(study, "2", "1", version="b")
    await archive.catalog.commit(tombstone, study_of(instance), added=[instance])
    other = new_instance(study, "2", "2")
    for before in (tombstone, None):
        with pytest.raises(StudyChanged):
            await archive.catalog.commit(before, study_of(other), added=[other])
    assert await archive.outbox.read_revisions(study_key(study)) == [1, 2, 3]


async def test_what_a_study_holds_is_seen_whatever_changes_wait(raw: RawArchive) -> None:
    study = new_uid()
    await add(raw.archive, study, new_instance(study, "2", "1"))
    assert await raw.archive.catalog.has_rows(study_key(study))
    rows = [row.entity["RowKey"] async for row in raw.archive.catalog.read_rows(study_key(study))]
    assert rows == ["instance:2:1", "series:2", "study"]
    await raw.remove_row(study, "study")
    assert await raw.archive.catalog.has_rows(study_key(study))


async def unannounced(raw: RawArchive, *instances: NewInstance) -> StudyRevision:
    study = instances[0].facts.identifiers.study_instance_uid
    await add(raw.archive, study, *instances)
    await as_before_the_feed(raw.archive, study_key(study))
    found = await raw.archive.catalog.read_study(study_key(study))
    assert found is not None
    assert found.revision is None
    return found


async def test_instances_of_an_unannounced_study_neither_come_nor_go(raw: RawArchive) -> None:
    study = new_uid()
    before = await unannounced(raw, new_instance(study, "2", "1"))
    (row,) = await raw.instances(study)
    instance = new_instance(study, "2", "2")
    after = with_instances(before.record, [instance], before.record.created)
    with pytest.raises(ValueError, match="announced"):
        await raw.archive.catalog.commit(before, after, added=[instance])
    with pytest.raises(ValueError, match="announced"):
        await raw.archive.catalog.commit(before, None, removed=[row])
    kept = await raw.archive.catalog.commit(before, before.record)
    assert kept is not None
    assert kept.revision is None
    assert await raw.archive.catalog.read_study(study_key(study)) == kept


async def test_an_announcement_goes_on_where_it_ended(raw: RawArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_batches, "_CHANGES_OF_A_ROW", 2)
    study, catalog = new_uid(), raw.archive.catalog
    before = await unannounced(raw, *(new_instance(study, "2", str(uid)) for uid in range(1, 6)))
    rows = await raw.instances(study)
    await catalog.announce(before, rows[:3], is_last=False)
    half = await catalog.read_study(study_key(study))
    assert half is not None
    assert (half.revision, half.announced.revision) == (None, 2)
    assert [row async for row in catalog.read_instances_after(study_key(study), half.announced.row_key)] == rows[3:]
    with pytest.raises(StudyChanged):
        await catalog.announce(before, rows[:3], is_last=False)
    kept = await catalog.commit(half, half.record)  # as removing a posting does
    assert kept is not None
    assert kept.announced == half.announced
    assert await catalog.read_study(study_key(study)) == kept
    await catalog.announce(kept, rows[3:], is_last=True)
    whole = await catalog.read_study(study_key(study))
    assert whole is not None
    assert whole.revision == 3
    assert [(revision, len(changes)) for revision, changes in await outbox_of(raw.archive, study)] == [
        (1, 2),
        (2, 1),
        (3, 2),
    ]
    created = [uid for _, changes in await outbox_of(raw.archive, study) for _, uid, _ in changes]
    assert created == ["1", "2", "3", "4", "5"]
    await add(raw.archive, study, new_instance(study, "2", "6"))
    assert await raw.revisions(study) == [1, 2, 3, 4]


async def test_a_half_announced_study_that_goes_keeps_its_revision(raw: RawArchive) -> None:
    study, catalog = new_uid(), raw.archive.catalog
    before = await unannounced(raw, new_instance(study, "2", "1"))
    await catalog.announce(before, await raw.instances(study), is_last=False)
    half = await catalog.read_study(study_key(study))
    await catalog.commit(half, None)
    tombstone = await catalog.read_before(study_key(study))
    assert isinstance(tombstone, Tombstone)
    assert tombstone.revision == 1


async def test_unannounced_studies_are_found_page_by_page(raw: RawArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.storage.catalog.PAGE_ROWS", 2)
    studies = sorted(new_uid() for _ in range(5))
    for study in studies:
        await unannounced(raw, new_instance(study, "2", "1"))
    announced = new_uid()
    await add(raw.archive, announced, new_instance(announced, "2", "1"))
    found: list[StudyKey] = []
    after: str | None = ""
    pages = 0
    while after is not None:
        page, following = await raw.archive.catalog.read_unannounced_page(after)
        assert len(page) <= 2
        assert following is None or following > after
        found += page
        after, pages = following, pages + 1
    assert [key.study_instance_uid for key in found if key.study_instance_uid in studies] == studies
    assert study_key(announced) not in found
    assert found == sorted(found)
    assert pages >= 3
    for study in studies:
        await raw.remove_row(study, "study")


def random_uid(chance: random.Random) -> str:
    return "1." + "".join(str(chance.randint(1, 9)) for _ in range(62))


async def full_batch(
    archive: Archive, series_each: int, metadata_bytes: int
) -> tuple[StudyRecord, Sequence[NewInstance]]:
    """As many instances of UIDs of 64 random digits as fit a batch, each with so many bytes of metadata."""
    chance = random.Random(7)
    study, series = random_uid(chance), [random_uid(chance) for _ in range(100)]
    instances: list[NewInstance] = []
    while True:
        number = len(instances)
        version = chance.randbytes(19).hex()
        uid = series[0] if series_each else series[number]
        metadata = chance.randbytes(metadata_bytes)
        new = new_instance(study, uid, random_uid(chance), version=version, metadata=metadata)
        if not fits_batch([*instances, new]):
            return study_of(*instances), instances
        instances.append(new)


@pytest.mark.parametrize("is_one_series", [True, False])
@pytest.mark.parametrize("metadata_bytes", [1, 21_000])
async def test_storage_accepts_the_largest_changes(raw: RawArchive, is_one_series: bool, metadata_bytes: int) -> None:
    record, instances = await full_batch(raw.archive, is_one_series, metadata_bytes)
    key = record.key
    assert len(instances) == (97 if is_one_series else 49)
    await raw.archive.catalog.commit(await raw.archive.catalog.read_before(key), record, added=instances)
    rows = await raw.instances(key.study_instance_uid)
    await raw.archive.catalog.commit(await raw.archive.catalog.read_before(key), None, removed=rows)
    found = [one async for one in raw.archive.outbox.read(key)]
    assert [len(one.changes) for one in found][-2:] == [len(instances)] * 2
    for one in found:
        sizes = [len(value) for name, value in change_entity(one).items() if name.startswith("changes")]
        assert sum(sizes) < 16 * 1024

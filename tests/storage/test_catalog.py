import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from shared.archive.instance import Elsewhere, InstanceMetadata, NewInstance
from shared.archive.study import with_instances, without_instances
from shared.storage.archive import Archive
from shared.storage.catalog import InstanceExists, StudyChanged
from shared.storage.catalog_batches import fills_batch
from shared.storage.catalog_rows import StudyRevision
from tests.support.default_partition import identifiers_of, study_key
from tests.support.instance_rows import new_instance, new_uid, study_of


async def stored(archive: Archive, study: str, *instances: tuple[str, str]) -> StudyRevision:
    new = [new_instance(study, series, instance) for series, instance in instances]
    revision = await archive.catalog.commit(None, study_of(*new), added=new)
    assert revision is not None
    return revision


async def test_what_is_committed_is_read_back(archive: Archive) -> None:
    study = new_uid()
    instance = new_instance(study, "2", "3", metadata=bytes(range(256)) * 700)
    revision = await archive.catalog.commit(None, study_of(instance), added=[instance])
    assert await archive.catalog.read_study(study_key(study)) == revision
    identifiers = identifiers_of(study, "2", "3")
    assert await archive.catalog.read_instance(identifiers) == instance.facts
    metadata = await archive.catalog.read_instance_metadata(identifiers)
    assert metadata == InstanceMetadata(identifiers, "a", instance.metadata)
    assert [row async for row in archive.catalog.read_metadata(study_key(study))] == [metadata]
    both = [row async for row in archive.catalog.read_instances_and_metadata(study_key(study))]
    assert both == [(instance.facts, metadata)]
    framed = await archive.catalog.read_instance_with_frames(identifiers)
    assert framed is not None
    assert (framed.frames, framed.size_bytes) == (b"f", 2**33)
    assert [row async for row in archive.catalog.read_instances_with_frames(study_key(study))] == [framed]


async def test_values_of_tags_are_not_read_with_frames(archive: Archive) -> None:
    """They change without the blob version, by which a process knows that what it remembers still holds."""
    instance = new_instance(new_uid(), "2", "3")
    tags = {"00080070": {"vr": "LO", "Value": ["x" * 100]}}
    tagged = replace(instance, facts=replace(instance.facts, tags=tags))
    await archive.catalog.commit(None, study_of(tagged), added=[tagged])
    facts = await archive.catalog.read_instance(tagged.facts.identifiers)
    assert facts is not None
    assert facts.tags == tags
    with_frames = await archive.catalog.read_instance_with_frames(tagged.facts.identifiers)
    assert with_frames is not None
    assert with_frames.tags == {}


async def test_what_does_not_exist_is_none(archive: Archive) -> None:
    study = new_uid()
    assert await archive.catalog.read_study(study_key(study)) is None
    assert await archive.catalog.read_instance(identifiers_of(study, "2", "3")) is None
    assert [row async for row in archive.catalog.read_instances(study_key(study))] == []


async def test_values_in_a_separate_blob_are_elsewhere(archive: Archive) -> None:
    study = new_uid()
    instance = new_instance(study, "2", "3", metadata=None)
    await archive.catalog.commit(None, study_of(instance), added=[instance])
    identifiers = identifiers_of(study, "2", "3")
    facts = await archive.catalog.read_instance(identifiers)
    assert facts is not None
    assert (facts.has_metadata_blob, facts.has_frames_blob) == (True, False)
    metadata = await archive.catalog.read_instance_metadata(identifiers)
    assert metadata == InstanceMetadata(identifiers, "a", Elsewhere.IN_BLOB)


async def test_instances_of_a_study_and_of_a_series_come_in_order(archive: Archive) -> None:
    study = new_uid()
    await stored(archive, study, ("2", "2"), ("2", "1"), ("2.1", "1"), ("20", "1"))

    async def rows(series: str | None = None) -> list[tuple[str, str]]:
        found = [row async for row in archive.catalog.read_instances(study_key(study), series)]
        return [(row.identifiers.series_instance_uid, row.identifiers.sop_instance_uid) for row in found]

    assert await rows("2") == [("2", "1"), ("2", "2")]
    assert sorted(await rows()) == [("2", "1"), ("2", "2"), ("2.1", "1"), ("20", "1")]


async def test_an_existing_instance_stops_the_whole_batch(archive: Archive) -> None:
    study = new_uid()
    before = await stored(archive, study, ("2", "1"))
    added = [new_instance(study, "2", "2"), new_instance(study, "2", "1", version="b")]
    with pytest.raises(InstanceExists):
        await archive.catalog.commit(before, with_instances(before.record, added, before.record.created), added=added)
    assert await archive.catalog.read_study(study_key(study)) == before
    assert await archive.catalog.read_instance(identifiers_of(study, "2", "2")) is None


async def test_a_study_created_in_the_meantime_has_changed(archive: Archive) -> None:
    study = new_uid()
    await stored(archive, study, ("2", "1"))
    instance = new_instance(study, "2", "2")
    with pytest.raises(StudyChanged):
        await archive.catalog.commit(None, study_of(instance), added=[instance])


async def test_only_one_of_the_batches_that_meet_on_a_study_succeeds(archive: Archive) -> None:
    study = new_uid()
    before = await stored(archive, study, ("2", "0"))

    async def add(uid: str) -> bool:
        instance = new_instance(study, "2", uid)
        after = with_instances(before.record, [instance], before.record.created)
        try:
            await archive.catalog.commit(before, after, added=[instance])
        except StudyChanged:
            return False
        return True

    outcomes = await asyncio.gather(*(add(str(number)) for number in range(1, 9)))
    assert outcomes.count(True) == 1
    now = await archive.catalog.read_study(study_key(study))
    assert now is not None
    rows = [row async for row in archive.catalog.read_instances(study_key(study))]
    assert now.record.instance_count == len(rows) == 2


async def test_removing_the_last_instance_removes_study_and_series(archive: Archive) -> None:
    study = new_uid()
    before = await stored(archive, study, ("2", "1"), ("3", "1"))
    rows = [row async for row in archive.catalog.read_instances(study_key(study))]
    half = await archive.catalog.commit(before, without_instances(before.record, rows[:1]), removed=rows[:1])
    assert half is not None
    assert set(half.record.series) == {"3"}
    assert await archive.catalog.read_study(study_key(study)) == half
    assert await archive.catalog.commit(half, None, removed=rows[1:]) is None
    assert await archive.catalog.read_study(study_key(study)) is None
    assert [row async for row in archive.catalog.read_instances(study_key(study))] == []


async def test_a_study_deleted_in_the_meantime_has_changed(archive: Archive) -> None:
    study = new_uid()
    before = await stored(archive, study, ("2", "1"))
    rows = [row async for row in archive.catalog.read_instances(study_key(study))]
    await archive.catalog.commit(before, None, removed=rows)
    instance = new_instance(study, "2", "2")
    after = with_instances(before.record, [instance], before.record.created)
    with pytest.raises(StudyChanged):
        await archive.catalog.commit(before, after, added=[instance])
    with pytest.raises(StudyChanged):
        await archive.catalog.commit(before, None, removed=rows)


@pytest.mark.parametrize("series_each", [1, 100])
async def test_storage_accepts_a_full_batch(archive: Archive, series_each: int) -> None:
    """As many instances as `fills_batch` allows: full-size rows in one series, or each instance in its own series."""
    study = new_uid()
    large = bytes(190 * 1024) if series_each == 1 else b"m"
    instances: list[NewInstance] = []
    while not fills_batch(instances):
        number = len(instances)
        series = "2" if series_each == 1 else f"2.{number}"
        instances.append(new_instance(study, series, str(number), metadata=large))
    await archive.catalog.commit(None, study_of(*instances), added=instances)
    revision = await archive.catalog.read_study(study_key(study))
    assert revision is not None
    assert revision.record.instance_count == len(instances) > 10


async def test_a_batch_takes_many_small_instances_of_a_series(archive: Archive) -> None:
    study = new_uid()
    instances: list[NewInstance] = []
    while not fills_batch(instances):
        instances.append(new_instance(study, "2", str(len(instances))))
    await archive.catalog.commit(None, study_of(*instances), added=instances)
    assert len(instances) >= 96


async def test_a_study_that_comes_in_pages_is_read_as_of_one_moment(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another commits between the page of the series and that of the study: counts and lock belong together."""
    study = new_uid()
    before = await stored(archive, study, ("2", "1"))
    more = new_instance(study, "2", "2")
    table, commits = archive.catalog._table, [with_instances(before.record, [more], before.record.created)]
    query = table.query_entities

    def in_pages_of_one(*given: Any, **options: Any) -> Any:
        paged: Any = query(*given, **{**options, "results_per_page": 1})
        by_page = paged.by_page

        async def with_a_commit_after_the_first() -> AsyncIterator[Any]:
            async for page in by_page():
                yield page
                while commits:
                    await archive.catalog.commit(before, commits.pop(), added=[more])

        paged.by_page = with_a_commit_after_the_first
        return paged

    monkeypatch.setattr(table, "query_entities", in_pages_of_one)
    found = await archive.catalog.read_study(study_key(study))
    monkeypatch.undo()
    assert not commits
    assert found is not None
    assert found.record.instance_count == 2
    assert found == await archive.catalog.read_study(study_key(study))

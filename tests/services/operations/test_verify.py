"""Verify finds what fsck finds, whatever its units are and however often they are interrupted, and changes nothing."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from benchmarks import costs
from shared.archive.terms import Term
from shared.services.feed.backfill import prepare
from shared.services.feed.drain import drain
from shared.services.operations import verify
from shared.services.repair.differences import Kind
from shared.services.repair.study_check import Examined
from shared.services.write.delete import delete
from shared.storage import feed_keys
from shared.storage.operation_table import MAX_LISTED_UNITS
from tests.support.damages import DAMAGES, OTHER_BLOB_VERSION, Damage
from tests.support.default_partition import resource_of, study_key
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import new_uid
from tests.support.storage_operations import Counting as StorageCounting
from tests.support.storage_policies import archive_through
from tests.support.stores import files_of, store

EACH = [(kind, damage) for kind, damages in DAMAGES.items() for damage in damages]
OF_THE_ARCHIVE = (Kind.ABANDONED_REQUEST, Kind.SURPLUS_POSTING)
"""Kinds that only the examination of the whole archive finds, or not always."""


def name(value: object) -> str:
    return value.name if isinstance(value, Kind) else getattr(value, "__name__", "")


@pytest.fixture(autouse=True)
def clean_journal() -> None:
    """The archive of these tests is emptied as a whole."""


async def new_study(raw: RawArchive) -> str:
    study = new_uid()
    await store(raw.stores, *files_of(study, 2), *files_of(study, 1))
    return study


async def units_of(raw: RawArchive, specification: Any) -> list[Any]:
    """All units that the lister lists."""
    units, cursor = await verify.list_units(raw.archive, raw.settings, specification, None)
    found = list(units)
    while cursor is not None:
        units, cursor = await verify.list_units(raw.archive, raw.settings, specification, cursor)
        assert len(units) <= MAX_LISTED_UNITS
        found += units
    return found


async def verified(
    raw: RawArchive, *studies: str, has_digests: bool = True, deadline: float = math.inf
) -> tuple[list[Any], Counter[str], int]:
    """What all units find, the sums of what they count, and how many runs they took."""
    counts, items, runs = Counter[str](), list[Any](), 0
    for work in await units_of(raw, {"studies": list(studies) or None, "has_digests": has_digests}):
        cursor: Any = None
        while True:
            results, cursor = await verify.run(raw.archive, raw.settings, work, cursor, deadline)
            counts.update(results.counts)
            items += results.items
            runs += 1
            if cursor is None:
                break
    return items, counts, runs


async def by_fsck(raw: RawArchive, examined: Examined | None = None) -> list[Any]:
    return [
        {
            "kind": one.kind.value,
            **({"study": one.study.study_instance_uid} if one.study else {}),
            "concerns": one.concerns,
            "sentence": one.sentence,
        }
        for one in await raw.differences(deep=True, examined=examined)
    ]


@pytest.mark.parametrize(("kind", "damage"), EACH, ids=name)
async def test_damage_is_found_as_by_fsck(raw: RawArchive, kind: Kind, damage: Damage) -> None:
    study, healthy = await new_study(raw), await new_study(raw)
    await damage(raw, study)
    before = await raw.everything_of(study), await raw.everything_of(healthy)
    examined = Examined()
    expected = await by_fsck(raw, examined)
    assert [one["kind"] for one in expected] == [kind]
    for deadline in (math.inf, 0):
        items, counts, _ = await verified(raw, deadline=deadline)
        assert items == expected
        assert counts["differenceCount"] == 1
        assert (counts["studies"], counts["instances"], counts["blobs"], counts["postings"]) == (
            examined.studies,
            examined.instances,
            examined.blobs,
            examined.postings,
        )
    if kind not in OF_THE_ARCHIVE:
        assert (await verified(raw, study))[0] == expected
    assert (await verified(raw, healthy))[0] == []
    assert (await raw.everything_of(study), await raw.everything_of(healthy)) == before
    assert "left^over" not in str(items).lower()


async def test_the_storage_operations_of_a_verify(raw: RawArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    study = await new_study(raw)
    await raw.archive.outbox.remove(study_key(study), await raw.revisions(study))
    await raw.remove_entries(study)
    found = await raw.archive.catalog.read_study(study_key(study))
    assert found is not None
    terms, counting = len(found.record.posted), StorageCounting()
    whole = {"studies": None, "has_digests": False}
    async with archive_through(counting, monkeypatch, raw.settings) as archive:
        counted = replace(raw, archive=archive)
        await archive.tags.recent()  # which is read each ten seconds
        counting.operations.clear()
        units = await units_of(counted, whole)
        ranges = counting.operations.pop("GET terms")
        assert counting.operations == {"GET catalog": 1}
        expected = {
            "journal": {"GET journal": 1},
            "feed": {"GET feed": 1},
            "folders": {"GET dicom": 1, "GET catalog": 1},
            "studies": {"GET catalog": 2, "GET dicom": 1, "GET terms": terms + 3},
            "postings": {"GET terms": ranges, "GET catalog": 1 + 3},
        }
        for work in units:
            counting.operations.clear()
            await verify.run(archive, raw.settings, work, None, math.inf)
            assert counting.operations == expected.pop(work["part"])
        assert expected == {}
        counting.operations.clear()
        await verified(counted, study)
    assert counting.operations == {"GET catalog": 2 + 1 + 1, "GET dicom": 1 + 3, "GET terms": terms + 3}
    most = costs.verify(3, terms)
    assert 2 + 1 + terms + 3 + 1 + 1 + 3 <= most.table


async def test_digests_are_compared_only_where_they_are_asked_for(raw: RawArchive) -> None:
    study = await new_study(raw)
    await DAMAGES[Kind.WRONG_HASH][0](raw, study)
    assert (await verified(raw, has_digests=False))[0] == []
    assert [one["kind"] for one in (await verified(raw))[0]] == [Kind.WRONG_HASH]


async def test_a_run_that_is_late_goes_on_where_it_stopped(raw: RawArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_STUDIES", 2)
    monkeypatch.setattr(verify, "_POSTINGS", 10)
    studies = [await new_study(raw) for _ in range(3)]
    at_once, counts, runs = await verified(raw)
    assert (at_once, counts["studies"], counts["instances"]) == ([], 3, 9)
    assert counts["postings"] == len([one async for one in raw.archive.postings.read_every_term()])
    parts = Counter(one["part"] for one in await units_of(raw, {"studies": None, "has_digests": True}))
    assert parts == {
        "journal": 1, "feed": 1, "folders": 1, "studies": 2, "postings": -(-(counts["postings"] + 1) // 10),
    }  # fmt: skip
    assert runs == parts.total()
    _, late, many_runs = await verified(raw, deadline=0)
    assert late == counts
    # One after each file, and after each posting but the last of a unit that ends with it.
    assert many_runs > 9 + counts["postings"]
    _, some, _ = await verified(raw, *studies[:2])
    assert (some["studies"], some["postings"]) == (2, 0)


async def test_a_run_that_finds_much_goes_on_in_another_so_that_all_is_kept(
    raw: RawArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = [await new_study(raw) for _ in range(3)]
    for study in studies:
        await DAMAGES[Kind.FOREIGN_BLOB][0](raw, study)
    found, counts, runs = await verified(raw, *studies)
    assert (len(found), runs) == (3, 1)
    monkeypatch.setattr(verify, "_MOST_FOUND", 2)
    assert await verified(raw, *studies) == (found, counts, 2)


async def test_the_units_are_listed_in_steps_that_go_on(raw: RawArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        await new_study(raw)
    monkeypatch.setattr(verify, "_STUDIES", 1)
    monkeypatch.setattr(verify, "_POSTINGS", 10)
    whole = {"studies": None, "has_digests": False}
    expected = await units_of(raw, whole)
    for limit, value in (("_LISTED", 1), ("_LISTING_SECONDS", -1)):
        with monkeypatch.context() as patch:
            patch.setattr(verify, limit, value)
            assert await units_of(raw, whole) == expected


async def test_the_named_studies_are_units_whether_they_are_there_or_not(raw: RawArchive) -> None:
    studies = [new_uid() for _ in range(60)]
    units = await units_of(raw, {"studies": studies, "has_digests": False})
    assert [len(one["studies"]) for one in units] == [25, 25, 10]
    assert [uid for one in units for _, uid, *_ in one["studies"]] == studies
    items, counts, _ = await verified(raw, *studies)
    assert items == []
    assert not any(counts.values())


async def test_what_a_study_that_has_gone_has_left_is_found(raw: RawArchive) -> None:
    study = await new_study(raw)
    (row, *_) = await raw.instances(study)
    created = await raw.created(study)
    await delete(raw.archive, resource_of(study))
    await raw.posting(Term("PatientName", "left^over"), study, created)
    series = row.identifiers.series_instance_uid
    await raw.container.upload_blob(f"{study}/{series}/1.2_{OTHER_BLOB_VERSION}.dcm", b"orphan")
    await raw.container.upload_blob("notes.txt", b"mine")
    items, counts, _ = await verified(raw)
    assert items == await by_fsck(raw)
    assert {one["kind"] for one in items} == {Kind.ORPHAN_BLOB, Kind.FOREIGN_BLOB, Kind.SURPLUS_POSTING}
    assert counts["studies"] == 0


async def test_a_broken_feed_is_found(raw: RawArchive) -> None:
    await new_study(raw)
    await prepare(raw.archive, seconds=30)
    await drain(raw.archive, seconds=30)
    head = await raw.archive.feed.read_head()
    assert head is not None
    await raw.tables["feed"].delete_entity(feed_keys.partition_key(0), feed_keys.block_row(head.last))
    (found,) = (await verified(raw))[0]
    assert found["kind"] == Kind.BROKEN_FEED
    assert "study" not in found

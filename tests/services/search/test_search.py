"""What the index says about a study of which a store or a delete leaves a part in place; and dates far from now."""

import asyncio

import pytest

from shared.archive.terms import Term
from shared.dicom.attributes import Level
from shared.dicom.identifiers import DEFAULT_PARTITION
from shared.errors import Unavailable
from shared.search.lookups import Lookup
from shared.search.query import parse_search
from shared.services.search import candidates
from shared.services.search.search import search
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.answers import answer_work
from tests.support.default_partition import resource_of
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.storage_operations import Counting
from tests.support.storage_policies import archive_through
from tests.support.stored_instances import studies_posted
from tests.support.stores import store


async def test_a_refused_duplicate_leaves_no_posting_of_a_value_that_its_study_lacks(
    stores: StoreService, archive: Archive
) -> None:
    image, other_patient = dataset(), new_uid()
    await store(stores, part10(image))
    image.PatientID = other_patient
    await store(stores, part10(image))
    assert await studies_posted(archive, Term("PatientID", other_patient)) == []


async def test_a_study_that_was_deleted_and_stored_again_is_found_once(
    stores: StoreService, archive: Archive, settings: Settings
) -> None:
    image, other_patient = dataset(), new_uid()
    await store(stores, part10(image))
    image.PatientID = other_patient
    await store(stores, part10(image))
    await delete(archive, resource_of(image.StudyInstanceUID))
    await store(stores, part10(image))
    query = parse_search(f"PatientID={other_patient}", Level.STUDY, settings)
    assert (
        len((await search(archive, DEFAULT_PARTITION, query, None, "http://host/v2", settings, answer_work())).results)
        == 1
    )


async def test_an_instance_uid_that_two_series_of_a_study_share_stays_posted_until_both_are_gone(
    stores: StoreService, archive: Archive
) -> None:
    study, series, uid = new_uid(), [new_uid(), new_uid()], new_uid()
    for series_uid in series:
        image = dataset(StudyInstanceUID=study, SeriesInstanceUID=series_uid, SOPInstanceUID=uid)
        await store(stores, part10(image))
    await delete(archive, resource_of(study, series[0]))
    assert study in await studies_posted(archive, Term("SOPInstanceUID", uid))


@pytest.mark.parametrize("few", [0, 1, 100])
async def test_dates_long_past_and_to_come_are_found(
    raw: RawArchive, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(candidates, "_FEW", few)
    dates = ["18500105", "20191231", "20260105", "20310101", "20990105", "99991231", "07991231"]
    studies = {}
    for date in dates:
        image = dataset(StudyDate=date)
        await store(raw.stores, part10(image))
        studies[date] = image.StudyInstanceUID
    for first, last in [
        ("20200101", ""),
        ("", "20200101"),
        ("20320101", ""),
        ("18000101", "99991231"),
        ("", "18991231"),
    ]:
        query = parse_search(f"StudyDate={first}-{last}", Level.STUDY, raw.settings)
        found = await search(
            raw.archive, DEFAULT_PARTITION, query, None, "http://host/v2", raw.settings, answer_work(raw.settings)
        )
        expected = [date for date in reversed(dates) if first <= date <= (last or "99991231")]
        assert [result.path for result in found.results] == [f"studies/{studies[date]}" for date in expected]


async def test_lists_of_dates_to_come_are_not_asked_where_there_are_few(
    raw: RawArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for date in ("20260105", "20260106", "20990105"):
        await store(raw.stores, part10(dataset(StudyDate=date)))
    counting = Counting()
    async with archive_through(counting, monkeypatch, raw.settings) as archive:
        for few, most in ((100, 1), (1, 3), (0, 30)):
            monkeypatch.setattr(candidates, "_FEW", few)
            query = parse_search("StudyDate=20200101-", Level.STUDY, raw.settings)
            counting.operations.clear()
            found = await search(
                archive, DEFAULT_PARTITION, query, None, "http://host/v2", raw.settings, answer_work(raw.settings)
            )
            assert len(found.results) == 3
            assert counting.operations["GET terms"] <= most


async def test_a_key_that_cannot_be_read_ends_the_reads_of_the_others(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []

    async def begun(_: Archive, __: str, lookup: Lookup) -> None:
        if lookup.keyword == "StudyDescription":
            raise Unavailable("Storage does not answer.")
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(lookup.keyword)

    monkeypatch.setattr(candidates, "_begun", begun)
    query = parse_search("StudyDescription=a&PatientName=b&StudyDate=20200101-", Level.STUDY, settings)
    with pytest.raises(Unavailable):
        await search(archive, DEFAULT_PARTITION, query, None, "http://host/v2", settings, answer_work())
    assert sorted(ended) == ["PatientName", "StudyDate"]

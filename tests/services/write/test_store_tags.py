"""Stores and deletes in an archive that has extended query tags."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from shared.archive.extended_tags import NO_TAGS, ExtendedTag, TagSet
from shared.archive.terms import Term
from shared.dicom.attributes import Level
from shared.dicom.identifiers import DEFAULT_PARTITION, ResourceIdentifiers
from shared.services.write.delete import delete
from shared.services.write.duplicates import not_in_catalog
from shared.services.write.store import StoreService
from shared.storage.archive import Archive
from shared.storage.journal import Journal, JournalEntry
from shared.storage.storage_use import StorageUse
from shared.web.api_versions import ApiVersion
from shared.web.store_response import Failed, Outcome, Stored
from tests.support.answers import answer_work
from tests.support.default_partition import resource_of, study_key
from tests.support.invariants import check_study, requests_in_journal
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.stores import events, store
from tests.support.tag_sets import tag_of

AGE = tag_of("00101010", "AS", Level.STUDY)
PROTOCOL = tag_of("00181030", "LO", Level.SERIES)
THICKNESS = tag_of("00180050", "DS")
COMMENT = tag_of("00204000", "LO")
CODE = tag_of("00400260.00080100", "SH", Level.STUDY)


async def add_tags(archive: Archive, *tags: ExtendedTag) -> TagSet:
    stored = await archive.tags.read()
    return (await archive.tags.replace(stored, stored.tags.with_added(tags))).tags


async def postings(archive: Archive, name: str, value: str) -> list[tuple[str, str, str]]:
    found = archive.postings.read_term(DEFAULT_PARTITION, Term(name, value))
    return [(one.study.study_instance_uid, one.series_instance_uid, one.sop_instance_uid) async for one in found]


async def store_as(stores: StoreService, version: ApiVersion, *files: bytes) -> list[Outcome]:
    return await stores.store(
        events(files), answer_work(), partition=DEFAULT_PARTITION, study_instance_uid=None, api_version=version
    )


async def test_what_is_stored_is_indexed_at_the_level_of_each_tag(raw: RawArchive) -> None:
    await add_tags(raw.archive, AGE, PROTOCOL, THICKNESS)
    study, series, first, second = (new_uid() for _ in range(4))
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "PatientAge": "045Y", "ProtocolName": "Head"}
    files = [
        part10(dataset(**uids, SOPInstanceUID=first, SliceThickness="1.50")),
        part10(dataset(**uids, SOPInstanceUID=second, SliceThickness="2")),
    ]
    await store(raw.stores, *files)
    assert await postings(raw.archive, "~AS1", "045y") == [(study, "", "")]
    assert await postings(raw.archive, "~LO2", "head") == [(study, "", "")]
    assert await postings(raw.archive, "~DS3", "1.5") == [(study, series, first)]
    assert await postings(raw.archive, "~DS3", "2") == [(study, series, second)]
    assert await check_study(raw.archive, raw.container, study) == 2
    assert await requests_in_journal(raw.archive) == 0
    await delete(raw.archive, ResourceIdentifiers(study_key(study), series, first))
    assert await postings(raw.archive, "~DS3", "1.5") == []
    assert await check_study(raw.archive, raw.container, study) == 1
    await delete(raw.archive, resource_of(study))
    assert await raw.left_of(study) == []
    assert await requests_in_journal(raw.archive) == 0
    assert await raw.kinds() == []


async def test_the_latest_instance_that_has_a_value_gives_it_to_study_and_series(raw: RawArchive) -> None:
    await add_tags(raw.archive, AGE, PROTOCOL)
    uids = {"StudyInstanceUID": (study := new_uid()), "SeriesInstanceUID": new_uid()}
    for values in ({"PatientAge": "045Y", "ProtocolName": "Head"}, {"PatientAge": "046Y"}, {}):
        await store(raw.stores, part10(dataset(**uids, **values)))
    assert await postings(raw.archive, "~AS1", "045y") == []
    assert await postings(raw.archive, "~AS1", "046y") == [(study, "", "")]
    assert await postings(raw.archive, "~LO2", "head") == [(study, "", "")]
    assert await raw.kinds() == []


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_values_that_are_not_valid(raw: RawArchive, version: ApiVersion) -> None:
    await add_tags(raw.archive, AGE, THICKNESS)
    uids = {"StudyInstanceUID": (study := new_uid())}
    image = dataset(**uids, SliceThickness="1")
    image.add_new(0x00101010, "AS", "old")
    (outcome,) = await store_as(raw.stores, version, part10(image))
    comment = (
        "DICOM100: (0010,1010) - the extended query tag 00101010 does not index it: "
        "It must be three digits and one of D, W, M, Y."
    )
    if version == "v1":
        assert isinstance(outcome, Failed)
        assert outcome.comments == (comment,)
        assert await raw.left_of(study) == []
    else:
        assert isinstance(outcome, Stored)
        assert outcome.warnings == (comment,)
        assert len(await postings(raw.archive, "~DS2", "1")) == 1
    assert await requests_in_journal(raw.archive) == 0
    assert await raw.kinds() == []


async def test_an_instance_that_was_there_leaves_no_posting_of_its_own_values(raw: RawArchive) -> None:
    await add_tags(raw.archive, THICKNESS)
    uids = {"StudyInstanceUID": new_uid(), "SeriesInstanceUID": new_uid(), "SOPInstanceUID": new_uid()}
    other = {**uids, "SOPInstanceUID": new_uid()}
    await store(raw.stores, part10(dataset(**uids, SliceThickness="1")))
    outcomes = await store(
        raw.stores, part10(dataset(**uids, SliceThickness="2")), part10(dataset(**other, SliceThickness="3"))
    )
    assert [type(outcome) for outcome in outcomes] == [Failed, Stored]
    assert [len(await postings(raw.archive, "~DS1", value)) for value in "123"] == [1, 0, 1]
    await store(raw.stores, part10(dataset(**uids, SliceThickness="4")))
    assert await postings(raw.archive, "~DS1", "4") == []
    assert await requests_in_journal(raw.archive) == 0
    assert await raw.kinds() == []


async def test_two_instances_may_have_a_value_and_many_have_many(raw: RawArchive) -> None:
    await add_tags(raw.archive, THICKNESS, COMMENT, CODE)
    uids = {"StudyInstanceUID": (study := new_uid()), "SeriesInstanceUID": new_uid()}
    files = [
        part10(dataset(**uids, SliceThickness="1", ImageComments=f"comment {number:03d} of many"))
        for number in range(130)
    ]
    await store(raw.stores, *files)
    assert len(await postings(raw.archive, "~DS1", "1")) == 130
    assert await check_study(raw.archive, raw.container, study) == 130
    await delete(raw.archive, resource_of(study))
    assert await raw.left_of(study) == []
    assert await raw.kinds() == []


@pytest.fixture
def slow_insert(raw: RawArchive, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """While a journal entry is inserted, the time passes for which a set may be used, and what the list has is done."""
    doing: list[Any] = []
    insert = raw.archive.journal.insert

    async def late(*arguments: Any, **options: Any) -> None:
        await insert(*arguments, **options)
        while doing:
            await doing.pop()()
            raw.archive.tags._known_since = float("-inf")

    monkeypatch.setattr(
        type(raw.archive.journal), "insert", lambda _, *arguments, **options: late(*arguments, **options)
    )
    yield doing
    assert doing == []


async def test_a_store_whose_entry_came_late_goes_by_the_new_tags(raw: RawArchive, slow_insert: list[Any]) -> None:
    async def add() -> None:
        await add_tags(raw.other, THICKNESS)

    assert await raw.archive.tags.recent() == NO_TAGS
    slow_insert.append(add)
    study = new_uid()
    await store(raw.stores, part10(dataset(StudyInstanceUID=study, SliceThickness="1")))
    assert len(await postings(raw.archive, "~DS1", "1")) == 1


async def test_the_journal_says_by_which_tags_a_store_goes(raw: RawArchive, slow_insert: list[Any]) -> None:
    seen = Counter[tuple[str, int]]()

    async def look() -> None:
        seen.update([(entry.transaction, entry.generation) async for entry in raw.archive.journal.read()])

    await add_tags(raw.archive, THICKNESS)
    slow_insert.append(look)
    await store(raw.stores, part10(dataset(SliceThickness="1")))
    assert seen == {("store", 1): 1}


async def operations_of_a_store(raw: RawArchive, study: str, count: int) -> int:
    storage = StorageUse()
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": new_uid(), "PatientAge": "045Y"}
    files = [part10(dataset(**uids, SliceThickness="1")) for _ in range(count)]
    await raw.archive.tags.recent()
    with storage.watching():
        await store(raw.stores, *files)
    return storage.operations.total()


async def test_what_tags_cost_a_store(raw: RawArchive) -> None:
    """Nothing where there are none; else a batch of postings each, and for instances two for their entry."""
    study = new_uid()
    usual = [await operations_of_a_store(raw, new_uid(), 1), await operations_of_a_store(raw, study, 1)]
    usual.append(await operations_of_a_store(raw, study, 1))
    await add_tags(raw.archive, AGE)
    assert await operations_of_a_store(raw, new_uid(), 1) == usual[0] + 1
    assert await operations_of_a_store(raw, study, 1) == usual[2] + 1
    assert await operations_of_a_store(raw, study, 1) == usual[2]
    await add_tags(raw.archive, THICKNESS)
    assert await operations_of_a_store(raw, study, 1) == usual[2] + 1 + 2


async def test_requests_at_once_share_a_read_of_the_set(raw: RawArchive) -> None:
    await add_tags(raw.archive, THICKNESS)
    raw.archive.tags._known_since = float("-inf")
    storage = StorageUse()
    with storage.watching():
        found = await asyncio.gather(*(raw.archive.tags.recent() for _ in range(20)))
    assert {one.generation for one in found} == {1}
    assert storage.operations.total() == 1


async def test_a_slow_read_of_an_earlier_set_is_not_gone_by(raw: RawArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry says by which set the store goes: nobody would wait for one that goes by an earlier one."""
    earlier = await raw.archive.tags.recent()
    await add_tags(raw.archive, THICKNESS)
    insert = Journal.insert

    async def slow(journal: Journal, entry: JournalEntry) -> None:
        raw.archive.tags._known = earlier
        await insert(journal, entry)

    monkeypatch.setattr(Journal, "insert", slow)
    await store(raw.stores, part10(dataset(SliceThickness="1")))
    assert len(await postings(raw.archive, "~DS1", "1")) == 1


async def test_nothing_is_left_of_values_for_a_study_that_goes_meanwhile(
    raw: RawArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of an instance that was there already, when there was the study."""
    await add_tags(raw.archive, THICKNESS)
    study = new_uid()
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": new_uid(), "SOPInstanceUID": new_uid()}
    await store(raw.stores, part10(dataset(**uids, SliceThickness="1")))
    has_gone: list[bool] = []

    async def gone_meanwhile(*arguments: Any) -> Any:
        found = await not_in_catalog(*arguments)
        if not has_gone:
            has_gone.append(True)
            await delete(raw.other, resource_of(study))
            await store(StoreService(raw.other, raw.settings), part10(dataset(StudyInstanceUID=study)))
        return found

    monkeypatch.setattr("shared.services.write.commit.not_in_catalog", gone_meanwhile)
    there = part10(dataset(**uids, SliceThickness="2"))
    new = part10(dataset(StudyInstanceUID=study, SliceThickness="3"))
    assert [type(one) for one in await store(raw.stores, there, new)] == [Failed, Stored]
    assert [len(await postings(raw.archive, "~DS1", value)) for value in "123"] == [0, 0, 1]
    assert await requests_in_journal(raw.archive) == 0
    assert await raw.kinds() == []

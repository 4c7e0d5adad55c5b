"""A page that is asked for after the one before goes on where that ended, whatever has changed since."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest

from shared.dicom.attributes import Level
from shared.dicom.identifiers import DEFAULT_PARTITION, ResourceIdentifiers
from shared.search.query import parse_search
from shared.services.search import page_ends
from shared.services.search.page_ends import PageEnds, Place, key_of_page
from shared.services.search.results import SearchResults
from shared.services.search.search import search
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.answers import answer_work
from tests.support.default_partition import resource_of
from tests.support.served_instances import dataset, new_uid, numbered_uids, part10
from tests.support.storage_operations import Counting
from tests.support.storage_policies import archive_through
from tests.support.stores import store


@dataclass
class Paged:
    """Studies of a patient of their own, the newest first, each of one series of as many instances."""

    archive: Archive
    stores: StoreService
    settings: Settings
    patient: str = field(default_factory=new_uid)
    ends: PageEnds = field(default_factory=PageEnds)
    studies: list[str] = field(default_factory=list)

    async def store(self, studies: int, instances: int = 1) -> None:
        for _ in range(studies):
            study = new_uid()
            await store(self.stores, *self.files(study, instances))
            self.studies.insert(0, study)

    def files(self, study: str, instances: int) -> list[bytes]:
        """A new series of a study."""
        uids = {"StudyInstanceUID": study, "SeriesInstanceUID": new_uid(), "PatientID": self.patient}
        return [part10(dataset(**uids, SOPInstanceUID=uid)) for uid in numbered_uids(instances)]

    async def page(
        self,
        offset: int,
        limit: int,
        level: Level = Level.STUDY,
        *,
        scope: ResourceIdentifiers | None = None,
        caller: str = "",
        query: str = "",
        archive: Archive | None = None,
    ) -> list[str]:
        """The paths of a page of results, each below `studies/`."""
        text = f"PatientID={self.patient}&offset={offset}&limit={limit}{query}"
        parsed, work = parse_search(text, level, self.settings, is_within_study=scope is not None), answer_work()
        work.caller = caller
        found = await search(
            archive or self.archive,
            DEFAULT_PARTITION,
            parsed,
            scope,
            "http://host/v2",
            self.settings,
            work,
            self.ends,
        )
        return paths(found)


def paths(found: SearchResults) -> list[str]:
    return [result.path.removeprefix("studies/") for result in found.results]


@pytest.fixture
def paged(archive: Archive, stores: StoreService, settings: Settings) -> Paged:
    return Paged(archive, stores, settings)


async def test_a_newer_study_makes_no_result_come_twice(paged: Paged) -> None:
    await paged.store(6)
    before = list(paged.studies)
    first = await paged.page(0, 2)
    await paged.store(1)
    assert first + await paged.page(2, 3) + await paged.page(5, 3) == before
    assert await paged.page(0, 2) == paged.studies[:2]


@pytest.mark.parametrize("deleted", [0, 1, 2])
async def test_a_deleted_study_leaves_no_other_out(paged: Paged, deleted: int) -> None:
    await paged.store(5)
    first = await paged.page(0, 2)
    await delete(paged.archive, resource_of(paged.studies[deleted]))
    stayed = [study for study in paged.studies[2:] if study != paged.studies[deleted]]
    assert first == paged.studies[:2]
    assert await paged.page(2, 5) == stayed


@pytest.mark.parametrize("is_within_study", [False, True])
@pytest.mark.parametrize("level", [Level.SERIES, Level.INSTANCE])
async def test_pages_within_a_study_leave_nothing_out(paged: Paged, level: Level, is_within_study: bool) -> None:
    await paged.store(1)
    study = paged.studies[0]
    for _ in range(3):
        await store(paged.stores, *paged.files(study, 3))
    await paged.store(2)
    scope = resource_of(study) if is_within_study else None
    everything = await paged.page(0, 100, level, scope=scope)
    found: list[str] = []
    deleted: set[str] = set()
    while page := await paged.page(len(found), 2, level, scope=scope):
        found += page
        # One before, the last one, and one after it go.
        for path in {found[0], found[-1], *everything[len(found) + 1 : len(found) + 2]}:
            if path not in deleted and len(deleted) < 5:
                deleted.add(path)
                await delete(paged.archive, resource_of(*path.split("/")[::2]))
        await paged.store(1)
    assert len(everything) > 3
    assert len(found) == len(set(found))
    assert found == [path for path in everything if path in found]
    assert set(everything) - set(found) <= deleted
    assert set(everything) & deleted


async def test_a_page_in_order_costs_as_much_as_the_first(
    paged: Paged, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await paged.store(9, instances=2)
    counting = Counting()
    async with archive_through(counting, monkeypatch, settings) as counted:
        for level in Level:
            costs = []
            for offset in range(0, 9, 3):
                counting.operations.clear()
                assert len(await paged.page(offset, 3, level, archive=counted)) == 3
                costs.append(counting.operations.total())
            # The study in which the page before has ended is looked at again, and so is its row of the list.
            assert max(costs) <= costs[0] + level, (level, costs)
        counting.operations.clear()
        await paged.page(6, 3, archive=counted, caller="another")
        assert counting.operations.total() > 7


async def test_a_page_within_a_large_series_reads_from_its_place(
    paged: Paged, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await paged.store(1, instances=30)
    scope, counting = resource_of(paged.studies[0]), Counting()
    everything = await paged.page(0, 100, Level.INSTANCE, scope=scope)
    async with archive_through(counting, monkeypatch, settings) as counted:
        found: list[str] = []
        for offset in range(0, 30, 5):
            counting.operations.clear()
            found += await paged.page(offset, 5, Level.INSTANCE, scope=scope, archive=counted)
            assert counting.operations == {"GET catalog": 2}
    assert (len(found), found) == (30, everything)


async def test_a_search_that_is_cut_within_a_study_shows_no_later_one(paged: Paged) -> None:
    await paged.store(1, instances=2)
    await paged.store(1, instances=7)
    everything = await paged.page(0, 100, Level.INSTANCE)
    named = everything[:3] + everything[7:]  # of the first study some, which are read singly; the other is read whole
    query = f"&SOPInstanceUID={','.join(path.rpartition('/')[2] for path in named)}"
    # 5 lists, 5 postings, and 1 instance of the 3; the page after it has room for one more.
    paged.settings = replace(paged.settings, max_searched_postings=11)
    found: list[str] = []
    while page := await paged.page(len(found), 10, Level.INSTANCE, query=query):
        found += page
    assert found == named


async def test_what_is_not_the_next_page_of_the_same_is_counted(paged: Paged, monkeypatch: pytest.MonkeyPatch) -> None:
    await paged.store(6)
    await paged.page(0, 2)
    await paged.store(1)
    counted, gone_on = paged.studies[2:3], paged.studies[3:4]
    assert await paged.page(2, 1) == gone_on
    assert await paged.page(2, 1, query="&includefield=StudyID") == gone_on
    assert await paged.page(2, 1, caller="another") == counted
    assert await paged.page(2, 1, query="&StudyDate=19000101-") == counted
    assert await paged.page(2, 1, query="&fuzzymatching=true") == gone_on  # of what has no words to be matched
    assert await paged.page(4, 1) == paged.studies[4:5]
    monkeypatch.setattr(page_ends, "_SECONDS", -1)
    assert await paged.page(2, 1) == counted


async def test_of_two_who_page_through_the_same_each_has_a_place_of_its_own(paged: Paged) -> None:
    await paged.store(6)
    before = list(paged.studies)
    first = await paged.page(0, 2, caller="one")
    await paged.store(1)
    other = await paged.page(0, 2, caller="other")
    assert first + await paged.page(2, 10, caller="one") == before
    assert other + await paged.page(2, 10, caller="other") == paged.studies


async def test_the_latest_places_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_ends, "_MOST", 3)
    ends = PageEnds()
    for number in range(3):
        ends.note(bytes([number]), Place(str(number)))
    ends.note(b"\0", Place("again"))
    ends.note(b"\3", Place("3"))
    assert [ends.get(bytes([number])) for number in range(4)] == [Place("again"), None, Place("2"), Place("3")]


def test_no_place_is_held_for_longer_than_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    ends = PageEnds()
    ends.note(b"1", Place("1.2.3"))
    now += 40
    ends.note(b"2", Place("4.5.6"))
    now += 40
    assert ends.get(b"2") == Place("4.5.6")
    assert "1.2.3" not in repr(vars(ends))
    now += 40
    ends.note(b"3", Place("7.8.9"))
    assert "4.5.6" not in repr(vars(ends))


def keys_of(queries: Iterable[str]) -> list[bytes]:
    parsed = [parse_search(query, Level.SERIES, Settings()) for query in queries]
    return [key_of_page(DEFAULT_PARTITION, None, one, 0, "") for one in parsed]


def test_the_same_query_has_the_same_key_however_it_is_written() -> None:
    same = keys_of(
        [
            "PatientName=Doe&Modality=CT,MR&limit=5",
            "00080060=CT,MR&PatientName=DOE&offset=7",
            "00100010=doe&Modality=CT&Modality=MR&includefield=all",
        ]
    )
    assert len(set(same)) == 1
    others = keys_of(
        [
            "PatientName=Doe&Modality=CT",
            "PatientName=Doe*&Modality=CT,MR",
            "PatientName=Doe&ModalitiesInStudy=CT,MR",
            "PatientName=Doe&Modality=CT,MR&fuzzymatching=true",
            "ReferringPhysicianName=Doe&Modality=CT,MR",
            "StudyDate=20260101-&StudyTime=10-",
            "StudyDate=20260101-&StudyTime=11-",
            "StudyDate=20260101",
        ]
    )
    assert len({*same, *others}) == 1 + len(others)
    assert not any(b"doe" in key.lower() for key in same)
    query = parse_search("", Level.STUDY, Settings())
    scope = resource_of("1.2")
    asked = [("a", None, 0, ""), ("b", None, 0, ""), ("a", scope, 0, ""), ("a", None, 5, ""), ("a", None, 0, "x")]
    found = {key_of_page(partition, scope, query, offset, caller) for partition, scope, offset, caller in asked}
    assert len(found) == len(asked)

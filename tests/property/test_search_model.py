"""Any search of a random archive finds what looking at everything finds, in the same order."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
import pytest_asyncio

from local import azurite as local_azurite
from local.ports import free_ports
from shared.archive.extended_tags import ExtendedTag, QueryStatus, TagStatus
from shared.archive.terms import Term
from shared.dicom.attributes import Level, MatchingKey
from shared.dicom.identifiers import DEFAULT_PARTITION
from shared.search.query import parse_search
from shared.services.repair.leftovers import last_alive_at
from shared.services.search import candidates, effort, proposals
from shared.services.search import search as search_service
from shared.services.search.page_ends import PageEnds
from shared.services.search.results import SearchResults
from shared.services.search.search import search
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage import posting_lists
from shared.storage.archive import Archive
from shared.storage.journal import JournalEntry
from shared.web.store_response import Stored
from tests.property.search_archive import KEYS, OTHER_KEYS, Part, Studies
from tests.property.search_model import ArchiveModel, Query, Tag, Uids
from tests.property.search_queries import Queries, path_of, query_string
from tests.support.answers import answer_work
from tests.support.default_partition import resource_of, study_key
from tests.support.stored_instances import data_sets, studies_posted
from tests.support.stores import store

pytestmark = pytest.mark.property

SEED = 20260101
STUDIES = 120
TAGS = 16
TAGGABLE = [key for key in OTHER_KEYS if key.vr != "LT"]
QUERIES = [500, pytest.param(2000, marks=pytest.mark.long)]
CHANGES = 25
SIDE_BY_SIDE = 8
UID_TAGS = ("0020000D", "0020000E", "00080018")


@dataclass
class Searched:
    """A separate archive, and its model."""

    archive: Archive
    settings: Settings
    stores: StoreService
    model: ArchiveModel
    studies: Studies

    async def store(self, parts: list[Part]) -> None:
        for part in parts:  # together, any might be the latest
            outcomes = await store(self.stores, part.file)
            assert [type(outcome) for outcome in outcomes] == [Stored], outcomes
        found = await self.archive.catalog.read_study(study_key(parts[0].study))
        assert found is not None
        self.model.store(parts, found.record.created)

    async def add_tags(self, random: Random, count: int) -> None:
        """Add tags, each of a key that has none, as many as there are: of what is stored from now on, at any level."""
        keys = [key for key in TAGGABLE if key not in [tag.key for tag in self.model.tags]]
        before, count = await self.archive.tags.read(), min(count, len(keys))
        tags = before.tags.with_added(
            ExtendedTag(0, key.path, key.vr, creator_of(key), random.choice(list(Level)), TagStatus.READY)
            for key in random.sample(keys, count)
        )
        await self.archive.tags.replace(before, tags)
        for tag in tags.tags[len(before.tags.tags) :]:
            key = next(key for key in keys if key.path == tag.path)
            self.model.tags.append(Tag(tag.name, key, tag.level))

    async def change_a_tag(self, random: Random) -> None:
        """Remove a tag, or disable or enable it."""
        at = random.randrange(len(self.model.tags))
        before, tag = await self.archive.tags.read(), self.model.tags[at]
        stored = next(one for one in before.tags.tags if one.name == tag.name)
        if random.random() < 0.5:
            del self.model.tags[at]
            await self.archive.tags.replace(before, before.tags.without(stored.number, ""))
        else:
            self.model.tags[at] = replace(tag, is_usable=not tag.is_usable)
            status = QueryStatus.DISABLED if tag.is_usable else QueryStatus.ENABLED
            await self.archive.tags.replace(before, before.tags.with_changed(replace(stored, query_status=status)))

    async def search(self, query: Query, text: str, page_ends: PageEnds | None = None) -> SearchResults:
        scope = resource_of(*query.scope) if query.scope else None
        tags = await self.archive.tags.recent()
        parsed = parse_search(text, query.level, self.settings, is_within_study=scope is not None, tags=tags)
        return await search(
            self.archive, DEFAULT_PARTITION, parsed, scope, "http://host/v2", self.settings, answer_work(), page_ends
        )

    async def check(self, query: Query, random: Random) -> None:
        """Check that a page of a query's results is that page of what there is to find."""
        expected = self.model.matching(query)
        limit = random.choice((None, *(1, 2, 5, 10) * 5))
        offset = random.choice((*(0,) * 8, 1, 3, max(0, len(expected) - 2)))
        text = query_string(query, random, limit, offset)
        found = await self.search(query, text)
        page = expected[offset : offset + (limit or 100)]
        shown = f"seed {SEED}: {path_of(query)}?{text}"
        assert uids_of(found, query.level) == page, shown
        assert found.has_more is (offset + len(page) < len(expected)), shown
        assert not found.is_cut, shown
        asked = {key.path[0] for key, texts in query.keys.items() if all(re.fullmatch(r"\w+", one) for one in texts)}
        for result in data_sets(found):
            assert not [name for name in result if name.startswith("~")], shown
            if not query.has_empty:
                assert asked <= {*result}, shown


def creator_of(key: MatchingKey) -> str:
    return "TEST" if key.path[0].startswith("0009") else ""


def uids_of(found: SearchResults, level: Level) -> list[Uids]:
    return [tuple(result[tag]["Value"][0] for tag in UID_TAGS[:level]) for result in data_sets(found)]


@pytest_asyncio.fixture(scope="module")
async def searched() -> AsyncIterator[Searched]:
    with local_azurite.running(free_ports(3), None) as azurite:
        settings = Settings(storage_connection_string=azurite.connection_string, create_storage=True)
        archive = await Archive.open(settings)
        studies = Studies(Random(SEED))
        made = Searched(archive, settings, StoreService(archive, settings), ArchiveModel(), studies)
        await made.add_tags(Random(SEED), TAGS)

        async def store_study(requests: list[list[Part]]) -> None:
            for parts in requests:
                await made.store(parts)

        all_requests = [list(studies.study()) for _ in range(STUDIES)]
        for first in range(0, STUDIES, SIDE_BY_SIDE):
            await asyncio.gather(*map(store_study, all_requests[first : first + SIDE_BY_SIDE]))
        yield made
        await archive.close()


@pytest.fixture(params=["as it is", "with small pages"])
def pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The search as it is, and with lists and pages as long for this archive as they are for a large one."""
    found: str = request.param
    if found == "with small pages":
        monkeypatch.setattr(candidates, "_FEW", 3)
        monkeypatch.setattr(candidates, "PAGE_ROWS", 25)
        monkeypatch.setattr(posting_lists, "PAGE_ROWS", 25)
        monkeypatch.setattr(posting_lists, "_WORTH_READING", 5)
        monkeypatch.setattr(proposals.KeyWalk, "cost", 0)  # every key with lists is walked
        monkeypatch.setattr(effort, "_AHEAD", 8)
        monkeypatch.setattr(proposals, "_MOST_NAMED", 3)
        monkeypatch.setattr(search_service, "_ONE_BY_ONE", 1)
    return found


@pytest.mark.parametrize("count", QUERIES)
async def test_a_search_finds_what_there_is(searched: Searched, pages: str, count: int) -> None:
    random = Random(f"{SEED} {pages}")
    queries = Queries(random, searched.model)
    for _ in range(count // 2 // SIDE_BY_SIDE):
        await asyncio.gather(*(searched.check(queries.query(), random) for _ in range(SIDE_BY_SIDE)))


async def test_pages_add_up_to_the_whole(searched: Searched, pages: str) -> None:
    random = Random(f"{SEED} {pages}")
    for level in Level:
        query = Query(level, (), {KEYS[("00080060",)]: ["CT,MR"]} if level > Level.STUDY else {})
        found: list[Uids] = []
        has_more = True
        while has_more:
            page = await searched.search(query, query_string(query, random, 23, len(found)))
            found += uids_of(page, level)
            has_more = page.has_more
        assert found == searched.model.matching(query)


async def test_no_answer_is_stale_while_the_archive_changes(searched: Searched) -> None:
    random = Random(SEED)
    for _ in range(CHANGES):
        await searched.change_a_tag(random)
        await searched.add_tags(random, 1)
        study = random.choice(list(searched.model.studies))
        before = Queries(random, searched.model)
        asked = before.query(study)
        text = query_string(asked, random, 200)
        expected = [searched.model.matching(asked)[:200]]
        _, found = await asyncio.gather(change(searched, study, random), searched.search(asked, text))
        expected.append(searched.model.matching(asked)[:200])
        # An answer about instances combines several rows, which change one after another.
        if asked.level is not Level.INSTANCE:
            assert uids_of(found, asked.level) in expected, f"seed {SEED}: {path_of(asked)}?{text}"
        queries = [asked, before.query(study)]
        if study in searched.model.studies:
            queries += [Queries(random, searched.model).query(study) for _ in range(2)]
        await asyncio.gather(*(searched.check(query, random) for query in queries))


async def test_pages_asked_in_order_show_what_stays_and_nothing_twice(searched: Searched, pages: str) -> None:
    random = Random(f"{SEED} {pages}")
    asked = 0
    while asked < CHANGES:
        query = Queries(random, searched.model).query()
        stays = searched.model.matching(query)
        if len(stays) < 4:
            continue
        text, ends, found = query_string(query, random), PageEnds(), list[Uids]()
        has_more = True
        while has_more:
            limit = random.randint(1, max(2, len(stays) // 3))
            page = await searched.search(query, f"{text}&offset={len(found)}&limit={limit}", ends)
            found += uids_of(page, query.level)
            has_more = page.has_more
            if has_more and random.random() < 0.5:
                asked += 1
                at = random.choice((found[-1], random.choice(stays)))[0]
                if at in searched.model.studies:
                    await change(searched, at, random)
                there = searched.model.matching(query)
                stays = [uids for uids in stays if uids in there]
        shown = f"seed {SEED}: {path_of(query)}?{text}"
        assert len(found) == len(set(found)), shown
        assert [uids for uids in found if uids in stays] == stays, shown


async def change(searched: Searched, study: str, random: Random) -> None:
    """Store into a study, store another, or delete all or some of it."""
    all_series = searched.model.studies[study].series
    match random.randrange(6):
        case 0 | 1:
            await searched.store(searched.studies.request(study, [*all_series, searched.studies.uid()]))
        case 2:
            await searched.store(searched.studies.request(searched.studies.uid(), [searched.studies.uid()]))
        case chosen:
            uids = [study]
            if chosen > 3:
                uids.append(random.choice(list(all_series)))
            if chosen > 4:
                uids.append(random.choice(list(all_series[uids[1]].instances)))
            await delete(searched.archive, resource_of(*uids))
            searched.model.delete(*uids)


STALE = [
    (("00100020",), "No Such Patient", Term("PatientID", "no such patient")),
    (("00100010",), "No^Such", Term("PatientName", "no^such")),
    (("00080020",), "17990101-17990131", Term("StudyDate", "17990102")),
    (("00080050",), "NoSuch*", Term("AccessionNumber", "nosuch accession")),
    (("00080061",), "XA", Term("Modality", "xa")),
    (("0020000E",), "1.2.77777", Term("SeriesInstanceUID", "1.2.77777")),
    (("00080018",), "1.2.77778", Term("SOPInstanceUID", "1.2.77778", "1.2.77777")),
    (("00400275", "00400009"), "nosuch?", Term("RequestAttributesSequence.ScheduledProcedureStepID", "nosuch1")),
]


@pytest.mark.parametrize(("path", "text", "term"), STALE, ids=[term.keyword for *_, term in STALE])
async def test_a_stale_posting_changes_no_answer_and_is_removed_by_the_search_that_meets_it(
    searched: Searched, path: tuple[str, ...], text: str, term: Term
) -> None:
    terms, created = searched.archive.postings, {uid: study.created for uid, study in searched.model.studies.items()}
    uid = min(created)
    query = Query(KEYS[path].level, (), {KEYS[path]: [text]})
    places = [(uid, created[uid] - timedelta(days=1)), ("1.2.88888", created[uid])]
    if not term.series_instance_uid:  # a study's row does not say whether an instance is there: maintenance looks
        places.append((uid, created[uid]))
    for study, time in places:
        await terms.add(study_key(study), time, [term])
        assert await studies_posted(searched.archive, term) == [study]
        assert not (await searched.search(query, query_string(query, Random(SEED)))).results
        assert await studies_posted(searched.archive, term) == []


async def test_a_posting_that_a_request_may_be_about_to_need_stays(searched: Searched) -> None:
    uid, study = min(searched.model.studies.items())
    path, text, term = STALE[0]
    query = Query(Level.STUDY, (), {KEYS[path]: [text]})
    await searched.archive.postings.add(study_key(uid), study.created, [term])
    now = datetime.now(UTC)
    dead = last_alive_at(searched.settings, now) - timedelta(seconds=1)
    for started, is_over, posted in ((now, False, [uid]), (now, True, []), (dead, False, [])):
        entry = JournalEntry("0" * 32, "store", started, f"studies/{uid}", is_over=is_over)
        await searched.archive.postings.add(study_key(uid), study.created, [term])
        await searched.archive.journal.insert(entry)
        assert not (await searched.search(query, query_string(query, Random(SEED)))).results
        assert await studies_posted(searched.archive, term) == posted
        await searched.archive.journal.mark_done(entry)

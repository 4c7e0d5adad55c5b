"""Keys walked in step propose what all of them have, in order and once, however their lists are cut into pages."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from azure.data.tables.aio import TableClient
from hypothesis import given
from hypothesis import strategies as st

from shared.archive.terms import Term
from shared.dicom.identifiers import DEFAULT_PARTITION, StudyKey
from shared.services import turns
from shared.services.search import proposals
from shared.services.search.effort import Effort
from shared.services.search.proposals import KeyWalk, Proposal
from shared.settings import Settings
from shared.storage import posting_lists
from shared.storage.posting_keys import Posting, order_of, rows_of
from shared.storage.posting_lists import PostingLists
from shared.storage.postings import Postings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARTITION = DEFAULT_PARTITION
KEYWORDS = ("StudyID", "StudyDescription", "~LO1", "~LO2")
"""Two of studies, and two tags of instances."""


@dataclass
class SortedRows:
    """Stands in for a table of postings: row keys, and each query as how many rows it returned."""

    rows: list[tuple[str, str]]
    sent: list[int] = field(default_factory=list)

    def query_entities(self, _: str, *, parameters: Mapping[str, str], results_per_page: int, **__: Any) -> "Pages":
        partition, first, end = (parameters[name] for name in ("partition", "first", "end"))
        found = [row for row in self.rows if row[0] == partition and first <= row[1] < end]
        return Pages(self, found, results_per_page)


@dataclass
class Pages:
    """The answer to a query: its rows, a page at a time."""

    table: SortedRows
    found: list[tuple[str, str]]
    size: int
    continuation_token: str | None = None

    def by_page(self) -> "Pages":
        return self

    async def __aiter__(self) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
        for start in range(0, len(self.found), self.size):
            page = self.found[start : start + self.size]
            self.continuation_token = "more" if start + self.size < len(self.found) else None
            self.table.sent.append(len(page))
            yield entities(page)


async def entities(rows: Iterable[tuple[str, str]]) -> AsyncIterator[dict[str, str]]:
    for partition, row in rows:
        yield {"PartitionKey": partition, "RowKey": row}


@dataclass(frozen=True)
class Study:
    """A study, with the values that it has of each keyword; of a tag of instances, by the instances' UIDs."""

    uid: str
    created: datetime
    values: Mapping[str, frozenset[tuple[str, str]]]

    def matching(self, keyword: str, accepts: Callable[[str], bool]) -> set[str]:
        """The instances with a value that is accepted; of a keyword of studies, one without a UID."""
        return {instance for value, instance in self.values[keyword] if accepts(value)}


@st.composite
def archives(draw: st.DrawFn) -> list[Study]:
    """Studies of few times, so that some have the same, and of UIDs that begin with another's."""
    ages = st.sampled_from([0, 1, 2, 3, 5, 8, 13, 21, 200, 201, 4000])
    texts = st.sampled_from(["ab", "ax", "bb", "bx", "cx"])
    studies = draw(st.dictionaries(st.tuples(ages, st.sampled_from(["1.2", "1.2.3", "1.20", "1.3"])), st.none()))
    made = []
    for age, uid in studies:
        values = {}
        for keyword in KEYWORDS:
            instances = st.sampled_from(["9.1", "9.2", "9.3"]) if keyword.startswith("~") else st.just("")
            values[keyword] = draw(st.frozensets(st.tuples(texts, instances), max_size=3))
        made.append(Study(uid, NOW - timedelta(seconds=age), values))
    return made


def table_of(studies: Iterable[Study]) -> SortedRows:
    rows = []
    for study in studies:
        for keyword, values in study.values.items():
            for value, instance in values:
                term = Term(keyword, value, "5.5" if instance else "", instance)
                partition, keys = rows_of(study.created, StudyKey(PARTITION, study.uid), term)
                rows += [(partition, key) for key in keys]
    return SortedRows(sorted(set(rows)))


def is_of_b(value: str) -> bool:
    return value.startswith("b")


def is_of_x(value: str) -> bool:
    return value.endswith("x")


ASKED: Mapping[str, tuple[tuple[str, ...], Callable[[str], bool]]] = {
    "lists of two beginnings": (("^a", "^b"), lambda value: value[0] in "ab"),
    "a list, of which some": (("^",), is_of_x),
    "a list of a beginning": (("^b",), is_of_b),
    "a whole value": (("=bx",), lambda value: value == "bx"),
}


def walk_of(table: SortedRows, keyword: str, asked: str, page_rows: int, effort: Effort) -> KeyWalk:
    lists, accepts = ASKED[asked]

    async def begin() -> PostingLists:
        return Postings(cast(TableClient, table)).lists(PARTITION, keyword, lists, page_rows=page_rows)

    def accepted(posting: Posting) -> bool:
        return accepts(posting.value or "")

    return KeyWalk(None, begin, len(lists), accepted, effort)


async def walked(
    studies: list[Study], keys: Mapping[str, str], *, page_rows: int = 2, misses: int = 10**6, first: str = ""
) -> tuple[list[Proposal], SortedRows]:
    """What the keys propose, each asked for in a way of ASKED; with so many `misses`, all are walked from the start."""
    table, effort = table_of(studies), Effort.of(Settings(), 1)
    effort.misses = misses
    walks = [walk_of(table, keyword, asked, page_rows, effort) for keyword, asked in keys.items()]
    return [one async for one in proposals.proposals(walks[0], walks[1:], effort, first)], table


def expected(studies: list[Study], keys: Mapping[str, str]) -> list[tuple[str, set[str]]]:
    """The orders of the studies that every key proposes, each with the instances that all of them name."""
    found = {}
    for study in studies:
        named = {keyword: study.matching(keyword, ASKED[asked][1]) for keyword, asked in keys.items()}
        of_instances = [uids for keyword, uids in named.items() if keyword.startswith("~")]
        instances = set.intersection(*of_instances) if of_instances else set()
        if all(named.values()) and (instances or not of_instances):
            found[order_of(study.created, StudyKey(PARTITION, study.uid))] = instances
    return sorted(found.items())


def shown(found: Iterable[Proposal]) -> list[tuple[str, set[str]]]:
    return [(one.postings[0].order, set().union(*(one.instances or {}).values())) for one in found]


@st.composite
def keys_asked(draw: st.DrawFn) -> dict[str, str]:
    """One way of ASKED for each of some keywords."""
    keywords = draw(st.lists(st.sampled_from(KEYWORDS), min_size=1, unique=True))
    return {keyword: draw(st.sampled_from(list(ASKED))) for keyword in keywords}


@pytest.fixture(autouse=True, scope="module")
def short_pages() -> Iterator[None]:
    """Pages as short for these archives as they are for large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posting_lists, "PAGE_ROWS", 5)
        patch.setattr(posting_lists, "_WORTH_READING", 2)
        yield


@given(archives(), keys_asked(), st.integers(1, 4))
async def test_studies_that_each_key_proposes_come_in_order_and_once(
    studies: list[Study], keys: dict[str, str], page_rows: int
) -> None:
    found, _ = await walked(studies, keys, page_rows=page_rows)
    assert shown(found) == expected(studies, keys)
    assert all([posting.keyword for posting in one.postings] == list(keys) for one in found)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("page_rows", [1, 2, 3])
async def test_studies_of_one_time_are_told_apart_where_a_uid_begins_with_another(asked: str, page_rows: int) -> None:
    values = dict.fromkeys(KEYWORDS, frozenset({("bx", "")})) | dict.fromkeys(KEYWORDS[2:], frozenset({("bx", "9.1")}))
    studies = [Study(uid, NOW, values) for uid in ("1.2", "1.2.3", "1.20", "1.2.3.4")]
    keys = {"StudyID": asked, "StudyDescription": "a whole value", "~LO1": asked}
    found, _ = await walked(studies, keys, page_rows=page_rows)
    assert shown(found) == expected(studies, keys)
    assert len(found) == 4


@given(archives(), keys_asked(), st.integers(0, 6))
async def test_keys_that_are_not_walked_all_the_way_hide_no_study(
    studies: list[Study], keys: dict[str, str], misses: int
) -> None:
    found, _ = await walked(studies, keys, misses=misses)
    orders = [order for order, _ in shown(found)]
    of_first = [order for order, _ in expected(studies, dict([next(iter(keys.items()))]))]
    assert orders == [order for order in of_first if order in orders]
    assert {order for order, _ in expected(studies, keys)} <= set(orders)


@given(archives(), keys_asked(), st.integers(0, 30))
async def test_a_walk_may_begin_at_any_study(studies: list[Study], keys: dict[str, str], place: int) -> None:
    whole = expected(studies, keys)
    orders = sorted(order_of(study.created, StudyKey(PARTITION, study.uid)) for study in studies)
    first = orders[place % len(orders)] if orders else ""
    for begin in (first, f"{first}!"):
        found, _ = await walked(studies, keys, first=begin)
        assert shown(found) == [one for one in whole if one[0] >= begin]


@given(archives(), keys_asked())
async def test_a_study_of_which_too_many_instances_are_named_is_proposed_without_the_rest(
    studies: list[Study], keys: dict[str, str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proposals, "_MOST_NAMED", 2)
        found, _ = await walked(studies, keys)
    instances = {one.postings[0].order: one.instances for one in found}
    for order, named in expected(studies, keys):
        known = instances[order]
        assert known is None or named <= set().union(*known.values())


@given(archives(), keys_asked(), st.integers(0, 20))
async def test_no_more_postings_are_looked_through_than_the_effort_allows(
    studies: list[Study], keys: dict[str, str], most: int
) -> None:
    table, effort = table_of(studies), Effort(max_postings=most, max_studies=10**6, misses=10**6)
    walks = [walk_of(table, keyword, asked, 1, effort) for keyword, asked in keys.items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posting_lists, "PAGE_ROWS", 1)
        found = [one async for one in proposals.proposals(walks[0], walks[1:], effort)]
    whole = [order for order, _ in expected(studies, keys)]
    assert [one.postings[0].order for one in found] == whole[: len(found)]
    assert len(found) == len(whole) or effort.is_cut
    lists = sum(len(ASKED[asked][0]) for asked in keys.values())
    assert sum(table.sent) <= most + 2 * lists  # the next of each list is there when the search is cut


def spread(count: int, every: int, keyword: str, other: str) -> list[Study]:
    """Studies a second apart: all have a value of one keyword, and each so many one of another."""
    value = frozenset({("bx", "")})
    nothing: Mapping[str, frozenset[tuple[str, str]]] = dict.fromkeys(KEYWORDS, frozenset())
    return [
        Study(
            f"1.{number}",
            NOW - timedelta(seconds=number),
            {**nothing, keyword: value, **({other: value} if number % every == every - 1 else {})},
        )
        for number in range(count)
    ]


KEYS: Mapping[str, str] = {"StudyID": "a whole value", "StudyDescription": "a whole value"}


async def test_what_lies_between_is_not_read() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posting_lists, "PAGE_ROWS", 1000)
        patch.setattr(posting_lists, "_WORTH_READING", 500)
        found, table = await walked(spread(6000, 1000, "StudyID", "StudyDescription"), KEYS, page_rows=10)
        assert len(found) == 6
        assert len(table.sent) <= 8
        assert sum(table.sent) <= 6 * 10 + 10 + 6
        # Where only a few lie between, longer pages take fewer operations.
        found, table = await walked(spread(6000, 10, "StudyID", "StudyDescription"), KEYS, page_rows=10)
        assert len(found) == 600
        assert len(table.sent) <= 25


async def test_a_key_is_only_walked_for_as_much_as_that_saves() -> None:
    every_second = spread(40, 2, "StudyID", "StudyDescription")
    found, table = await walked(every_second, KEYS, page_rows=1000, misses=0)
    assert (len(found), table.sent) == (40, [40])
    found, table = await walked(every_second, KEYS, page_rows=1000, misses=1)
    assert (len(found), table.sent) == (20, [40, 20])


async def test_others_have_their_turns_while_postings_are_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_TURN_SECONDS", 0)
    table = table_of(spread(100, 1000, "StudyID", "StudyDescription"))
    walk = walk_of(table, "StudyID", "lists of two beginnings", 1000, Effort.of(Settings(), 1))
    others = 0

    async def work() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(work())
    monkeypatch.setattr(walk, "_accepts", lambda _: False)
    assert await walk.seek("") is None
    other.cancel()
    assert others > 50

"""Which studies a search has to look at: those that its keys propose, newest first.

A key that singles out studies (an identifier) is followed at once. Otherwise a few postings of each key are read: where
a key has no more, only its studies can match. Failing that, the key that is the most selective by nature is followed
down its lists, page by page, only as far as the answer needs, and the others' lists are walked in step with it.
"""

import logging
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from shared.archive.study import StudyRecord
from shared.archive.terms import TAG_MARK, is_of_tag
from shared.dicom.attributes import KEY_BY_PATH, SEARCHABLE, TAG, Level
from shared.dicom.identifiers import ResourceIdentifiers, StudyKey
from shared.search.lookups import EVERY_STUDY_LOOKUP, Lookup, lookup_of
from shared.search.matching import AnyOf
from shared.search.query import SearchQuery
from shared.services.prefetch import fetch_ahead
from shared.services.search.effort import Effort
from shared.services.search.proposals import InstanceUids, KeyWalk, Proposal, proposals
from shared.storage.archive import Archive
from shared.storage.parallel import in_parallel
from shared.storage.posting_keys import Posting, order_of
from shared.storage.posting_lists import PostingLists
from shared.storage.properties import PAGE_ROWS

_FEW: Final = 100

_STUDY_UID: Final = KEY_BY_PATH[(TAG["StudyInstanceUID"],)]
INSTANCE_UID: Final = KEY_BY_PATH[(TAG["SOPInstanceUID"],)]

# The keywords whose postings are followed in preference, most selective first. The first ones single out studies. Tags,
# of which nothing is known, come between the others.
_SINGLING_OUT: Final = (
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "AccessionNumber",
    "RequestAttributesSequence.RequestedProcedureID",
    "RequestAttributesSequence.ScheduledProcedureStepID",
    "PatientID",
)
_SELECTIVE: Final = (
    *_SINGLING_OUT,
    "PatientName",
    "PatientBirthDate",
    "StudyDate",
    "PerformedProcedureStepStartDate",
)
_BY_SELECTIVITY: Final = dict.fromkeys((*_SELECTIVE, TAG_MARK, *sorted(key.keyword for key in SEARCHABLE)))
_RANK: Final = {keyword: rank for rank, keyword in enumerate(_BY_SELECTIVITY)}

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A study that may match, and the postings that proposed it.

    `instances` are those of its instances that may match; None where any may.
    """

    study: StudyRecord
    postings: tuple[Posting, ...] = ()
    instances: InstanceUids | None = None


async def candidates(
    archive: Archive,
    partition: str,
    query: SearchQuery,
    scope: ResourceIdentifiers | None,
    effort: Effort,
    first: str = "",
) -> AsyncGenerator[Candidate, None]:
    """Studies of a data partition that may match, newest first, each once; fewer than all when the effort is cut.

    Those before `first`, an `order`, are left out.
    """
    asked = query.keys.get(_STUDY_UID)
    named = {scope.study} if scope else None
    if named is None and isinstance(asked, AnyOf):
        named = {StudyKey(partition, uid) for uid in asked.forms}
    is_of_instances = query.level is Level.INSTANCE and INSTANCE_UID in query.keys
    if named is not None and not is_of_instances:
        outlines = await in_parallel(archive.catalog.read_outline(study_key) for study_key in named)
        by_order = {order_of(study.created, study.key): study for study in outlines if study is not None}
        for order in sorted(by_order):
            if order >= first:
                yield Candidate(by_order[order])
        return

    async def read(proposal: Proposal) -> tuple[Proposal, Candidate | None]:
        study = await archive.catalog.read_outline(proposal.study)
        # One with another time is left by a dead request: the study has its own, and must be found once.
        if study is None or proposal.postings[0].created != study.created:
            for posting in proposal.postings:
                effort.note_stale(posting, None)
            effort.misses += 1
            return proposal, None
        return proposal, Candidate(study, proposal.postings, proposal.instances)

    if first:  # a list's first row is that of the study in which the page before has ended
        query = replace(query, limit=query.limit + 1)
    followed, others = await _walks(archive, partition, query, named, effort)
    async with aclosing(fetch_ahead(proposals(followed, others, effort, first), read, effort.ahead)) as studies:
        async for proposal, candidate in studies:
            effort.named -= proposal.count
            if candidate is not None:
                yield candidate


async def _walks(
    archive: Archive, partition: str, query: SearchQuery, named: Collection[StudyKey] | None, effort: Effort
) -> tuple[KeyWalk, list[KeyWalk]]:
    """The walk of the key that is followed, and those of the keys that are walked in step with it."""

    def walk(lookup: Lookup, begun: PostingLists | None = None) -> KeyWalk:
        near, later = lookup.divided(_next_decade())

        async def begin() -> PostingLists:
            return await _lists(archive, partition, query, lookup)

        def accepts(posting: Posting) -> bool:
            is_named = named is None or posting.study in named
            return is_named and (posting.value is None or lookup.accepts(posting.value))

        return KeyWalk(begun, begin, len(near.lists) + (later is not None), accepts, effort)

    lookups = [lookup for key, matcher in query.keys.items() if (lookup := lookup_of(key, matcher)) is not None]
    lookups.sort(key=lambda lookup: (lookup.is_of_everything, _rank(lookup)))
    followed, *others = lookups or [EVERY_STUDY_LOOKUP]
    if followed.is_exact and (not others or followed.keyword in _SINGLING_OUT):
        return walk(followed), []
    begun = await in_parallel(_begun(archive, partition, lookup) for lookup in lookups)
    walks = [(lookup, one) for lookup, one in zip(lookups, begun, strict=True) if not lookup.is_of_everything]
    few = [(one.left, walk(lookup, one)) for lookup, one in walks if one is not None and one.has_all]
    few = sorted((one for one in few if one[0] <= _FEW), key=lambda one: one[0])
    if few:
        _logger.debug("Searching by all of %d postings.", few[0][0])
    else:
        _logger.debug("Searching by %d lists of %s.", len(followed.lists), followed.keyword)
    first, *in_step = [one for _, one in few] or [walk(*one) for one in walks or [(followed, None)]]
    return first, in_step


def _rank(lookup: Lookup) -> int:
    return _RANK[TAG_MARK if is_of_tag(lookup.keyword) else lookup.keyword]


def _next_decade() -> int:
    """The year with which the first decade begins that is not over by the end of next year, and has not begun."""
    return (datetime.now(UTC).year + 1) // 10 * 10 + 10


async def _begun(archive: Archive, partition: str, lookup: Lookup) -> PostingLists | None:
    """The postings of a key, all of them read if they are few; None where only their number has been looked at."""
    if lookup.is_of_everything:
        return None
    if lookup.spans:
        found = await archive.postings.read_spans(partition, lookup.keyword, lookup.spans, _FEW)
        return None if found is None else PostingLists([], found)
    lists = archive.postings.lists(partition, lookup.keyword, lookup.lists, page_rows=_FEW + 1)
    await lists.first()
    return lists


async def _lists(archive: Archive, partition: str, query: SearchQuery, lookup: Lookup) -> PostingLists:
    """The lists of a key. Of dates to come those are only asked where there are more than a few: 1 operation."""
    found: Sequence[Posting] | None = ()
    near, later = lookup.divided(_next_decade())
    if later is not None:
        found = await archive.postings.read_spans(partition, lookup.keyword, later.spans, _FEW)
    asked = lookup if found is None else near
    page_rows = _page_rows(query, asked)
    return archive.postings.lists(partition, lookup.keyword, asked.lists, page_rows=page_rows, found=found or ())


def _page_rows(query: SearchQuery, lookup: Lookup) -> int:
    """How many rows of each list to read at first: together about twice as many as the answer needs."""
    if lookup.is_of_everything or (lookup.is_of_instances and len(query.keys) > 1):
        return PAGE_ROWS  # of a study that does not match all are passed
    wanted = query.offset + query.limit + 2  # one more than a page, and the one after it, which ends its proposal
    if len(lookup.lists) > 1:
        wanted = max(_FEW // 4, 2 * wanted // len(lookup.lists), 1)
    if lookup.is_of_instances:
        wanted = max(wanted, _FEW)  # all that a study has are read before it is
    return min(wanted, PAGE_ROWS)

"""Which studies a search has to look at: those that the most selective of its keys proposes, newest first.

A key that singles out studies (an identifier) is followed at once. Otherwise a few postings of each key are read: where
a key has no more, only its studies can match. Failing that, the key that is the most selective by nature is followed
down its lists, page by page, only as far as the answer needs.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from shared.archive.study import StudyRecord
from shared.archive.study_terms import terms_of
from shared.archive.terms import TAG_MARK, Term, is_of_tag
from shared.dicom.attributes import KEY_BY_PATH, SEARCHABLE, TAG, Level
from shared.dicom.identifiers import ResourceIdentifiers, StudyKey
from shared.search.lookups import EVERY_STUDY_LOOKUP, Lookup, lookup_of
from shared.search.matching import AnyOf
from shared.search.query import SearchQuery
from shared.services.prefetch import fetch_ahead
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.parallel import in_parallel
from shared.storage.posting_keys import Posting, in_index
from shared.storage.properties import PAGE_ROWS

_AHEAD: Final = 16  # studies read before their turn
_FEW: Final = 100
_MOST_NAMED: Final = 1000  # instances of a study, before all of it is looked through
_REPAIRED: Final = 8  # stale postings that one search removes

_STUDY_UID: Final = KEY_BY_PATH[(TAG["StudyInstanceUID"],)]
_INSTANCE_UID: Final = KEY_BY_PATH[(TAG["SOPInstanceUID"],)]

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


@dataclass(slots=True)
class Effort:
    """What a search has read so far, what it may read at most, and the stale postings that it came across.

    `wanted` is how many results it still looks for, `named` how many instances are named by proposals that wait;
    `is_sparse`: some proposed study had none.
    """

    max_postings: int
    max_studies: int
    postings: int = 0
    studies: int = 0
    is_cut: bool = False
    wanted: int = 0
    named: int = 0
    is_sparse: bool = False
    stale: list[tuple[Term, Posting]] = field(default_factory=list)

    @classmethod
    def of(cls, settings: Settings, wanted: int) -> "Effort":
        """The effort of a search that begins now, and looks for `wanted` results."""
        return cls(settings.max_searched_postings, settings.max_searched_studies, wanted=wanted)

    def ahead(self) -> int:
        """How many studies to read before their turn; while all match, no more than the answer needs."""
        return _AHEAD if self.is_sparse else max(0, min(_AHEAD, self.wanted - 1 - self.named))

    def allows(self, *, postings: int = 0, studies: int = 0) -> bool:
        """Count what is about to be read, and return whether it may be; if not, the search is cut."""
        self.postings += postings
        self.studies += studies
        self.is_cut |= self.postings > self.max_postings or self.studies > self.max_studies
        return not self.is_cut

    def note_stale(self, posting: Posting, study: StudyRecord | None) -> None:
        """Note a posting, if its study does not have its value."""
        term = posting.term
        if term is None or len(self.stale) == _REPAIRED:
            return
        is_of_study = study is not None and study.created == posting.created
        # The study cannot say whether an instance exists.
        if not is_of_study or not (
            posting.series_instance_uid or in_index([term]) <= in_index(terms_of(study) if study else ())
        ):
            self.stale.append((term, posting))


InstanceUids = Mapping[str, Collection[str]]
"""SOP Instance UIDs by the Series Instance UIDs of their series."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A study that may match, and the posting that proposed it, if one did.

    `instances` are those of its instances that may match; None where any may.
    """

    study: StudyRecord
    posting: Posting | None = None
    instances: InstanceUids | None = None


@dataclass(slots=True)
class _Proposal:
    """A study as adjacent postings propose it, the first of them, and the instances that they name."""

    posting: Posting
    named: dict[str, set[str]] = field(default_factory=dict)
    count: int = 0

    def add(self, posting: Posting) -> bool:
        """Add a posting of the study, unless it is full; return whether that fills it."""
        if posting.instance is None or self.is_full:
            return False
        uids = self.named.setdefault(posting.instance.series_instance_uid, set())
        self.count += posting.instance.sop_instance_uid not in uids
        uids.add(posting.instance.sop_instance_uid)
        return self.is_full

    @property
    def is_full(self) -> bool:
        """Whether it names so many that it is proposed without the rest."""
        return self.count >= _MOST_NAMED

    @property
    def instances(self) -> InstanceUids | None:
        """The instances that may match; None where any may."""
        return self.named if self.count and not self.is_full else None


async def candidates(
    archive: Archive, partition: str, query: SearchQuery, scope: ResourceIdentifiers | None, effort: Effort
) -> AsyncGenerator[Candidate, None]:
    """Studies of a data partition that may match, newest first, each once; fewer than all when the effort is cut."""
    asked = query.keys.get(_STUDY_UID)
    named = {scope.study} if scope else None
    if named is None and isinstance(asked, AnyOf):
        named = {StudyKey(partition, uid) for uid in asked.forms}
    is_of_instances = query.level is Level.INSTANCE and _INSTANCE_UID in query.keys
    if named is not None and not is_of_instances:
        found = await in_parallel(archive.catalog.read_outline(study_key) for study_key in sorted(named))
        for study in sorted(filter(None, found), key=lambda study: study.created, reverse=True):
            yield Candidate(study)
        return

    async def read(proposal: _Proposal) -> tuple[_Proposal, Candidate | None]:
        posting = proposal.posting
        study = await archive.catalog.read_outline(posting.study)
        # One with another time is left by a dead request: the study has its own, and must be found once.
        if study is None or posting.created != study.created:
            effort.note_stale(posting, None)
            effort.is_sparse = True
            return proposal, None
        return proposal, Candidate(study, posting, proposal.instances)

    proposals = _proposals(_counted(_postings(archive, partition, query, effort), named, effort), effort)
    async with aclosing(fetch_ahead(proposals, read, effort.ahead)) as studies:
        async for proposal, candidate in studies:
            effort.named -= proposal.count
            if candidate is not None:
                yield candidate


async def _counted(
    postings: AsyncIterator[tuple[Posting, bool]], named: Collection[StudyKey] | None, effort: Effort
) -> AsyncIterator[Posting]:
    """The postings that propose a study to read, as long as the effort allows."""
    async for posting, is_accepted in postings:
        if not effort.allows(postings=1):
            return
        if is_accepted and (named is None or posting.study in named):
            yield posting


async def _proposals(postings: AsyncIterator[Posting], effort: Effort) -> AsyncIterator[_Proposal]:
    """The studies to read, each once, as long as the effort allows."""
    proposal: _Proposal | None = None
    async for posting in postings:
        if proposal is None or proposal.posting.order != posting.order:
            if proposal is not None and not proposal.is_full:
                effort.named += proposal.count
                yield proposal
            if not effort.allows(studies=1):
                return
            proposal = _Proposal(posting)
        if proposal.add(posting):
            effort.named += proposal.count
            yield proposal
    if proposal is not None and not proposal.is_full:
        effort.named += proposal.count
        yield proposal


async def _postings(
    archive: Archive, partition: str, query: SearchQuery, effort: Effort
) -> AsyncIterator[tuple[Posting, bool]]:
    """The postings of the key that is followed, each with whether its value may match."""
    lookups = [lookup for key, matcher in query.keys.items() if (lookup := lookup_of(key, matcher)) is not None]
    lookups.sort(key=lambda lookup: (lookup.is_of_everything, _rank(lookup)))
    followed = lookups[0] if lookups else EVERY_STUDY_LOOKUP
    if not effort.allows(postings=len(followed.lists)):
        return
    if not (followed.is_exact and (len(lookups) < 2 or followed.keyword in _SINGLING_OUT)):
        found = await asyncio.gather(*(_few(archive, partition, lookup) for lookup in lookups))
        few = [(postings, lookup) for postings, lookup in zip(found, lookups, strict=True) if postings is not None]
        if few:
            postings, followed = min(few, key=lambda one: len(one[0]))
            _logger.debug("Searching by all of the %d postings of %s.", len(postings), followed.keyword)
            for posting in postings:
                yield posting, _accepts(followed, posting)
            return
    _logger.debug("Searching by %d lists of %s.", len(followed.lists), followed.keyword)
    async for posting in archive.postings.read(
        partition, followed.keyword, followed.lists, page_rows=_page_rows(query, followed)
    ):
        yield posting, _accepts(followed, posting)


def _rank(lookup: Lookup) -> int:
    return _RANK[TAG_MARK if is_of_tag(lookup.keyword) else lookup.keyword]


def _page_rows(query: SearchQuery, lookup: Lookup) -> int:
    """How many rows of each list to read at once: together about twice as many as the answer needs."""
    if lookup.is_of_everything or (lookup.is_of_instances and len(query.keys) > 1):
        return PAGE_ROWS  # of a study that does not match all are passed
    wanted = query.offset + query.limit + 2  # one more than a page, and the one after it, which ends its proposal
    if len(lookup.lists) > 1:
        wanted = max(_FEW // 4, 2 * wanted // len(lookup.lists), 1)
    if lookup.is_of_instances:
        wanted = max(wanted, _FEW)  # all that a study has are read before it is
    return min(wanted, PAGE_ROWS)


def _accepts(lookup: Lookup, posting: Posting) -> bool:
    return posting.value is None or lookup.accepts(posting.value)


async def _few(archive: Archive, partition: str, lookup: Lookup) -> Sequence[Posting] | None:
    """All postings of a key if they are few, else None."""
    if lookup.is_of_everything:
        return None
    if lookup.spans:
        return await archive.postings.read_spans(partition, lookup.keyword, lookup.spans, _FEW)
    found: list[Posting] = []
    async with aclosing(archive.postings.read(partition, lookup.keyword, lookup.lists, page_rows=_FEW + 1)) as postings:
        async for posting in postings:
            found.append(posting)
            if len(found) > _FEW:
                return None
    return found

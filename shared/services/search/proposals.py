"""The studies that the postings of a search's keys propose, newest first.

One key is followed. Others are walked in step with it, so that a study is read only if each of them proposes it, too;
but a key's lists are read only for as much as they save: where most of what the first key proposes matches anyway,
they would cost more than the studies.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final

from shared.dicom.identifiers import StudyKey
from shared.services.search.effort import Effort
from shared.services.turns import Turns
from shared.storage.parallel import in_parallel
from shared.storage.posting_keys import AGE_LENGTH, Posting
from shared.storage.posting_lists import PostingLists

_MOST_NAMED: Final = 1000  # instances of a study, before all of it is looked through

InstanceUids = Mapping[str, Set[str]]
"""SOP Instance UIDs by the Series Instance UIDs of their series."""


@dataclass(slots=True)
class _Named:
    """A study's postings of one key: the first of them, and the instances that they name."""

    posting: Posting
    instances: dict[str, set[str]] = field(default_factory=dict)
    count: int = 0

    def add(self, posting: Posting) -> None:
        """Add the instance that a posting of the study names."""
        if posting.instance is not None:
            uids = self.instances.setdefault(posting.instance.series_instance_uid, set())
            self.count += posting.instance.sop_instance_uid not in uids
            uids.add(posting.instance.sop_instance_uid)

    @property
    def is_full(self) -> bool:
        """Whether it names so many that the study is proposed without the rest."""
        return self.count >= _MOST_NAMED


@dataclass(frozen=True, slots=True)
class Proposal:
    """A study that may match, as a posting of each key proposes it; `instances` are those that may, None: any may."""

    postings: tuple[Posting, ...]
    instances: InstanceUids | None

    @property
    def study(self) -> StudyKey:
        """The study."""
        return self.postings[0].study

    @property
    def count(self) -> int:
        """How many instances it names."""
        return sum(map(len, (self.instances or {}).values()))


class KeyWalk:
    """A walk down the lists of one key, from one study that it proposes to the next.

    `skipped` are the postings that it has passed since other keys do not propose their studies, `saved` those that the
    key that is followed has passed for this one.
    """

    def __init__(
        self,
        lists: PostingLists | None,
        begin: Callable[[], Awaitable[PostingLists]],
        list_count: int,
        accepts: Callable[[Posting], bool],
        effort: Effort,
    ) -> None:
        """`begin` gives the lists, if they are not there: `list_count` operations. They count as postings."""
        self.skipped = 0
        self.saved = 0
        self._lists = lists
        self._begin = begin
        self._list_count = list_count
        self._accepts = accepts
        self._effort = effort
        self._counted = -list_count
        self._read_before = lists.pages if lists is not None else 0
        self._turns = Turns()

    @property
    def cost(self) -> int:
        """How many storage operations it has taken; before it begins, how many it will take at least."""
        return self._list_count if self._lists is None else self._lists.pages - self._read_before

    async def seek(self, age: str) -> str | None:
        """The age of the first study from an age on; None where there is none, or no more may be read."""
        if self._lists is None:
            self._lists = await self._begin()
        before = self._lists.passed
        posting = await self._first(self._lists, age)
        self.skipped += self._lists.passed - before
        while posting is not None and not self._accepts(posting):
            self._lists.take()
            posting = await self._first(self._lists)
        return None if posting is None else posting.age

    async def take(self, age: str) -> dict[StudyKey, _Named]:
        """The studies of that age, hardly ever several; none where `seek` has found another."""
        found: dict[StudyKey, _Named] = {}
        lists = self._lists
        posting = await self._first(lists) if lists is not None else None
        while lists is not None and posting is not None and posting.age == age:
            lists.take()
            if not self._may_go_on(lists):
                break
            place = ""
            if self._accepts(posting):
                named = found.setdefault(posting.study, _Named(posting))
                named.add(posting)
                place = posting.place_after if named.is_full else ""
            posting = await self._first(lists, place)
        return found

    async def _first(self, lists: PostingLists, place: str = "") -> Posting | None:
        await self._turns.next()
        posting = await lists.first(place)
        return posting if self._may_go_on(lists) else None

    def _may_go_on(self, lists: PostingLists) -> bool:
        """Whether the effort allows the postings that are passed or taken."""
        passed, self._counted = lists.passed - self._counted, lists.passed
        return self._effort.allows(postings=passed)


async def proposals(
    followed: KeyWalk, others: Sequence[KeyWalk], effort: Effort, first: str = ""
) -> AsyncIterator[Proposal]:
    """The studies to read, each once, newest first, from an `order` on, as long as the effort allows."""
    age = first[:AGE_LENGTH]
    while (following := await followed.seek(age)) is not None:
        # Each study that is read in vain costs an operation, each posting that is skipped saves one.
        walked = [walk for walk in others if walk.cost <= effort.misses + walk.saved]
        ages = await in_parallel(walk.seek(following) for walk in walked)
        if None in ages:
            return
        age = max([following, *filter(None, ages)])
        if age > following:
            before = followed.skipped
            await followed.seek(age)
            walked[ages.index(age)].saved += followed.skipped - before
            continue
        taken = [await walk.take(age) for walk in (followed, *walked)]
        for study in sorted(taken[0], key=lambda study: taken[0][study].posting.order):
            proposal = _proposal([found[study] for found in taken if study in found])
            if len(proposal.postings) < len(taken) or proposal.instances == {} or proposal.postings[0].order < first:
                continue
            if not effort.allows(studies=1):
                return
            effort.named += proposal.count
            yield proposal


def _proposal(named: Sequence[_Named]) -> Proposal:
    instances: InstanceUids | None = None
    for one in named:
        if not one.count or one.is_full:
            continue
        instances = one.instances if instances is None else _in_both(one.instances, instances)
    return Proposal(tuple(one.posting for one in named), instances)


def _in_both(one: Mapping[str, Set[str]], other: Mapping[str, Set[str]]) -> InstanceUids:
    found = {series: one[series] & other[series] for series in one.keys() & other.keys()}
    return {series: uids for series, uids in found.items() if uids}

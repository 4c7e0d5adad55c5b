"""What a store does for its commit while its file is still on the way: it reads the study, and writes postings.

A request has one for each study, for the first instance that it has ready, unless another request of the process is at
work on the study, or others have just been quicker. It saves two round trips to storage.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from functools import partial

from shared.archive.instance import NewInstance
from shared.archive.terms import Term, is_of_tag
from shared.dicom.identifiers import StudyKey
from shared.services.write.commit_plan import CommitPlan, commit_plan
from shared.services.write.intent import Intent
from shared.services.write.needless_postings import remove_needless_postings
from shared.storage.archive import Archive
from shared.storage.catalog_rows import StudyRevision, Tombstone


class HeadStart:
    """A study as it was read, the plan to enter an instance, and the postings that it needs.

    Goes to the commit of that instance, or ends with `take_back`, or is left to maintenance by an entry that stays.
    """

    def __init__(self, archive: Archive, study_key: StudyKey) -> None:
        self.study_key = study_key
        self._archive = archive
        self._reading = _Background(self._read)
        self._writing: _Background | None = None
        self._planned: tuple[NewInstance, CommitPlan] | None = None
        self.before: StudyRevision | Tombstone | None = None
        """The study as it was read, once it is."""
        self.created: datetime | None = None
        """When the study was first stored, or is to be, by the plan; None before there is one."""
        self.of_study: frozenset[Term] = frozenset()
        self.of_instance: frozenset[Term] = frozenset()
        """The terms whose postings are written, or may be."""
        self.ended = asyncio.Event()
        """Set once its commit is due, or there will be none."""

    async def read(self) -> None:
        """Return once the study is read. What reading raises, it raises once."""
        await self._reading.end()

    async def _read(self) -> None:
        self.before = await self._archive.catalog.read_before(self.study_key)

    @property
    def is_read(self) -> bool:
        """Whether the study is read."""
        return self._reading.has_succeeded

    @property
    def is_of_new_study(self) -> bool:
        """Whether it enters a study that there was not."""
        return self.is_read and not isinstance(self.before, StudyRevision)

    async def declare(self, new: NewInstance, intent: Intent) -> None:
        """Plan to enter an instance; return once the journal names what `write` writes for it, and the commit."""
        study = self.before.record if isinstance(self.before, StudyRevision) else None
        self.created = study.created if study else intent.new_time()
        plan = commit_plan(study, [new], self.created, frozenset(), is_shared=False)
        self._planned = new, plan
        await intent.declare(_untagged(plan.single) | (plan.declared or frozenset()), self.created)

    def plan(self, new: NewInstance) -> CommitPlan | None:
        """The plan to enter an instance; None if it is another one's, or there is none."""
        return self._planned[1] if self._planned and self._planned[0] is new else None

    def write(self, plan: CommitPlan) -> None:
        """Begin to write the postings of the plan, but for values of tags of the instance: the commit names those."""
        self.of_study, self.of_instance = plan.new, _untagged(plan.single)
        terms = self.of_study | self.of_instance
        self._writing = _Background(partial(self._archive.postings.add, self.study_key, plan.after.created, terms))

    async def finish(self) -> None:
        """Return once the postings are written, if that has begun. What writing raises, it raises once."""
        if self._writing:
            await self._writing.end()

    async def take_back(self) -> bool:
        """Remove those of the written postings that nothing needs, or say that this cannot be done yet: by False.

        Storage may still write those whose answer has not come. No batch that may need them may be under way. Raises
        StudyContended.
        """
        await self._reading.cancel()
        if self._writing is None or self.created is None:
            return True
        await self._writing.wait()
        if not self._writing.has_succeeded:
            return False
        terms = self.of_study | self.of_instance
        await remove_needless_postings(self._archive, self.study_key, created={self.created}, terms=terms)
        return True


class _Background:
    """An operation that goes on when those who wait for it are cancelled. It does not keep what it has raised."""

    def __init__(self, operation: Callable[[], Awaitable[None]]) -> None:
        self.has_succeeded = False
        self._error: Exception | None = None
        self._task = asyncio.create_task(self._run(operation))

    async def _run(self, operation: Callable[[], Awaitable[None]]) -> None:
        try:
            await operation()
            self.has_succeeded = True
        except Exception as error:  # noqa: BLE001 -- `end` raises it
            self._error = error

    async def wait(self) -> None:
        """Return once it has ended."""
        await asyncio.wait([self._task])

    async def end(self) -> None:
        """Return once it has ended; raise what it has raised to the first who asks."""
        await self.wait()
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # or this frame, which it has passed, would keep it

    async def cancel(self) -> None:
        """End it, if it has not."""
        self._task.cancel()
        await self.wait()
        self._error = None


def _untagged(terms: Iterable[Term]) -> frozenset[Term]:
    return frozenset(term for term in terms if not is_of_tag(term.keyword))

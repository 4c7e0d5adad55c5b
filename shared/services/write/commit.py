"""Entering instances into the catalog while others may be changing the same study.

Requests of this process that store into one study share batches: while a batch is under way, instances that other
requests have ready queue up, and the next batch takes all that fit.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final

from shared.archive.instance import NewInstance
from shared.archive.terms import Term
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey
from shared.services.write.announce import announce
from shared.services.write.back_pressure import BackPressure
from shared.services.write.commit_plan import CommitPlan, commit_plan, terms_of_new
from shared.services.write.contention import attempts
from shared.services.write.duplicates import Existing, not_in_catalog
from shared.services.write.head_start import HeadStart
from shared.services.write.intent import Intent
from shared.services.write.named_terms import NamedTerms
from shared.services.write.needless_postings import remove_needless_postings
from shared.storage.archive import Archive
from shared.storage.catalog import CommitRefused, CommitUnanswered, InstanceExists, StudyChanged
from shared.storage.catalog_batches import fits_batch, value_bytes
from shared.storage.catalog_rows import StudyRevision
from shared.storage.parallel import in_parallel
from shared.storage.postings import PostingMark
from shared.storage.recent import Recent

_REFUSALS: Final = 5  # while storage is overloaded or unreachable
_PATIENCE_SECONDS: Final = 0.1
_CONTENDED_SECONDS: Final = 10
_CONTENDED_STUDIES: Final = 1000
_ROW_BYTES: Final = 4 * 1024  # about what a row takes besides its metadata and frames


@dataclass(eq=False)
class _Share:
    """What one request has ready for one study, its share of a batch; `done` is the outcome.

    `of_study` and `of_instance` are terms whose postings its head start, if it has one, has written.
    """

    instances: Sequence[NewInstance]
    intent: Intent
    head_start: HeadStart | None
    of_study: frozenset[Term]
    of_instance: frozenset[Term]
    done: asyncio.Future[Existing]


class StudyCommits:
    """The commits of one process, a queue for each study."""

    def __init__(self, archive: Archive, pressure: BackPressure) -> None:
        self._archive = archive
        self._pressure = pressure
        self._queues: dict[StudyKey, deque[_Share]] = {}
        self._head_starts: dict[StudyKey, HeadStart] = {}  # of which no commit has made out of date what they have read
        self._contended: Recent[StudyKey, float] = Recent(_CONTENDED_STUDIES, _CONTENDED_STUDIES)
        self._workers: set[asyncio.Task[None]] = set()

    def head_start(self, study_key: StudyKey) -> HeadStart | None:
        """A head start for a study; None where another commit is likely to come first, which would make it useless.

        Whoever has it passes it to `commit`, or to `forget`.
        """
        if study_key in self._queues or study_key in self._head_starts:
            return None
        if monotonic() < (self._contended.get(study_key) or 0):
            return None
        head_start = self._head_starts[study_key] = HeadStart(self._archive, study_key)
        return head_start

    def forget(self, head_start: HeadStart) -> None:
        """No commit will have this head start."""
        head_start.ended.set()
        if self._head_starts.get(head_start.study_key) is head_start:
            del self._head_starts[head_start.study_key]

    async def commit(
        self, instances: Sequence[NewInstance], intent: Intent, head_start: HeadStart | None = None
    ) -> Existing:
        """Enter instances of one study, distinct and no more than fit a batch, into index and catalog.

        `head_start` is that of the same request, which has written what it has begun to. Returns those that were there
        already; all others are entered, and searches find them from now on. Raises StudyContended: then nothing is
        entered, but postings that `intent` has declared may be left.
        """
        study_key = instances[0].facts.identifiers.study
        of_study, of_instance = frozenset[Term](), frozenset[Term]()
        if head_start is not None:
            of_study, of_instance = head_start.of_study, head_start.of_instance
            head_start.ended.set()
        elif (others := self._head_starts.get(study_key)) is not None and others.is_of_new_study:
            # If it is not first, all its postings are in vain: they have another time.
            with suppress(TimeoutError):
                await asyncio.wait_for(others.ended.wait(), _PATIENCE_SECONDS)
        share = _Share(instances, intent, head_start, of_study, of_instance, asyncio.get_running_loop().create_future())
        queue = self._queues.get(study_key)
        if queue is None:
            queue = self._queues[study_key] = deque()
            worker = asyncio.create_task(self._work(study_key, queue))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        queue.append(share)
        try:
            # Others may share the batch: it goes on when this request is cancelled.
            return await asyncio.shield(share.done)
        except asyncio.CancelledError:
            if share in queue:
                queue.remove(share)
                if head_start:
                    self.forget(head_start)
            # An error that comes for nobody would be logged by asyncio, and with its message.
            share.done.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        finally:
            del share  # it has the error that is raised here, and that would keep the instances

    async def _work(self, study_key: StudyKey, queue: deque[_Share]) -> None:
        try:
            while queue:
                async with self._archive.study_lock(study_key):
                    if queue:
                        await self._commit_next(study_key, queue)
        finally:
            del self._queues[study_key]
            for share in queue:
                share.done.cancel()

    async def _commit_next(self, study_key: StudyKey, queue: deque[_Share]) -> None:
        group = _next_group(queue)
        newest = self._head_starts.pop(study_key, None)
        fresh = newest if newest is group[0].head_start else None

        def note_contention() -> None:
            self._contended.put(study_key, monotonic() + _CONTENDED_SECONDS, 1)

        instances = [instance for share in group for instance in share.instances]
        try:
            taken = await self._pressure.batches.take(value_bytes(instances) + len(instances) * _ROW_BYTES)
            try:
                existing = await _commit(self._archive, study_key, group, fresh, note_contention)
            finally:
                self._pressure.batches.give_back(taken)
        except BaseException as error:
            while group:  # held here, they would keep the error that keeps this
                group.pop().done.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for share in group:
            own = {instance.facts.blob_version for instance in share.instances}
            share.done.set_result(
                {blob_version: facts for blob_version, facts in existing.items() if blob_version in own}
            )


def _next_group(queue: deque[_Share]) -> list[_Share]:
    """Take the first share of a queue, and all others that fit its batch, repeat no instance and had no head start."""
    group = [queue.popleft()]
    instances = list(group[0].instances)
    seen: set[InstanceIdentifiers] = {instance.facts.identifiers for instance in instances}
    for share in list(queue):
        identifiers = {instance.facts.identifiers for instance in share.instances}
        if share.head_start is None and seen.isdisjoint(identifiers) and fits_batch([*instances, *share.instances]):
            queue.remove(share)
            group.append(share)
            instances += share.instances
            seen |= identifiers
    return group


async def _commit(
    archive: Archive,
    study_key: StudyKey,
    group: Sequence[_Share],
    fresh: HeadStart | None,
    note_contention: Callable[[], None],
) -> Existing:
    """Enter the instances of a group, which fit a batch, under the first one's intent.

    `fresh` is the first one's head start, unless what it has read is out of date. That it is, after all, is noted.
    """
    intent, head_start = group[0].intent, group[0].head_start
    instances = [instance for share in group for instance in share.instances]
    single = terms_of_new(instances)
    existing: Existing = {}
    created = head_start.created if head_start else None
    written, there = group[0].of_study, group[0].of_study | group[0].of_instance
    single |= group[0].of_instance
    refusals = 0
    named = NamedTerms(archive, study_key, intent.tags)
    await in_parallel(share.intent.go_on() for share in group)
    async for attempt in attempts():
        ahead = None if attempt else fresh
        before = ahead.before if ahead else await archive.catalog.read_before(study_key)
        if isinstance(before, StudyRevision) and before.revision is None:
            await announce(archive, study_key)
            continue
        study = before.record if isinstance(before, StudyRevision) else None
        if created is not None and ahead is None and (study is None or study.created != created):
            # The study of that time never came to be, or is gone: nobody else writes its postings.
            await archive.postings.remove(study_key, created, written | single)
            written = frozenset()
        if created is None or not ahead:
            created = study.created if study else intent.new_time()
        plan = ahead.plan(*instances) if ahead and len(instances) == 1 else None
        plan = plan or commit_plan(study, instances, created, written, is_shared=len(group) > 1)
        await named.declare(plan.single, created)
        marks = await _write_postings(archive, intent, plan, there=there if ahead else frozenset())
        written |= plan.new
        try:
            await archive.catalog.commit(before, plan.after, added=instances)
        except CommitUnanswered as error:
            if await not_in_catalog(archive, instances, existing):
                # No retry: the batch may still be carried out, or was, and the instances have been deleted since.
                raise error.cause from None
            if all(instance.facts.blob_version in existing for instance in instances):
                # Others' instances made it fail, or have come since: the study may still need what is marked.
                terms = written.union(named.terms, (mark.term for mark in marks))
                await remove_needless_postings(archive, study_key, created={created}, terms=terms)
                await named.finish()
                return existing
        except CommitRefused as error:
            refusals += 1
            if refusals == _REFUSALS:
                raise error.cause from None
            continue
        except StudyChanged:
            if ahead:
                note_contention()
            continue
        except InstanceExists:
            instances = await not_in_catalog(archive, instances, existing)
            if instances:
                continue
            terms = written | named.terms
            await remove_needless_postings(archive, study_key, created={created}, terms=terms)
            await named.finish()
            return existing
        for share in group:
            share.intent.note_commit()
        await archive.postings.remove_marked(study_key, created, marks)
        if left := named.terms - plan.single:  # of instances that were there already
            await remove_needless_postings(archive, study_key, created={created}, terms=left)
        await named.finish()
        return existing
    raise AssertionError("attempts() ends by raising")


async def _write_postings(
    archive: Archive, intent: Intent, plan: CommitPlan, *, there: frozenset[Term]
) -> list[PostingMark]:
    """Write the postings that a plan needs, once the journal names them; return marks of the needless ones.

    `there` are terms whose postings the head start has written.
    """
    study_key, created = plan.after.key, plan.after.created
    if plan.declared is not None:
        await intent.declare(plan.declared, created)
    await archive.postings.add(study_key, created, (plan.new | plan.single) - there)
    return await archive.postings.mark(study_key, created, plan.needless)

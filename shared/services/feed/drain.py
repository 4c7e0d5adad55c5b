"""Moving changes from the outbox to the feed, by whoever needs the feed, any number of them at once.

The journal's entries lead to the studies that have something in the outbox. They are listed before the head of the feed
is read, and the head before the outbox: what an entry stands for is either in the outbox then, or in the feed already.
What the feed may have although the outbox still has it stands between the head's `cleaned` and its `last`: a drainer
that died has left it, or another is about to remove it. The batch that appends changes the head under its ETag, so
nothing is appended twice; a drainer that may have been overtaken, or has no answer, starts over with the head. Where
only something else of the head has moved, it appends again under the new ETag. It may end anywhere: whoever drains next
goes on.

Storage operations: 1 where nothing is ready; else, for each 100 studies or 4,000 changes, 1 for the head, 1 for each
study, 1 batch, 1 removal for each study, 1 for the head, and up to 16 for the journal.
"""

import asyncio
import logging
import random
from collections.abc import Collection, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from shared.archive.change import StudyChanges
from shared.dicom.identifiers import StudyKey
from shared.failures import described
from shared.storage.archive import Archive
from shared.storage.availability import is_unavailable
from shared.storage.feed import MAX_APPENDED_CHANGES, HeadMoved
from shared.storage.feed_rows import UNREADABLE, Head
from shared.storage.journal import ReadyEntry, study_of
from shared.storage.parallel import in_parallel

_STUDIES: Final = 100  # whose changes are looked for at once
_ENTRIES: Final = 1000  # that are held at once
_READS: Final = 8  # pages of the outbox that are held at once
_PAUSE_SECONDS: Final = 0.02

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Drained:
    """How many changes have been appended to the feed.

    `waiting_seconds`: when this began, the oldest entry that was listed and done had been so for that long.
    """

    changes: int = 0
    waiting_seconds: float = 0


@dataclass(slots=True)
class _Found:
    """What the outbox has of some studies.

    `in_feed` are commits that the feed has already, `commits` those that it lacks, in order of revision within a study;
    of the studies in `cut` there may be more, and of those in `unreadable` there is more.
    """

    in_feed: list[tuple[StudyKey, int]] = field(default_factory=list)
    commits: list[StudyChanges] = field(default_factory=list)
    cut: set[StudyKey] = field(default_factory=set)
    unreadable: set[StudyKey] = field(default_factory=set)


async def drain(archive: Archive, *, seconds: float, drained: Drained | None = None) -> bool:
    """Append to the feed what is ready when this begins; whether all of that is in the feed now.

    It is not where `seconds` did not suffice, waiting for other requests of the process included, where storage did not
    answer, and where the changes of a study cannot be read, which is logged. `drained` counts as it goes.
    """
    run = _Run(archive, drained or Drained())
    try:
        async with asyncio.timeout(seconds), archive.drain_lock:
            await run.drain()
    except Exception as error:
        if not is_unavailable(error):  # as a timeout is
            raise
        _logger.warning("Changes wait to be drained: %s", described(error))
        return False
    return not run.unreadable


class _Run:
    """A run of draining. `unreadable` are studies whose next change cannot be read."""

    def __init__(self, archive: Archive, drained: Drained) -> None:
        self._archive = archive
        self._drained = drained
        self.unreadable: set[StudyKey] = set()

    async def drain(self) -> None:
        """Append what is ready, the changes of some studies at a time."""
        began = datetime.now(UTC)
        entries: list[ReadyEntry] = []
        studies: set[StudyKey] = set()
        async for entry in self._archive.journal.read_ready():
            if entry.is_done:  # what another has changed so far may be in the feed already
                waited = (began - entry.written).total_seconds()
                self._drained.waiting_seconds = max(self._drained.waiting_seconds, waited)
            entries.append(entry)
            studies.add(study_of(entry))
            if len(studies) == _STUDIES or len(entries) == _ENTRIES:
                await self._drain_entries(entries, studies)
                entries, studies = [], set()
        if entries:
            await self._drain_entries(entries, studies)

    async def _drain_entries(self, entries: Iterable[ReadyEntry], studies: set[StudyKey]) -> None:
        """Append all changes of some studies, then remove the entries that led to them and were done."""
        left, failures = studies, 0
        while left:
            try:
                left = await self._append_some(left) - self.unreadable
                failures = 0
            except HeadMoved:
                failures += 1
                await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS * 2 ** min(failures, 3)))  # noqa: S311 -- no secret
        await self._archive.journal.remove(
            entry for entry in entries if entry.is_done and study_of(entry) not in self.unreadable
        )

    async def _append_some(self, studies: set[StudyKey]) -> set[StudyKey]:
        """Append what one batch takes of some studies' changes; return those of which there may be more.

        Raises HeadMoved where nothing was appended, or it is not known.
        """
        feed = self._archive.feed
        head = await feed.read_open_head()
        known = await feed.read_commits(head.cleaned, head.last)
        found = await _read(self._archive, studies | {study for study, _ in known}, known)
        self.unreadable |= found.unreadable
        appended = _fitting(found.commits, head.room)
        if found.commits and not appended:
            await feed.close(head)
            return studies
        if appended:
            head = await _append(self._archive, head, appended)
            self._drained.changes += sum(len(commit.changes) for commit in appended)
        await _clean(self._archive, head, [*found.in_feed, *((commit.study, commit.revision) for commit in appended)])
        return found.cut | {commit.study for commit in found.commits[len(appended) :]}


async def _read(archive: Archive, studies: Collection[StudyKey], known: Collection[tuple[StudyKey, int]]) -> _Found:
    """What the outbox has of some studies, of the commits that are not `known` to be in the feed as one batch takes."""
    found, room = _Found(), MAX_APPENDED_CHANGES
    to_clean = {study for study, _ in known}

    async def read(study: StudyKey) -> None:
        nonlocal room
        if found.cut and study not in to_clean:  # the batch is full
            found.cut.add(study)
            return
        try:
            async with aclosing(archive.outbox.read(study)) as commits:
                async for commit in commits:
                    if (study, commit.revision) in known:
                        found.in_feed.append((study, commit.revision))
                    elif len(commit.changes) > room:
                        found.cut.add(study)
                        return
                    else:
                        room -= len(commit.changes)
                        found.commits.append(commit)
        except UNREADABLE as error:
            found.unreadable.add(study)
            _logger.error("A change of study %s cannot be read: %s", study.study_instance_uid, described(error))

    await in_parallel(map(read, sorted(studies)), at_once=_READS)
    return found


def _fitting(commits: list[StudyChanges], room: int) -> list[StudyChanges]:
    """The first of the commits, as many as fit."""
    for index, commit in enumerate(commits):
        room -= len(commit.changes)
        if room < 0:
            return commits[:index]
    return commits


async def _clean(archive: Archive, head: Head, in_feed: list[tuple[StudyKey, int]]) -> None:
    """Remove from the outbox what the feed has up to this head."""
    by_study = groupby(sorted(in_feed), key=lambda commit: commit[0])
    await in_parallel(
        archive.outbox.remove(study, [revision for _, revision in commits]) for study, commits in by_study
    )
    with suppress(HeadMoved):  # whoever drains next removes nothing in vain, and notes it
        while head.last > head.cleaned:
            try:
                await archive.feed.note_cleaned(head)
                break
            except HeadMoved:
                head = await _still(archive, head)


async def _append(archive: Archive, head: Head, commits: list[StudyChanges]) -> Head:
    """Append commits behind a head; return what becomes of it. Raises HeadMoved where others may have appended."""
    while True:
        try:
            return await archive.feed.append(head, commits, datetime.now(UTC))
        except HeadMoved:
            head = await _still(archive, head)


async def _still(archive: Archive, head: Head) -> Head:
    """A head that has moved as it is now, if nothing was appended: what was found after reading it still holds.

    Readers raise its floor, each as often as it likes: a drain that then looked for everything again might never end.
    Raises HeadMoved where something was appended, or may be yet.
    """
    newest = await archive.feed.read_open_head()
    if newest.etag == head.etag or (newest.partition, newest.last) != (head.partition, head.last):
        raise HeadMoved
    return newest

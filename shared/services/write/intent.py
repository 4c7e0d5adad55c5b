"""What a request is about to do to a study, written to the journal before it is done."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, Self

from shared.archive.extended_tags import NO_TAGS, TagSet
from shared.archive.terms import Term
from shared.dicom.identifiers import ResourceIdentifiers
from shared.storage.archive import Archive
from shared.storage.journal import JournalEntry


class Intent:
    """A request's journal entry for one resource; it is rewritten when more may be left behind."""

    def __init__(
        self,
        archive: Archive,
        entry: JournalEntry,
        *,
        is_written: bool = False,
        first_stored: datetime | None = None,
        tags: TagSet | None = None,
    ) -> None:
        """`first_stored` is when the study was, for a restore, which brings that time back.

        `tags` are the extended query tags by which the request indexes, None for one that does not.
        """
        self._archive = archive
        self._entry = entry if tags is None else replace(entry, generation=tags.generation)
        self._tags = tags
        self._is_written = is_written
        self._writing = asyncio.Lock()
        self._first_stored = first_stored
        self._unused_time = None if is_written else first_stored or entry.started
        self._has_committed = False
        self._is_marked = False

    @classmethod
    def new(
        cls,
        archive: Archive,
        request_id: str,
        transaction: Literal["store", "delete", "index"],
        resource: ResourceIdentifiers,
        *,
        generation: int = 0,
        tags: TagSet | None = None,
    ) -> Self:
        """The intent of a request that begins now; `generation` is that of tags by which another indexes."""
        entry = JournalEntry(request_id, transaction, datetime.now(UTC), resource.path, generation=generation)
        return cls(archive, entry, tags=tags)

    @property
    def started(self) -> datetime:
        """When the request began to store into the resource, or to delete it."""
        return self._entry.started

    @property
    def created(self) -> frozenset[datetime]:
        """The times that were declared."""
        return self._entry.created

    @property
    def tags(self) -> TagSet:
        """The extended query tags by which the request indexes what it has not begun to index yet."""
        return self._tags or NO_TAGS

    def new_time(self) -> datetime:
        """A time for a study to be first stored at, another one with each call; no request under way has it."""
        time, self._unused_time = self._unused_time or datetime.now(UTC), None
        return time

    @property
    def terms(self) -> frozenset[Term]:
        """The terms that were declared."""
        return self._entry.terms

    async def declare(self, terms: Iterable[Term] = (), created: datetime | None = None) -> None:
        """Return once the journal says that postings of these terms may be left, of a study first stored at `created`.

        By default, `created` is when the request began, if it has declared no other time.
        """
        async with self._writing:
            times = {created} if created else self._entry.created or {self._entry.started}
            declared = replace(
                self._entry, created=self._entry.created.union(times), terms=self._entry.terms.union(terms)
            )
            if not self._is_written:
                await self._archive.journal.insert(declared)
                await self._look_at_tags()
            elif declared != self._entry:
                await self._archive.journal.update(declared)
            self._entry, self._is_written = declared, True

    async def renew(self) -> None:
        """Note that the request, which has declared something, is still at work: its age counts from now."""
        async with self._writing:
            if self._tags is not None:
                self._tags = await self._archive.tags.recent()
            self._entry = replace(self._entry, started=datetime.now(UTC), generation=self.tags.generation)
            await self._archive.journal.update(self._entry)
            await self._look_at_tags()
            self._unused_time = self._first_stored or self._entry.started

    async def _look_at_tags(self) -> None:
        """Go by the tags as they are, where the entry, which says by which, may have come too late to be waited for.

        Its generation may then be too low, which only makes others wait.
        """
        if self._tags is not None:
            recent = await self._archive.tags.recent()
            # A slow read of another request may have brought back an earlier set than the entry says.
            is_earlier = recent.generation < self._entry.generation
            self._tags = (await self._archive.tags.read()).tags if is_earlier else recent

    def note_commit(self) -> None:
        """The request has added or removed instances, or answers for it that they are gone."""
        self._has_committed = True

    async def go_on(self) -> None:
        """Return once the journal leads to what the request has committed, if anything: what comes next may take long.

        The request's end does so, too: one that commits once and ends need not call it.
        """
        async with self._writing:
            if self._has_committed:
                if not self._is_marked:
                    await self._archive.journal.mark_changed(self._entry)
                    self._is_marked = True
                await self._archive.announce_commit()

    async def hand_over(self) -> None:
        """Leave the rest, if there is any, to maintenance, which need not wait until this request must be dead."""
        async with self._writing:
            if self._is_written:
                await self._archive.journal.mark_over(self._entry)

    async def finish(self) -> None:
        """Note that nothing is left to be done, if anything was declared."""
        async with self._writing:
            if self._is_written:
                await self._archive.journal.mark_done(self._entry)
                self._is_written = False
                if self._has_committed:
                    await self._archive.announce_commit()

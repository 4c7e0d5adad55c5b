"""Changes that wait for the change feed and never reach it: no journal entry leads to them, or they cannot be read."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

from shared.dicom.identifiers import ResourceIdentifiers, StudyKey
from shared.storage import keys
from shared.storage.archive import Archive
from shared.storage.feed_rows import UNREADABLE
from shared.storage.journal import JournalEntry


async def stranded(archive: Archive, seen: Mapping[StudyKey, Sequence[int]]) -> list[StudyKey]:
    """The studies to whose changes, of revisions `seen` before, no entry leads; 1 operation for each 1,000 entries."""
    if not seen:
        return []
    # An entry stands from before a change is written until after it is removed. So it is overlooked only if the change
    # has gone by now.
    led_to = {ResourceIdentifiers.of_path(resource).study async for resource in archive.journal.read_resources()}
    return [
        study
        for study, revisions in seen.items()
        if study not in led_to and not set(revisions).isdisjoint(await archive.outbox.read_revisions(study))
    ]


async def unreadable(archive: Archive, seen: Mapping[StudyKey, Sequence[int]]) -> AsyncIterator[tuple[StudyKey, str]]:
    """The studies whose changes wait for one that cannot be read, and its row key; of revisions `seen` before, rising.

    1 operation for each study, and 1 for each 100 of its commits.
    """
    for study, revisions in seen.items():
        last = -1
        try:
            async with aclosing(archive.outbox.read(study)) as commits:
                async for commit in commits:
                    last = commit.revision
        except UNREADABLE:
            yield study, keys.change_row(next((revision for revision in revisions if revision > last), last + 1))


async def lead_to_changes(archive: Archive, study: StudyKey) -> None:
    """Write an entry that leads to a study's changes, if none does."""
    if await stranded(archive, {study: await archive.outbox.read_revisions(study)}):
        entry = JournalEntry(secrets.token_hex(16), "announce", datetime.now(UTC), ResourceIdentifiers(study).path)
        await archive.journal.insert(entry)
        await archive.journal.mark_done(entry)

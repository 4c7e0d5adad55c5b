"""Changes that wait for the change feed although no journal entry leads whoever drains to them."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from shared.dicom.identifiers import ResourceIdentifiers, StudyKey
from shared.storage.archive import Archive
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


async def lead_to_changes(archive: Archive, study: StudyKey) -> None:
    """Write an entry that leads to a study's changes, if none does."""
    if await stranded(archive, {study: await archive.outbox.read_revisions(study)}):
        entry = JournalEntry(secrets.token_hex(16), "announce", datetime.now(UTC), ResourceIdentifiers(study).path)
        await archive.journal.insert(entry)
        await archive.journal.mark_done(entry)

"""Announcing a study that a release before the change feed has stored: changes that say which instances it holds.

Whoever adds or removes instances announces the study first, so that its changes begin with a `create` of each instance.
"""

import secrets
from contextlib import aclosing, suppress
from datetime import UTC, datetime

from shared.archive.instance import InstanceFacts
from shared.dicom.identifiers import ResourceIdentifiers, StudyKey
from shared.services.write.contention import attempts
from shared.storage.archive import Archive
from shared.storage.catalog import StudyChanged
from shared.storage.catalog_batches import announced_at_once
from shared.storage.catalog_rows import StudyRevision
from shared.storage.journal import JournalEntry


async def announce_study(archive: Archive, study_key: StudyKey) -> None:
    """Announce a study, with a journal entry that leads to its changes. Raises StudyContended."""
    resource = ResourceIdentifiers(study_key)
    entry = JournalEntry(secrets.token_hex(16), "announce", datetime.now(UTC), resource.path)
    await archive.journal.insert(entry)
    async with archive.study_lock(study_key):
        await announce(archive, study_key)
    await archive.journal.mark_done(entry)


async def announce(archive: Archive, study_key: StudyKey) -> None:
    """Announce a study, unless it is announced or gone; a journal entry of the caller's leads to it.

    In batches of some 9,000 instances, each after those of the one before, whoever wrote that. Raises StudyContended.
    """
    async for _ in attempts():
        # A batch without an answer is under the study's lock, too: once that has moved on, it comes too late.
        with suppress(StudyChanged):
            while (study := await archive.catalog.read_study(study_key)) and study.revision is None:
                instances = await _next(archive, study)
                await archive.catalog.announce(study, instances, is_last=len(instances) < announced_at_once())
            return


async def _next(archive: Archive, study: StudyRevision) -> list[InstanceFacts]:
    """The instances of a study that come next, as many as a batch announces."""
    instances: list[InstanceFacts] = []
    rows = archive.catalog.read_instances_after(study.record.key, study.announced.row_key)
    async with aclosing(rows):
        async for row in rows:
            instances.append(row)
            if len(instances) == announced_at_once():
                break
    return instances

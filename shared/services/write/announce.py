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


async def announce(archive: Archive, study_key: StudyKey) -> None:
    """Announce a study, unless it is announced or gone. Raises StudyContended.

    In batches of some 9,000 instances, each after those of the one before, whoever wrote that. An entry of its own
    leads to them from the first one on: the feed gets all of a study that is announced, even if its announcer has died.
    """
    entry = JournalEntry(secrets.token_hex(16), "announce", datetime.now(UTC), ResourceIdentifiers(study_key).path)
    await archive.journal.insert(entry, is_changed=True)
    async for _ in attempts():
        # A batch without an answer is under the study's lock, too: once that has moved on, it comes too late.
        with suppress(StudyChanged):
            while (study := await archive.catalog.read_study(study_key)) and study.revision is None:
                instances = await _next(archive, study)
                await archive.catalog.announce(study, instances, is_last=len(instances) < announced_at_once())
            await archive.journal.mark_done(entry)
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

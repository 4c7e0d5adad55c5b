"""Finishing what processes that died left behind, found through the journal.

Idempotent, and safe while requests and other maintenance runs are at work: it deletes only blobs that no instance row
names and that belong to no request that may still be alive, and postings that nothing needs.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from shared.identifiers import ResourceIdentifiers
from shared.services.delete import resume_delete
from shared.services.leftovers import orphans
from shared.services.postings import remove_needless_postings
from shared.settings import Settings
from shared.storage import keys
from shared.storage.archive import Archive
from shared.storage.journal import JournalEntry

_logger = logging.getLogger(__name__)


async def replay_journal(archive: Archive, settings: Settings, *, now: datetime | None = None) -> int:
    """Settle every journal entry of a request that must be dead by `now`; how many could be settled.

    A store is as far as its commits went: what it had not committed is removed. A delete is finished.
    """
    last_alive = (now or datetime.now(UTC)) - timedelta(seconds=2 * settings.max_request_seconds)
    abandoned = [entry async for entry in archive.journal.read() if entry.started < last_alive]
    settled = 0
    for entry in abandoned:
        try:
            removed = await _settle(archive, entry, last_alive)
        except Exception:
            # The others are no worse for it, and the entry stays for the next run.
            _logger.exception("The %s request %s could not be settled.", entry.transaction, entry.request_id)
            continue
        settled += 1
        _logger.warning(
            "The %s request %s of %s was abandoned; %d blobs removed.",
            entry.transaction,
            entry.request_id,
            entry.started,
            removed,
        )
    return settled


async def _settle(archive: Archive, entry: JournalEntry, last_alive: datetime) -> int:
    """Do what an entry's request has left undone; how many blobs were removed."""
    resource = ResourceIdentifiers.of_path(entry.resource)
    if entry.transaction == "delete":
        await resume_delete(archive, entry)
    orphans = await _orphans(archive, resource, last_alive)
    # Postings go first: from the blobs it can be told which their instances have.
    study = await archive.catalog.read_study(resource.study_instance_uid)
    await remove_needless_postings(
        archive,
        resource.study_instance_uid,
        created=entry.created | ({study.record.created} if study else set()),
        terms=entry.terms,
        instances={keys.instance_of_blob(name)[0] for name in orphans},
    )
    await archive.blobs.delete(orphans)
    await archive.journal.remove(entry.request_id, [entry.resource])
    return len(orphans)


async def _orphans(archive: Archive, resource: ResourceIdentifiers, last_alive: datetime) -> Sequence[str]:
    """The blobs below `resource` that belong to no instance, nor to a request that may be alive."""
    names = [name async for name in archive.blobs.list(keys.blob_prefix(resource))]
    rows = archive.catalog.read_instances(resource.study_instance_uid, resource.series_instance_uid)
    versions = {row.version async for row in rows}
    unexpected = [name for name in names if keys.instance_of_blob(name)[1] not in versions]
    return await orphans(archive, unexpected, last_alive)

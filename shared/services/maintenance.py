"""Finishing what processes that died left behind, found through the journal.

Idempotent, and safe while requests and other maintenance runs are at work: it deletes only blobs that no instance row
names and that belong to no request that may still be alive.
"""

import logging
from datetime import UTC, datetime, timedelta

from shared.identifiers import ResourceIdentifiers
from shared.services.delete import delete_instances
from shared.settings import Settings
from shared.storage import keys
from shared.storage.archive import Archive

_logger = logging.getLogger(__name__)


async def replay_journal(archive: Archive, settings: Settings, *, now: datetime | None = None) -> int:
    """Settle every journal entry of a request that must be dead by `now`; how many there were.

    A store is as far as its commits went: what it had not committed is removed. A delete is finished.
    """
    last_alive = (now or datetime.now(UTC)) - timedelta(seconds=2 * settings.max_request_seconds)
    abandoned = [entry async for entry in archive.journal.read() if entry.started < last_alive]
    for entry in abandoned:
        resource = ResourceIdentifiers.of_path(entry.resource)
        if entry.transaction == "delete":
            await delete_instances(archive, resource)
        removed = await _remove_orphans(archive, resource, last_alive)
        await archive.journal.remove(entry.request_id, [entry.resource])
        _logger.warning(
            "The %s request %s of %s was abandoned; %d blobs removed.",
            entry.transaction,
            entry.request_id,
            entry.started,
            removed,
        )
    return len(abandoned)


async def _remove_orphans(archive: Archive, resource: ResourceIdentifiers, last_alive: datetime) -> int:
    """Remove the blobs below `resource` that belong to no instance; how many there were."""
    # The order matters: a request that begins after the listing has no blob in it; one that ends before the journal is
    # read has its rows in place.
    names = [name async for name in archive.blobs.list(keys.blob_prefix(resource))]
    alive = {entry.request_id async for entry in archive.journal.read() if entry.started >= last_alive}
    orphans = []
    for name in names:
        identifiers, version = keys.instance_of_blob(name)
        if not version.startswith(tuple(alive)):
            row = await archive.catalog.read_instance(identifiers)
            if row is None or row.version != version:
                orphans.append(name)
    await archive.blobs.delete(orphans)
    return len(orphans)

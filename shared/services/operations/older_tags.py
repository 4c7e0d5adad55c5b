"""Waiting for whoever indexes by an earlier set of extended query tags."""

from shared.services.repair.leftovers import last_alive_at
from shared.settings import Settings
from shared.storage.archive import Archive


async def is_indexed_before(archive: Archive, settings: Settings, generation: int) -> bool:
    """Whether a request may be at work that indexes by a set of tags of an earlier generation.

    Nobody begins to any more who inserts an entry TAG_CACHE_SECONDS after the set was changed: so once this is False,
    what was indexed by an earlier set is in the catalog. 1 storage operation for each 1,000 entries that are not done.
    """
    last_alive = last_alive_at(settings)
    return any(
        [entry.may_be_alive(last_alive) and entry.indexes_before(generation) async for entry in archive.journal.read()]
    )

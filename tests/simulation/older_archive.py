"""An archive as a release without a change feed has left it."""

from azure.data.tables import UpdateMode

from shared.storage import keys
from shared.storage.archive import Archive
from tests.simulation.world import World


async def store_all(world: World) -> None:
    """Store the first content of every instance that clients may store."""
    for study in sorted({instance.study for instance in world.known}):
        await world.store(*{one.uids: one for one in reversed(world.known) if one.study == study}.values())


async def make_old(archive: Archive) -> None:
    """Take from an archive, at rest, all that came with the change feed."""
    catalog, journal = archive.catalog._table, archive.journal._table
    async for entity in catalog.list_entities():
        if keys.is_change_row(entity["RowKey"]):
            await catalog.delete_entity(entity)
        elif entity["RowKey"] == keys.STUDY_ROW:
            del entity["revision"]
            await catalog.upsert_entity(entity, mode=UpdateMode.REPLACE)
    async for entity in journal.list_entities():
        await journal.delete_entity(entity)

"""Leaving what is stored as a release before the change feed has left it."""

from azure.data.tables import UpdateMode

from shared.dicom.identifiers import ResourceIdentifiers, StudyKey
from shared.storage import keys
from shared.storage.archive import Archive


async def as_before_the_feed(archive: Archive, study: StudyKey) -> None:
    """Take from a study and its requests' entries what such a release does not write."""
    catalog, journal = archive.catalog._table, archive.journal._table
    entity = await catalog.get_entity(keys.study_partition(study), keys.STUDY_ROW)
    del entity["revision"]
    await catalog.upsert_entity(entity, mode=UpdateMode.REPLACE)
    await archive.outbox.remove(study, await archive.outbox.read_revisions(study))
    async for entry in journal.list_entities():
        _, resource = keys.entry_of_journal_row(entry["RowKey"])
        if ResourceIdentifiers.of_path(resource).study != study:
            continue
        if entry["done"]:
            await journal.delete_entity(entry)
        else:
            kept = {name: value for name, value in entry.items() if name not in ("changed", "done")}
            await journal.upsert_entity(kept, mode=UpdateMode.REPLACE)

"""An archive on its own Azurite, with the SDKs' clients beside it, for damage that no service would do."""

import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient
from azure.storage.blob.aio import ContainerClient

from shared.archive.instance import InstanceFacts
from shared.archive.terms import Term
from shared.services.repair.consistency import examine
from shared.services.repair.differences import Difference, Kind
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage import keys
from shared.storage.archive import Archive
from shared.storage.catalog_rows import Tombstone
from tests.support.default_partition import study_key

Entity = dict[str, Any]


@dataclass(frozen=True)
class RawArchive:
    archive: Archive
    other: Archive
    """The same archive as another process has opened it."""
    settings: Settings
    stores: StoreService
    container: ContainerClient
    tables: dict[str, TableClient]

    async def row(self, study: str, row_key: str) -> Entity:
        return dict(await self.tables["catalog"].get_entity(study, row_key))

    async def replace_row(self, entity: Entity) -> None:
        await self.tables["catalog"].upsert_entity(entity, mode=UpdateMode.REPLACE)

    async def remove_row(self, study: str, row_key: str) -> None:
        await self.tables["catalog"].delete_entity(study, row_key)

    async def change_packed(self, study: str, row_key: str, name: str, value: Any) -> None:
        await self.replace_row(
            {**await self.row(study, row_key), f"{name}0": zlib.compress(json.dumps(value).encode())}
        )

    async def posting(self, term: Term, study: str, created: datetime) -> None:
        await self.archive.postings.add(study_key(study), created, [term])

    async def remove_posting(self, term: Term, study: str) -> None:
        await self.archive.postings.remove(study_key(study), await self.created(study), [term])

    async def created(self, study: str) -> datetime:
        created: datetime = (await self.row(study, "study"))["created"]
        return created

    async def instances(self, study: str) -> list[InstanceFacts]:
        return [row async for row in self.archive.catalog.read_instances(study_key(study))]

    async def differences(self, **options: Any) -> list[Difference]:
        return [difference async for difference in examine(self.archive, self.settings, **options)]

    async def kinds(self, **options: Any) -> list[tuple[Kind, str | None]]:
        found = await self.differences(**options)
        return [(one.kind, one.study.study_instance_uid if one.study else None) for one in found]

    async def everything_of(self, study: str) -> dict[str, Any]:
        """Every row, posting, journal entry and blob of a study, with its ETag."""
        found: dict[str, Any] = {}
        for name, table in self.tables.items():
            async for entity in table.list_entities():
                if study in f"{entity['PartitionKey']} {entity['RowKey']}":
                    found[f"{name} {entity['PartitionKey']} {entity['RowKey']}"] = entity.metadata["etag"]
        async for blob in self.container.list_blobs(name_starts_with=f"{study}/"):
            found[blob.name] = blob.etag
        return found

    async def left_of(self, study: str) -> list[str]:
        """The same of a study that has gone, but for what stays: its tombstone, changes and requests that are done."""
        found = set(await self.everything_of(study))
        tombstone = isinstance(await self.archive.catalog.read_before(study_key(study)), Tombstone)
        stays = {f"catalog {study} study"} if tombstone else set()
        stays |= {f"catalog {study} {keys.change_row(one)}" for one in await self.revisions(study)}
        stays |= {
            f"journal {keys.journal_shard(entry.request_id)} {keys.journal_row(entry.request_id, entry.resource)}"
            async for entry in self.archive.journal.read_ready()
            if entry.is_done
        }
        return sorted(found - stays)

    async def revisions(self, study: str) -> list[int]:
        """The revisions of a study whose changes wait for the feed."""
        return await self.archive.outbox.read_revisions(study_key(study))

    async def remove_entries(self, study: str) -> None:
        """Remove every journal entry of a study."""
        async for entity in self.tables["journal"].list_entities():
            if study in entity["RowKey"]:
                await self.tables["journal"].delete_entity(entity)

    async def empty(self) -> None:
        for table in self.tables.values():  # Azurite removes a table at once, but rows one by one
            await table.delete_table()
            await table.create_table()
        await self.archive.blobs.delete([name async for name in self.container.list_blob_names()])
        for archive in (self.archive, self.other):
            await archive.tags.read()


@asynccontextmanager
async def opened(connection_string: str) -> AsyncIterator[RawArchive]:
    settings = Settings(storage_connection_string=connection_string, create_storage=True)
    archive, other = await Archive.open(settings), await Archive.open(settings)
    names = ("catalog", "terms", "journal", "feed", "tags")
    tables = {name: TableClient.from_connection_string(connection_string, name) for name in names}
    container = ContainerClient.from_connection_string(connection_string, "dicom")
    yield RawArchive(archive, other, settings, StoreService(archive, settings), container, tables)
    for opened_archive in (archive, other):
        await opened_archive.close()
    await container.close()
    for table in tables.values():
        await table.close()

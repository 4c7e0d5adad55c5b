"""A backup of an archive, and what its container really holds."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from azure.storage.blob.aio import BlobLeaseClient, ContainerClient

from shared.dicom.identifiers import StudyKey
from shared.services.backup.backup import BackedUp, back_up
from shared.services.backup.restore import Restored, restore, restore_study
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.backup_container import BackupContainer, Snapshot
from shared.storage.blob_names import blobs_of
from shared.storage.catalog_rows import instance_facts
from shared.storage.snapshot_rows import is_instance
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import new_uid

RETENTION: Final = timedelta(days=30)


@dataclass(frozen=True)
class Backup:
    """A backup of `raw`, whose settings it has; `container` is where it is, as the SDK sees it."""

    raw: RawArchive
    settings: Settings
    opened: BackupContainer
    container: ContainerClient

    async def run(self, *, erased: Collection[StudyKey] = (), after: timedelta = timedelta()) -> BackedUp:
        """A run, or one that much later."""
        done, now = BackedUp(), datetime.now(UTC) + after
        await back_up(self.raw.archive, self.opened, self.settings, done, erased=erased, now=now)
        return done

    async def restore(self, *, at: datetime | None = None, merges: bool = False) -> Restored:
        done = Restored()
        await restore(self.raw.archive, self.opened, self.settings, done, at=at, merges=merges)
        return done

    async def restore_study(self, study: StudyKey, *, at: datetime | None = None) -> Restored:
        done = Restored()
        await restore_study(self.raw.archive, self.opened, self.settings, study, done, at=at)
        return done

    async def names(self, prefix: str = "") -> list[str]:
        return [name async for name in self.container.list_blob_names(name_starts_with=prefix)]

    async def snapshots(self) -> list[Snapshot]:
        return [snapshot async for found in self.opened.snapshots() for snapshot in found]

    async def check(self) -> set[str]:
        """Check that every snapshot is whole; return the copies that no snapshot names."""
        copies = {name.removeprefix("files/") for name in await self.names("files/")}
        named = set()
        for snapshot in await self.snapshots():
            if not snapshot.is_gone:
                async for entity in self.opened.read_rows(snapshot):
                    if is_instance(entity):
                        named |= set(blobs_of(instance_facts(snapshot.study, entity)))
        assert named <= copies
        return copies - named

    async def break_lock(self) -> None:
        """Do what a minute does after whoever held the lock has died."""
        lock = self.container.get_blob_client("lock")
        if await lock.exists() and (await lock.get_blob_properties()).lease.state == "leased":
            await BlobLeaseClient(lock).break_lease(0)


@asynccontextmanager
async def backup_of(raw: RawArchive, connection_string: str) -> AsyncIterator[Backup]:
    """A new, empty backup in the account of a connection string."""
    name = f"backup-{new_uid()[-12:].replace('.', '0')}"
    settings = replace(raw.settings, backup_connection_string=connection_string, backup_container=name)
    opened = await BackupContainer.open(settings)
    async with ContainerClient.from_connection_string(connection_string, name) as container:
        yield Backup(raw, settings, opened, container)
    await opened.close()


async def rows_of(archive: Archive, study: StudyKey) -> list[dict[str, object]]:
    """All rows of a study, with all their properties but its revision, which a restore brings to another."""
    rows = [dict(row.entity) async for row in archive.catalog.read_rows(study)]
    del rows[-1]["revision"]
    return rows

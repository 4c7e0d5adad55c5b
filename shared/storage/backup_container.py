"""The container of a backup, and what its blobs are called. No blob in it is ever overwritten.

| blob | holds |
| --- | --- |
| ``files/{name}`` | a copy of the archive's blob of that name |
| ``studies/{study},{number}.{revision}`` | a snapshot: the study's rows at a revision, by a hash of its ETag |
| ``studies/{study},{number}.gone`` | nothing: since then the archive has no such study |
| ``lock`` | nothing; leased while a backup is under way |

``{study}`` is the study's partition key in the catalog, followed by a comma, which sorts before all that a longer key
may go on with: so studies are listed in the order in which the catalog lists them. A snapshot is written after copies
of all blobs that its rows name, and removed before them: whatever is listed is whole. Number 0 is always ``gone``: as
long as it is there, there may be copies that no snapshot names.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import ContainerClient

from shared.dicom.identifiers import ResourceIdentifiers, StudyKey
from shared.settings import Settings
from shared.storage import keys
from shared.storage.account import BackupAccount
from shared.storage.backup_lock import BackupLock
from shared.storage.blob_names import blob_prefix
from shared.storage.blobs import InstanceBlobs
from shared.storage.snapshot_file import SnapshotWriter, read_rows

_FILES: Final = "files/"
_STUDIES: Final = "studies/"
_GONE: Final = "gone"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the backup holds of a study as one run found it; `number` counts up within the study.

    `revision` tells the study's ETag; "" says that the archive has no such study. `taken` is the backup's time, not the
    archive's.
    """

    study: StudyKey
    number: int
    revision: str
    taken: datetime = field(default_factory=lambda: datetime.now(UTC), compare=False)

    @property
    def is_gone(self) -> bool:
        """Whether the archive had no such study."""
        return not self.revision


def revision_of(etag: str) -> str:
    """What a snapshot's name has of an ETag."""
    return hashlib.sha256(etag.encode()).hexdigest()[:32]


def file_name(blob_name: str) -> str:
    """The name of the copy of a blob of the archive."""
    return f"{_FILES}{blob_name}"


class BackupContainer:
    """The container of a backup. Belongs to the event loop it was opened on."""

    def __init__(self, container: ContainerClient, account: BackupAccount) -> None:
        self._container = container
        self._account = account
        self._snapshots = InstanceBlobs(container, account.blob_requests, content_type="application/gzip")
        self.files = InstanceBlobs(container, account.blob_requests)
        self.lock = BackupLock(container)

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Open the container that the settings name; where they say so, create it.

        Raises SettingsError when they do not name one storage account.
        """
        account = BackupAccount.of(settings)
        container = account.blobs.get_container_client(settings.backup_container)
        if settings.create_storage:
            with suppress(ResourceExistsError):
                await container.create_container()
        return cls(container, account)

    async def snapshots(self, study: StudyKey | None = None) -> AsyncIterator[list[Snapshot]]:
        """The snapshots of each study that has any, or of one study, oldest first; 5,000 an operation."""
        prefix = _STUDIES if study is None else f"{_STUDIES}{keys.study_partition(study)},"
        found: list[Snapshot] = []
        async for blob in self._container.list_blobs(name_starts_with=prefix):
            snapshot = _snapshot(blob.name, blob.last_modified)
            if found and snapshot.study != found[0].study:
                yield found
                found = []
            found.append(snapshot)
        if found:
            yield found

    async def note_gone(self, study: StudyKey, number: int) -> Snapshot:
        """Note that the archive has no such study, after the snapshot before `number`."""
        snapshot = Snapshot(study, number, "")
        await self._snapshots.put(_name(snapshot), b"")
        return snapshot

    def writer(self, snapshot: Snapshot) -> SnapshotWriter:
        """What writes the rows of a new snapshot."""
        return SnapshotWriter(self._snapshots, _name(snapshot))

    def read_rows(self, snapshot: Snapshot) -> AsyncIterator[dict[str, Any]]:
        """The rows of a snapshot, in key order. Raises DamagedSnapshot."""
        return read_rows(self._snapshots, _name(snapshot))

    async def blobs_of_study(self, study: StudyKey) -> set[str]:
        """The names of the archive's blobs of a study of which there are copies, 5,000 an operation."""
        prefix = file_name(blob_prefix(ResourceIdentifiers(study)))
        return {name.removeprefix(_FILES) async for name in self.files.list(prefix)}

    async def remove_copies(self, blob_names: Sequence[str]) -> None:
        """Remove copies of the archive's blobs of these names."""
        await self.files.delete([file_name(name) for name in blob_names])

    async def remove_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Remove snapshots, but not the copies that they name."""
        await self._snapshots.delete([_name(snapshot) for snapshot in snapshots])

    async def close(self) -> None:
        """Close the connections."""
        await self._account.close()


def _name(snapshot: Snapshot) -> str:
    revision = snapshot.revision or _GONE
    return f"{_STUDIES}{keys.study_partition(snapshot.study)},{snapshot.number:010d}.{revision}"


def _snapshot(name: str, taken: datetime) -> Snapshot:
    partition_key, _, rest = name.removeprefix(_STUDIES).rpartition(",")
    number, _, revision = rest.partition(".")
    return Snapshot(keys.study_of_partition(partition_key), int(number), "" if revision == _GONE else revision, taken)

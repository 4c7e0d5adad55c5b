"""What holds for a backup, however its runs went: it is whole, and after one that ends it is what the archive is."""

import hashlib
from collections.abc import AsyncIterator

from shared.archive.instance import InstanceFacts
from shared.services.backup.backup import BackedUp
from shared.storage.backup_container import BackupContainer, Snapshot, file_name
from shared.storage.blob_names import blobs_of, instance_blob
from shared.storage.catalog_rows import instance_facts
from shared.storage.snapshot_rows import is_instance
from tests.support.archive_model import Uids


async def check_backup(backup: BackupContainer, present: frozenset[Uids], done: BackedUp | None) -> None:
    """Check that each snapshot is whole, and that a run which is `done` has brought the newest ones up to date."""
    newest: set[Uids] = set()
    async for snapshots in backup.snapshots():
        copies = await backup.blobs_of_study(snapshots[0].study)
        for snapshot in snapshots:
            instances = [] if snapshot.is_gone else [one async for one in _instances(backup, snapshot)]
            assert {name for one in instances for name in blobs_of(one)} <= copies, snapshot
            for one in instances:
                copied = await backup.files.read_all(file_name(instance_blob(one.identifiers, one.blob_version)))
                assert hashlib.sha256(copied).hexdigest() == one.sha256, one
        newest |= {
            (one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid)
            for one in (instance.identifiers for instance in instances)
        }
    if done is None:  # the archive has none of these studies, so it might be another one
        assert {uids[0] for uids in newest}.isdisjoint(uids[0] for uids in present)
    else:
        assert done.failures == []
        assert newest == present, f"The backup has {sorted(newest)}, the archive {sorted(present)}."


async def _instances(backup: BackupContainer, snapshot: Snapshot) -> AsyncIterator[InstanceFacts]:
    async for entity in backup.read_rows(snapshot):
        if is_instance(entity):
            yield instance_facts(snapshot.study, entity)

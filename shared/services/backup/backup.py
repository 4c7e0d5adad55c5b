"""Backing an archive up: whatever changed since the last run, study by study, in any number of runs.

A study's snapshot is its rows at one revision, written once all blobs that they name have copies. What the archive no
longer has stays in the backup for a while: a snapshot goes when the next one of its study is older than that, and with
it the copies that no other snapshot of the study names. Wherever a run ends, the next one goes on: all that it needs to
know is in the two listings that it reads.

Requests may be at work meanwhile. The study row's ETag, new with every commit, tells whether the rows that were read
are of one revision. A delete removes rows before blobs, so a missing blob is damage only where the ETag still stands.
"""

import zlib
from collections.abc import Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Final

from shared.dicom.identifiers import ResourceIdentifiers, StudyKey
from shared.errors import NotFound
from shared.services.backup.copies import CopiedBlob, DamagedBlob, blobs_to_copy, copy
from shared.services.backup.study_pairs import StudyPair, settle_each, study_pairs
from shared.settings import Settings
from shared.storage import blob_names
from shared.storage.archive import Archive
from shared.storage.backup_container import BackupContainer, Snapshot, file_name, revision_of
from shared.storage.catalog import CatalogRow
from shared.storage.catalog_rows import instance_facts
from shared.storage.parallel import in_parallel
from shared.storage.snapshot_file import DamagedSnapshot, SnapshotWriter
from shared.storage.snapshot_rows import is_instance, is_study

_BLOBS_AT_ONCE: Final = 4  # of each study, of up to 4 MiB each
_ROWS_AT_ONCE: Final = 100
_LOOKS: Final = 6
_UNREADABLE: Final = (KeyError, ValueError, zlib.error)

_DAMAGED: Final = "A file is missing, or not what was stored: `fsck --deep` names it. The last snapshot stays."
_UNREADABLE_ROW: Final = "A row cannot be read: see `fsck`. The last snapshot stays."
_NO_STUDY_ROW: Final = "It has rows, but none of its own: `fsck --repair` mends that. The last snapshot stays."
_BUSY: Final = "Requests kept changing it: the next backup tries again."
_DAMAGED_SNAPSHOT: Final = "A snapshot of it in the backup cannot be read, so nothing of it is removed."


class OtherArchive(Exception):
    """The archive has none of the studies that the backup has."""


@dataclass(slots=True)
class BackedUp:
    """What a run did: studies that it looked at, `taken` a snapshot of, or found `gone` since the last run.

    `removed` are the snapshots whose time was over. `failures`: why of which study no snapshot could be taken, or
    nothing removed.
    """

    studies: int = 0
    taken: int = 0
    gone: int = 0
    blobs: int = 0
    bytes: int = 0
    removed: int = 0
    failures: list[tuple[StudyKey, str]] = field(default_factory=list)


async def back_up(
    archive: Archive,
    backup: BackupContainer,
    settings: Settings,
    done: BackedUp,
    *,
    erased: Collection[StudyKey] = frozenset(),
    now: datetime | None = None,
) -> None:
    """Bring the backup up to date; of the studies in `erased`, it forgets at once what the archive no longer has.

    `done` counts as it goes. Raises OtherArchive, BackupUnderWay and LockLost.
    """
    async with backup.lock.held():
        await _check_same(archive, backup, erased)
        last_kept = (now or datetime.now(UTC)) - timedelta(days=settings.backup_retention_days)
        run = _Run(archive, backup, done, last_kept, erased)
        await settle_each(study_pairs(archive, backup), run.settle)


async def _check_same(archive: Archive, backup: BackupContainer, erased: Collection[StudyKey]) -> None:
    """Raises OtherArchive: all that the backup has would be noted as gone, and removed in time."""
    has_any = False
    async with aclosing(study_pairs(archive, backup)) as pairs:
        async for pair in pairs:
            if pair.snapshots and not pair.snapshots[-1].is_gone:
                if pair.etag is not None or pair.study in erased:
                    return
                has_any = True
    if has_any:
        raise OtherArchive


class _Run:
    """One run: what is to be done for a study, and what has been."""

    def __init__(
        self,
        archive: Archive,
        backup: BackupContainer,
        done: BackedUp,
        last_kept: datetime,
        erased: Collection[StudyKey],
    ) -> None:
        self._archive = archive
        self._backup = backup
        self._done = done
        self._last_kept = last_kept
        self._erased = erased

    async def settle(self, pair: StudyPair) -> None:
        """Make the backup of a study what it should be."""
        snapshots = list(pair.snapshots)
        if pair.etag is None:
            await self._note_gone(pair.study, snapshots)
        else:
            self._done.studies += 1
            if not snapshots or snapshots[-1].revision != revision_of(pair.etag):
                await self._take(pair.study, pair.etag, snapshots)
        await self._remove_old(pair, snapshots)

    async def _note_gone(self, study: StudyKey, snapshots: list[Snapshot]) -> None:
        if snapshots[-1].is_gone:
            return
        # It may have been deleted and stored again while the catalog was listed.
        if not await self._archive.catalog.has_rows(study):
            snapshots.append(await self._backup.note_gone(study, snapshots[-1].number + 1))
            self._done.gone += 1
        elif await self._archive.catalog.read_etag(ResourceIdentifiers(study)) is None:
            self._fail(study, _NO_STUDY_ROW)

    async def _take(self, study: StudyKey, etag: str, snapshots: list[Snapshot]) -> None:
        """Take a snapshot of a study that had this ETag, and append it."""
        if not snapshots:  # else nothing would lead to the copies of a study that never gets a snapshot
            snapshots.append(await self._backup.note_gone(study, 0))
        expected: str | None = etag
        copied = await self._backup.blobs_of_study(study)
        for _ in range(_LOOKS):
            if expected is None:  # it has been deleted: the next run notes it
                return
            snapshot = Snapshot(study, snapshots[-1].number + 1, revision_of(expected))
            writer, failure = self._backup.writer(snapshot), ""
            try:
                found = await self._copy_study(study, writer, copied)
            except (NotFound, DamagedBlob):
                failure = _DAMAGED
            except _UNREADABLE:
                failure = _UNREADABLE_ROW
            if failure:
                found = await self._archive.catalog.read_etag(ResourceIdentifiers(study))
            if found == expected:
                if failure:
                    self._fail(study, failure)
                    return
                await writer.commit()
                snapshots.append(snapshot)
                self._done.taken += 1
                return
            expected = found
        self._fail(study, _BUSY)

    async def _copy_study(self, study: StudyKey, writer: SnapshotWriter, copied: set[str]) -> str | None:
        """Copy what a study's rows name and the backup lacks, and write the rows; return the ETag of its own row."""
        rows: list[CatalogRow] = []
        etag = None
        async for row in self._archive.catalog.read_rows(study):
            rows.append(row)
            if is_study(row.entity):
                etag = row.etag
            if len(rows) == _ROWS_AT_ONCE:
                await self._copy_rows(study, writer, rows, copied)
                rows = []
        await self._copy_rows(study, writer, rows, copied)
        return etag

    async def _copy_rows(
        self, study: StudyKey, writer: SnapshotWriter, rows: Sequence[CatalogRow], copied: set[str]
    ) -> None:
        instances = [instance_facts(study, row.entity) for row in rows if is_instance(row.entity)]
        missing = [blob for facts in instances for blob in blobs_to_copy(facts) if blob.name not in copied]
        await in_parallel((self._copy(blob, copied) for blob in missing), at_once=_BLOBS_AT_ONCE)
        await writer.add([row.entity for row in rows])

    async def _copy(self, blob: CopiedBlob, copied: set[str]) -> None:
        source, target = (self._archive.blobs, blob.name), (self._backup.files, file_name(blob.name))
        size_bytes = await copy(blob, source, target)
        self._done.bytes += size_bytes
        self._done.blobs += 1
        copied.add(blob.name)

    async def _remove_old(self, pair: StudyPair, snapshots: Sequence[Snapshot]) -> None:
        """Remove the snapshots whose time is over, and the copies that only they name."""
        study = pair.study
        ended = [following.taken for following in snapshots[1:]]
        if pair.etag is None and snapshots[-1].is_gone:
            ended.append(snapshots[-1].taken)
        over = [*takewhile(lambda time: study in self._erased or time <= self._last_kept, ended)]
        if not over:
            return
        try:
            named = {name for snapshot in snapshots[len(over) :] for name in await self._names_of(snapshot)}
        except DamagedSnapshot:
            self._fail(study, _DAMAGED_SNAPSHOT)
            return
        held = [snapshot for snapshot in snapshots[: len(over)] if not snapshot.is_gone]
        marks = [snapshot for snapshot in snapshots[: len(over)] if snapshot.is_gone]
        if not marks:  # one that stays until the copies have gone leads the next run to them, if this one dies
            marks = [await self._backup.note_gone(study, 0)]
        await self._backup.remove_snapshots(held)
        copied = await self._backup.blobs_of_study(study)
        await self._backup.remove_copies(sorted(copied - named))
        await self._backup.remove_snapshots(marks)
        self._done.removed += len(held)

    async def _names_of(self, snapshot: Snapshot) -> set[str]:
        if snapshot.is_gone:
            return set()
        entities = self._backup.read_rows(snapshot)
        return {
            name
            async for entity in entities
            if is_instance(entity)
            for name in blob_names.blobs_of(instance_facts(snapshot.study, entity))
        }

    def _fail(self, study: StudyKey, why: str) -> None:
        self._done.failures.append((study, why))

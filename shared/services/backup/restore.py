"""Restoring an archive from its backup, or a study of it: as stores whose instances come from there.

Blobs are copied, and compared with what was stored; then the instances are entered as a store enters them, under the
study's lock, with the index and the journal. So requests may be at work meanwhile, an instance is there wholly or not
at all, and what the archive already has stays as it is. Wherever a restore ends, the next one goes on, and hands what
the earlier one has left over to maintenance; if none comes, maintenance removes what was not entered.
"""

import secrets
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Self

from shared.archive.extended_tags import TagSet
from shared.archive.instance import DicomJson, Elsewhere, InstanceFacts, InstanceMetadata, NewInstance
from shared.archive.study import StudyRecord, with_instances
from shared.archive.study_terms import terms_of
from shared.archive.tag_values import NO_VALUES, TagValues, without_tags
from shared.dicom.attributes import Level
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey
from shared.errors import NotFound
from shared.services.backup.copies import DamagedBlob, blobs_to_copy, copy
from shared.services.backup.study_pairs import StudyPair, settle_each, study_pairs
from shared.services.indexing.stored_tag_values import stored_tag_values
from shared.services.indexing.tag_sources import Place, Sources, attributes_of
from shared.services.repair.leftovers import orphans
from shared.services.repair.maintenance import replay_journal
from shared.services.write.back_pressure import BackPressure
from shared.services.write.commit import StudyCommits
from shared.services.write.intent import Intent
from shared.settings import Settings
from shared.storage import blob_names, keys
from shared.storage.archive import Archive
from shared.storage.backup_container import BackupContainer, Snapshot, file_name
from shared.storage.catalog_batches import fills_batch
from shared.storage.catalog_rows import (
    StudyRevision,
    instance_again,
    instance_facts,
    series_record,
    study_record,
)
from shared.storage.journal import JournalEntry, study_of
from shared.storage.parallel import in_parallel
from shared.storage.snapshot_file import DamagedSnapshot
from shared.storage.snapshot_rows import is_instance, is_study

_BLOBS_AT_ONCE: Final = 4  # of each study, of up to 4 MiB each
_UNREADABLE: Final = (DamagedSnapshot, KeyError, ValueError, zlib.error)

_AT_WORK: Final = "A delete of it is under way, or died in the last hour: restore again later."
_DAMAGED: Final = "Its copy in the backup is missing, or not what was stored."
_DAMAGED_SNAPSHOT: Final = "Its snapshot in the backup cannot be read; an older one may be, by --at."


class NothingToRestore(Exception):
    """The backup has no such study, or none at all, at that time."""


class NotEmpty(Exception):
    """The archive has studies that are not to be restored, so it may be another one."""


@dataclass(slots=True)
class Restored:
    """What a restore did: studies looked at, instances `entered`, and those that were `there` already.

    `different` of those have other content than the backup's. `failures`: why which instance, or study, was not
    restored.
    """

    studies: int = 0
    entered: int = 0
    there: int = 0
    different: int = 0
    bytes: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


async def restore(
    archive: Archive,
    backup: BackupContainer,
    settings: Settings,
    done: Restored,
    *,
    at: datetime | None = None,
    merges: bool = False,
) -> None:
    """Restore every study that the backup has, or had at a time. `done` counts as it goes.

    Raises NothingToRestore, and NotEmpty, unless the restore `merges`, before anything is changed.
    """
    await _check(archive, backup, at, merges)
    run = await _Run.begin(archive, backup, done)
    await settle_each(_chosen(archive, backup, at), run.settle)
    if run.is_left_to_maintenance:
        await replay_journal(archive, settings)


async def restore_study(
    archive: Archive,
    backup: BackupContainer,
    settings: Settings,
    study: StudyKey,
    done: Restored,
    *,
    at: datetime | None = None,
) -> None:
    """Restore one study, as the backup last had it, or had it at a time. Raises NothingToRestore."""
    snapshots = [snapshot async for found in backup.snapshots(study) for snapshot in found if not snapshot.is_gone]
    known = [snapshot for snapshot in snapshots if at is None or snapshot.taken <= at]
    if not known:
        raise NothingToRestore
    run = await _Run.begin(archive, backup, done)
    await run.settle(_Chosen(known[-1], may_be_there=True))
    if run.is_left_to_maintenance:
        await replay_journal(archive, settings)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A snapshot to restore, and whether the archive may have some of its study."""

    snapshot: Snapshot
    may_be_there: bool


def _of_time(pair: StudyPair, at: datetime | None) -> Snapshot | None:
    """The snapshot of a study at a time, by default the last one; None where the archive had no such study."""
    known = [snapshot for snapshot in pair.snapshots if at is None or snapshot.taken <= at]
    return known[-1] if known and not known[-1].is_gone else None


async def _chosen(archive: Archive, backup: BackupContainer, at: datetime | None) -> AsyncGenerator[_Chosen, None]:
    async with aclosing(study_pairs(archive, backup)) as pairs:
        async for pair in pairs:
            if (snapshot := _of_time(pair, at)) is not None:
                yield _Chosen(snapshot, may_be_there=pair.etag is not None)


async def _check(archive: Archive, backup: BackupContainer, at: datetime | None, merges: bool) -> None:
    has_any = False
    async with aclosing(study_pairs(archive, backup)) as pairs:
        async for pair in pairs:
            snapshot = _of_time(pair, at)
            has_any = has_any or snapshot is not None
            if pair.etag is not None and snapshot is None and not merges:
                raise NotEmpty
    if not has_any:
        raise NothingToRestore


@dataclass(frozen=True, slots=True)
class _Summary:
    """What a snapshot says of its study: the study's record, without its series, and the attributes of each series."""

    study: StudyRecord
    series: Mapping[str, DicomJson]

    def beside(self, there: StudyRecord) -> Self:
        """The same with the attributes that the study has in the archive, which stay; values of tags stay anyway."""
        series = {uid: without_tags(record.attributes) for uid, record in there.series.items()}
        study = replace(self.study, attributes=without_tags(there.attributes))
        return replace(self, study=study, series={**self.series, **series})


class _Run:
    """One run: the studies that it restores, and what has been done."""

    def __init__(
        self, archive: Archive, backup: BackupContainer, done: Restored, entries: dict[StudyKey, list[JournalEntry]]
    ) -> None:
        self._archive = archive
        self._backup = backup
        self._done = done
        self._entries = entries
        self._request_id = secrets.token_hex(16)
        self._commits = StudyCommits(archive, BackPressure())
        self.is_left_to_maintenance = False

    @classmethod
    async def begin(cls, archive: Archive, backup: BackupContainer, done: Restored) -> Self:
        entries: dict[StudyKey, list[JournalEntry]] = {}
        async for entry in archive.journal.read():
            entries.setdefault(study_of(entry), []).append(entry)
        return cls(archive, backup, done, entries)

    async def settle(self, chosen: _Chosen) -> None:
        """Restore what the archive lacks of a study."""
        snapshot, study = chosen.snapshot, chosen.snapshot.study
        self._done.studies += 1
        entries = self._entries.get(study, [])
        if any(entry.transaction == "delete" for entry in entries):
            # What a delete has left to be done would be done to what is restored.
            self._done.failures.append((study.path, _AT_WORK))
            return
        present, there = {}, None
        if chosen.may_be_there:
            present = {row.identifiers: row async for row in self._archive.catalog.read_instances(study)}
        try:
            summary = await self._summary(snapshot)
            if present and (there := await self._archive.catalog.read_study(study)) is not None:
                summary = summary.beside(there.record)
            restoring = _Study(self._archive, summary.study, self._request_id, there)
            async for batch in self._batches(snapshot, summary, present):
                await self._enter(restoring, batch)
            await restoring.end()
            # Not before: until now, maintenance could not tell their blobs from those that are being restored.
            for earlier in (entry for entry in entries if entry.transaction == "restore"):
                await self._archive.journal.mark_over(earlier)
                self.is_left_to_maintenance = True
        except _UNREADABLE:
            self._done.failures.append((study.path, _DAMAGED_SNAPSHOT))

    async def _summary(self, snapshot: Snapshot) -> _Summary:
        study, series = None, {}
        async for entity in self._backup.read_rows(snapshot):
            if is_study(entity):
                study = study_record(snapshot.study, entity, {}, frozenset())
                study = replace(study, attributes=without_tags(study.attributes))
            elif not is_instance(entity):
                record = series_record(entity)
                series[record.series_instance_uid] = without_tags(record.attributes)
        if study is None:
            raise DamagedSnapshot
        return _Summary(study, series)

    async def _batches(
        self, snapshot: Snapshot, summary: _Summary, present: dict[InstanceIdentifiers, InstanceFacts]
    ) -> AsyncIterator[list[NewInstance]]:
        """The instances that the archive lacks, as many at a time as one commit enters."""
        batch: list[NewInstance] = []
        async for entity in self._backup.read_rows(snapshot):
            if not is_instance(entity):
                continue
            facts = instance_facts(snapshot.study, entity)
            if facts.identifiers in present:
                self._note_there(facts, present[facts.identifiers])
                continue
            series = summary.series.get(facts.identifiers.series_instance_uid, {})
            batch.append(instance_again(snapshot.study, entity, summary.study.attributes, series))
            if fills_batch(batch):
                yield batch
                batch = []
        if batch:
            yield batch

    async def _enter(self, restoring: "_Study", batch: Sequence[NewInstance]) -> None:
        """Copy the blobs of instances and enter them; one of which a blob is damaged is left out."""
        intent = await restoring.begin(batch[0])
        whole = await in_parallel((self._copy(instance.facts) for instance in batch), at_once=_BLOBS_AT_ONCE)
        copied = [instance for instance, is_whole in zip(batch, whole, strict=True) if is_whole]
        values = await in_parallel(self._values_of(instance, intent.tags) for instance in copied)
        instances = [restoring.indexed(*one, intent.tags.names) for one in zip(copied, values, strict=True)]
        existing = await self._commits.commit(instances, intent) if instances else {}
        needless = []
        for instance in instances:
            there = existing.get(instance.facts.blob_version)
            if there is None:
                self._done.entered += 1
                continue
            self._note_there(instance.facts, there)
            needless += blob_names.blobs_of(instance.facts)
        damaged = [instance.facts for instance, is_whole in zip(batch, whole, strict=True) if not is_whole]
        needless += [name for facts in damaged for name in blob_names.blobs_of(facts)]
        await self._archive.blobs.delete(await orphans(self._archive, needless))

    async def _copy(self, facts: InstanceFacts) -> bool:
        """Copy the blobs of an instance; False where one of them is damaged."""
        try:
            for blob in blobs_to_copy(facts):
                source, target = (self._backup.files, file_name(blob.name)), (self._archive.blobs, blob.name)
                size_bytes = await copy(blob, source, target)
                self._done.bytes += size_bytes
        except (DamagedBlob, NotFound):
            self._done.failures.append((facts.identifiers.path, _DAMAGED))
            return False
        return True

    async def _values_of(self, instance: NewInstance, tags: TagSet) -> TagValues:
        """What an instance has of the archive's tags: those in the backup may be of others."""
        facts = instance.facts
        metadata = Elsewhere.IN_BLOB if facts.has_metadata_blob else instance.metadata
        record = InstanceMetadata(facts.identifiers, facts.blob_version, metadata)
        try:
            return await stored_tag_values(self._archive, record, tags.indexed)
        except (NotFound, ValueError):  # damaged as it was before: a check of the archive tells
            return NO_VALUES

    def _note_there(self, ours: InstanceFacts, there: InstanceFacts) -> None:
        self._done.there += 1
        self._done.different += ours.sha256 != there.sha256


class _Study:
    """A study being restored, its journal entry, and which instances so far give values of tags to it and its series.

    What `there` has of tags, the study as it was before, stays.
    """

    def __init__(self, archive: Archive, record: StudyRecord, request_id: str, there: StudyRevision | None) -> None:
        self._archive = archive
        self._there = there.record if there is not None else replace(record, series={}, attributes={})
        self._place = Place()
        self._created = record.created
        self._path = record.key.path
        self._request_id = request_id
        self._intent: Intent | None = None

    async def begin(self, first: NewInstance) -> Intent:
        """Return once the journal says that instances are being restored, from now on; `first` is one of them."""
        if self._intent is None:
            entry = JournalEntry(self._request_id, "restore", datetime.now(UTC), self._path)
            tags = await self._archive.tags.recent()
            self._intent = Intent(self._archive, entry, first_stored=self._created, tags=tags)
        else:
            await self._intent.renew()
        await self._intent.declare(terms_of(with_instances(None, [first], self._created)), self._created)
        return self._intent

    def indexed(self, instance: NewInstance, values: TagValues, names: Collection[str]) -> NewInstance:
        """The next instance, with its values of the tags of these names, by which the study is indexed now.

        To study and series, where they had none before, it brings those of the latest instance so far.
        """
        uids, level = instance.facts.identifiers, values.by_level
        self._place = self._place.past(
            keys.row_of_instance(uids), instance.facts, level[Level.STUDY], level[Level.SERIES]
        )
        series = self._there.series.get(uids.series_instance_uid)

        def given(sources: Sources, there: DicomJson) -> DicomJson:
            return {name: one for name, one in attributes_of(sources).items() if name in names and name not in there}

        of_study = given(self._place.of_study, self._there.attributes)
        of_series = given(self._place.of_series, series.attributes if series else {})
        return replace(
            instance,
            facts=replace(instance.facts, tags=level[Level.INSTANCE]),
            study_attributes={**instance.study_attributes, **of_study},
            series_attributes={**instance.series_attributes, **of_series},
        )

    async def end(self) -> None:
        """Note in the journal that nothing is left to be done."""
        if self._intent is not None:
            await self._intent.finish()

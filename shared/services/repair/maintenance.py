"""Finishing what dead processes left behind, found through the journal.

Idempotent, and safe while requests and other maintenance runs are at work: it deletes only blobs that no instance row
names and that belong to no request that may still be alive, and postings that nothing needs.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.archive.study_terms import terms_of_instance
from shared.archive.terms import Term
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers, StudyKey
from shared.failures import described
from shared.services.repair.leftovers import last_alive_at, lasting_orphans, orphans
from shared.services.write.contention import StudyContended
from shared.services.write.delete import resume_delete
from shared.services.write.needless_postings import remove_needless_postings
from shared.settings import Settings
from shared.storage import blob_names
from shared.storage.archive import Archive
from shared.storage.journal import JournalEntry, study_of
from shared.storage.parallel import in_parallel

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Replay:
    """What a run of maintenance found and did.

    `oldest_entry_seconds` is the age, when the run began, of the oldest journal entry, including those of live
    requests; 0 if there is none. `failures` are studies that could not be settled.
    """

    oldest_entry_seconds: float = 0
    settled_entries: int = 0
    removed_blobs: int = 0
    failures: int = 0


async def replay_journal(archive: Archive, settings: Settings, *, now: datetime | None = None) -> Replay:
    """Settle every journal entry of a request that must be dead by `now`, where possible.

    What a store has committed stays, and the rest is removed. A delete is finished.
    """
    now = now or datetime.now(UTC)
    last_alive = last_alive_at(settings, now)
    abandoned: dict[StudyKey, list[JournalEntry]] = {}
    replay = Replay()
    async for entry in archive.journal.read():
        replay.oldest_entry_seconds = max(replay.oldest_entry_seconds, (now - entry.started).total_seconds())
        if not entry.may_be_alive(last_alive):
            abandoned.setdefault(study_of(entry), []).append(entry)
    for study_key, entries in abandoned.items():
        uid = study_key.study_instance_uid
        try:
            removed = await _settle(archive, study_key, entries, last_alive)
        except Exception as error:  # noqa: BLE001 -- it is logged, without its message
            # Other studies are not affected, and the entries stay for the next run.
            replay.failures += 1
            _logger.error("Abandoned work on study %s is not settled: %s", uid, described(error))
            continue
        replay.settled_entries += len(entries)
        replay.removed_blobs += removed
        _logger.warning("Study %s: %d requests were abandoned, %d blobs removed.", uid, len(entries), removed)
    return replay


async def _settle(archive: Archive, study_key: StudyKey, entries: Sequence[JournalEntry], last_alive: datetime) -> int:
    """Do what dead requests have left undone in a study; return how many blobs were removed.

    For all requests together: what one left in the index, another's entry may name.
    """
    for entry in entries:
        # One that is over has removed its rows, and was answered: what has been committed since is not its to remove.
        if entry.transaction == "delete" and not entry.is_over:
            await resume_delete(archive, entry)
    left = await _orphans(archive, study_key, last_alive)
    # Postings go first: the blobs' names say which postings to look for.
    instances = {blob_names.instance_of_blob(name)[0] for name in left}
    await remove_needless_postings(
        archive,
        study_key,
        created=await _times(archive, study_key, entries, instances),
        terms=frozenset[Term]().union(*(entry.terms for entry in entries)),
        instances=instances,
    )
    await archive.blobs.delete(left)
    await in_parallel(archive.journal.mark_done(entry) for entry in entries)
    return len(left)


async def remove_orphans(archive: Archive, names: Sequence[str], last_alive: datetime) -> None:
    """Remove those of the blobs, listed before, that nothing needs, as `_settle` does. Raises StudyContended."""
    left = await lasting_orphans(archive, names, last_alive)
    instances = {blob_names.instance_of_blob(name)[0] for name in left}
    for study_key in {instance.study for instance in instances}:
        of_study = {instance for instance in instances if instance.study == study_key}
        entries = [entry async for entry in archive.journal.read() if study_of(entry) == study_key]
        dead = [entry for entry in entries if not entry.may_be_alive(last_alive)]
        created = await _times(archive, study_key, dead, of_study)
        await remove_needless_postings(archive, study_key, created=created, instances=of_study)
    await archive.blobs.delete(left)


async def _times(
    archive: Archive, study_key: StudyKey, entries: Sequence[JournalEntry], instances: Iterable[InstanceIdentifiers]
) -> frozenset[datetime]:
    """When the study was first stored: as it stands, or as dead requests knew or proposed, but not live ones."""
    dead = frozenset[datetime]().union(*(entry.created for entry in entries))
    # A request declares the time of a posting before it writes it, and is in the journal until the study has that time.
    terms = frozenset[Term]().union(*map(terms_of_instance, instances))
    postings = [posting for term in terms async for posting in archive.postings.read_term(study_key.partition, term)]
    alive = [entry async for entry in archive.journal.read() if entry not in entries]
    study = await archive.catalog.read_study(study_key)
    posted = {one.created for one in postings if one.study == study_key}
    proposed = frozenset[datetime]().union(*(entry.created for entry in alive))
    return dead | (posted - proposed) | ({study.record.created} if study else set())


async def _orphans(archive: Archive, study_key: StudyKey, last_alive: datetime) -> Sequence[str]:
    """The blobs of a study that belong to no instance and to no store that may be alive. Raises StudyContended."""
    # The order matters: a request that begins after the listing has no blob in it; one that ends before the journal is
    # read has its rows in place.
    folder = blob_names.blob_prefix(ResourceIdentifiers(study_key))
    # What another program has put there is not ours to judge.
    names = [name async for name in archive.blobs.list(folder) if blob_names.is_one_of_ours(name)]
    # A request whose entry of this study is dead is dead itself, even if it has begun later on another one.
    alive = [
        entry
        async for entry in archive.journal.read()
        if entry.may_be_alive(last_alive) and study_of(entry) == study_key
    ]
    if any(entry.transaction == "restore" for entry in alive):
        raise StudyContended  # its blobs cannot be told from others: the next run settles the study
    blob_versions = {row.blob_version async for row in archive.catalog.read_instances(study_key)}
    unexpected = [name for name in names if blob_names.instance_of_blob(name)[1] not in blob_versions]
    return await orphans(archive, unexpected, spared=[entry.request_id for entry in alive])

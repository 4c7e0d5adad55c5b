"""Whether an archive is as it always should be, and repairing it where it is not: `differences` lists what may differ.

All of it may run while requests are at work, and several times at once: a difference is reported only if the study did
not change while it was examined, and a repair looks again and acts under the study's lock, the ETag of its row. Each
part can be examined by itself, as an operation does (`shared/services/operations/verify.py`).

Storage operations: 1 for each 1,000 rows of the catalog and for each 5,000 studies in the container; those of each
study, of its files if `deep`, and of the index; where changes wait for the change feed, 1 for each 1,000 journal
entries and for each study; 1 for each 1,000 blocks of the feed. Memory holds one study at a time, the studies whose
changes wait, and two numbers for each study in the feed.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from shared.dicom.identifiers import StudyKey
from shared.services.repair.differences import Difference, Kind
from shared.services.repair.digest_check import examine_digests
from shared.services.repair.feed_order import broken_places
from shared.services.repair.index_check import examine_postings
from shared.services.repair.leftovers import last_alive_at, remove_surplus
from shared.services.repair.maintenance import remove_orphans, replay_journal
from shared.services.repair.rebuild import rebuild_study
from shared.services.repair.study_check import Examined, examine_study
from shared.services.repair.waiting_changes import lead_to_changes, stranded, unreadable
from shared.services.write.contention import StudyContended
from shared.settings import Settings
from shared.storage import blob_names
from shared.storage.archive import Archive
from shared.storage.journal import study_of
from shared.storage.parallel import in_parallel

_MENDED_BY_STUDY: Final = frozenset(
    {
        Kind.NO_STUDY_ROW,
        Kind.NO_SERIES_ROW,
        Kind.EMPTY_STUDY,
        Kind.EMPTY_SERIES,
        Kind.WRONG_COUNTS,
        Kind.UNLISTED_TERM,
        Kind.MISSING_POSTING,
        Kind.MISSING_TAG_VALUE,
        Kind.SURPLUS_TAG_VALUE,
    }
)


async def examine(
    archive: Archive,
    settings: Settings,
    *,
    now: datetime | None = None,
    deep: bool = False,
    examined: Examined | None = None,
) -> AsyncIterator[Difference]:
    """What differs in the archive. `deep` reads every file to compare its hash; `examined` counts as it goes."""
    counts = examined or Examined()
    last_alive = last_alive_at(settings, now)
    async for difference in examine_journal(archive, last_alive):
        yield difference
    waiting: dict[StudyKey, Sequence[int]] = {}
    async for rows in archive.catalog.read_study_rows():
        if rows.changes:
            waiting[rows.study] = rows.changes
        if rows.is_there:
            for difference in await examine_study(archive, rows.study, last_alive, counts):
                yield difference
            for difference in (await examine_digests(archive, rows.study))[0] if deep else ():
                yield difference
    async for difference in examine_changes(archive, waiting):
        yield difference
    async for difference in examine_feed(archive):
        yield difference
    async for folders, _ in archive.blobs.list_folder_pages():
        async for difference in examine_folders(archive, folders, last_alive, counts):
            yield difference
    async for _, surplus in examine_postings(archive, last_alive):
        counts.postings += 1
        if surplus is not None:
            yield surplus


async def examine_journal(archive: Archive, last_alive: datetime) -> AsyncIterator[Difference]:
    """The requests that died, and that maintenance has not finished yet."""
    async for entry in archive.journal.read():
        if not entry.may_be_alive(last_alive):
            yield Difference(Kind.ABANDONED_REQUEST, study_of(entry), entry.resource)


async def examine_changes(archive: Archive, waiting: Mapping[StudyKey, Sequence[int]]) -> AsyncIterator[Difference]:
    """What keeps changes from the feed that were seen waiting for it, by study and revision."""
    for study_key in await stranded(archive, waiting):
        yield Difference(Kind.STRANDED_CHANGES, study_key, study_key.path)
    async for study_key, row_key in unreadable(archive, waiting):
        yield Difference(Kind.UNREADABLE_CHANGE, study_key, f"{study_key.path}, {row_key}")


async def examine_feed(archive: Archive) -> AsyncIterator[Difference]:
    """Where the change feed is not what was appended."""
    async for place in broken_places(archive):
        yield Difference(Kind.BROKEN_FEED, None, place)


async def examine_folders(
    archive: Archive, folders: Iterable[str], last_alive: datetime, counts: Examined
) -> AsyncIterator[Difference]:
    """What differs in the container's folders, as they were listed, of studies without rows, and beside folders."""
    names: list[str] = []
    for folder in folders:
        within = archive.blobs.list_folders(folder) if blob_names.is_partition_folder(folder) else None
        names += [folder] if within is None else [name async for name in within]
    for name in (name for name in names if not name.endswith("/")):
        yield Difference(Kind.FOREIGN_BLOB, None, name)
    studies = [blob_names.study_of_folder(name) for name in names if name.endswith("/")]
    have_rows = await in_parallel(archive.catalog.has_rows(study_key) for study_key in studies)
    for study_key in (study_key for study_key, has_rows in zip(studies, have_rows, strict=True) if not has_rows):
        for difference in await examine_study(archive, study_key, last_alive, counts):
            yield difference


async def repair(archive: Archive, settings: Settings, difference: Difference, *, now: datetime | None = None) -> None:
    """Repair a difference if it is still there; one that a person must decide on is left, as is a busy study."""
    last_alive = last_alive_at(settings, now)
    with suppress(StudyContended):
        if difference.kind is Kind.ABANDONED_REQUEST:
            await replay_journal(archive, settings, now=now)
        elif difference.kind is Kind.ORPHAN_BLOB:
            await remove_orphans(archive, [difference.concerns], last_alive)
        elif difference.kind is Kind.SURPLUS_POSTING and difference.posting is not None:
            await remove_surplus(archive, *difference.posting, last_alive)
        elif difference.kind is Kind.STRANDED_CHANGES and difference.study is not None:
            await lead_to_changes(archive, difference.study)
        elif difference.kind in _MENDED_BY_STUDY and difference.study is not None:
            await rebuild_study(archive, difference.study)

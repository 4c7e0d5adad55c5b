"""Whether an archive is as it always should be, and repairing it where it is not: `differences` lists what may differ.

All of it may run while requests are at work, and several times at once: a difference is reported only if the study did
not change while it was examined, and a repair looks again and acts under the study's lock, the ETag of its row.

Storage operations: 1 for each 1,000 rows of the catalog and of the index and for each 5,000 studies in the container;
for each study 1 for its summary, 1 for each 1,000 instances, 1 for each 5,000 blobs, 1 for each posting it needs or
lists (including one for each instance), 1 for each metadata blob, and, `deep`, 1 for each 4 MiB; then for each posting
at most 1 for its study, if that is not among the 1,000 used last, and 1 if it is an instance's. What looks wrong costs
up to 5 more. Where changes wait for the change feed, 1 for each 1,000 journal entries and for each study; 1 for each
1,000 blocks of the feed. Memory holds the names of one study's instances and blobs at a time, those of the studies
whose changes wait, and two numbers for each study in the feed.
"""

import asyncio
import hashlib
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.archive.instance import InstanceFacts, InstanceMetadata
from shared.archive.study import SeriesRecord
from shared.archive.study_terms import terms_of, terms_of_instance
from shared.archive.terms import EVERY_STUDY, Term
from shared.dicom.attributes import TAG
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers, StudyKey
from shared.errors import NotFound
from shared.services.repair.differences import Difference, Kind
from shared.services.repair.feed_order import broken_places
from shared.services.repair.leftovers import is_surplus, last_alive_at, lasting_orphans, remove_surplus
from shared.services.repair.maintenance import remove_orphans, replay_journal
from shared.services.repair.rebuild import counts_of, rebuild_study, single_terms
from shared.services.repair.waiting_changes import lead_to_changes, stranded, unreadable
from shared.services.retrieve.stored_metadata import short_attributes, stored_metadata
from shared.services.write.contention import StudyContended
from shared.settings import Settings
from shared.storage import blob_names
from shared.storage.archive import Archive
from shared.storage.catalog_rows import StudyRevision
from shared.storage.journal import study_of
from shared.storage.posting_keys import Posting, in_index, key_of, posting_of

_LOOKS: Final = 6
_CACHED_STUDIES: Final = 1000
_UNREADABLE: Final = (KeyError, ValueError, zlib.error)
_IDENTIFYING: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_MENDED_BY_STUDY: Final = frozenset(
    {
        Kind.NO_STUDY_ROW,
        Kind.NO_SERIES_ROW,
        Kind.EMPTY_STUDY,
        Kind.EMPTY_SERIES,
        Kind.WRONG_COUNTS,
        Kind.UNLISTED_TERM,
        Kind.MISSING_POSTING,
    }
)


@dataclass(slots=True)
class Examined:
    """How much has been examined."""

    studies: int = 0
    instances: int = 0
    blobs: int = 0
    postings: int = 0


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
    async for entry in archive.journal.read():
        if not entry.may_be_alive(last_alive):
            yield Difference(Kind.ABANDONED_REQUEST, study_of(entry), entry.resource)
    waiting: dict[StudyKey, Sequence[int]] = {}
    async for rows in archive.catalog.read_study_rows():
        if rows.changes:
            waiting[rows.study] = rows.changes
        if rows.is_there:
            counts.studies += 1
            for difference in await _Study(archive, rows.study, last_alive, deep).examine(counts):
                yield difference
    for study_key in await stranded(archive, waiting):
        yield Difference(Kind.STRANDED_CHANGES, study_key, study_key.path)
    async for study_key, row_key in unreadable(archive, waiting):
        yield Difference(Kind.UNREADABLE_CHANGE, study_key, f"{study_key.path}, {row_key}")
    async for place in broken_places(archive):
        yield Difference(Kind.BROKEN_FEED, None, place)
    async for folder in _folders(archive):
        study_key = blob_names.study_of_folder(folder)
        if not folder.endswith("/"):
            yield Difference(Kind.FOREIGN_BLOB, None, folder)
        elif not await archive.catalog.has_rows(study_key):
            for difference in await _Study(archive, study_key, last_alive, deep).examine(counts):
                yield difference
    known = _KnownPostings(archive)
    async for term, posting in archive.postings.read_every_term():
        counts.postings += 1
        with suppress(*_UNREADABLE):  # such rows are already reported
            if not await known.holds(term, posting) and await is_surplus(archive, term, posting, last_alive):
                yield _surplus(term, posting)


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


async def _folders(archive: Archive) -> AsyncIterator[str]:
    """The folders of studies, in every data partition, and blobs beside them."""
    async for name in archive.blobs.list_folders():
        if blob_names.is_partition_folder(name):
            async for within in archive.blobs.list_folders(name):
                yield within
        else:
            yield name


class _Study:
    """One study being examined."""

    def __init__(self, archive: Archive, study_key: StudyKey, last_alive: datetime, deep: bool) -> None:
        self._archive = archive
        self._key = study_key
        self._last_alive = last_alive
        self._deep = deep

    async def examine(self, counts: Examined) -> list[Difference]:
        """What differs while nobody changes the study."""
        for _ in range(_LOOKS):
            try:
                study, series = await self._archive.catalog.read_summary(self._key)
                found, rows, sizes = await self._look(study, series)
                if found and _etag(await self._archive.catalog.read_study(self._key)) != _etag(study):
                    continue
            except _UNREADABLE:
                return [self._difference(Kind.UNREADABLE_ROW)]
            counts.instances += rows
            counts.blobs += sizes
            return found
        return [self._difference(Kind.BUSY_STUDY)]

    async def _look(
        self, study: StudyRevision | None, series: Mapping[str, SeriesRecord]
    ) -> tuple[list[Difference], int, int]:
        """What differs, and how many instances and blobs there are."""
        rows, found = await self._of_metadata()
        prefix = blob_names.blob_prefix(ResourceIdentifiers(self._key))
        sizes = {name: size async for name, size in self._archive.blobs.list_sizes(prefix)}
        found += self._of_rows(study, series, rows)
        if study and rows:
            found += await self._of_postings(study, rows)
        found += await self._of_blobs(rows, sizes)
        if self._deep:
            found += await self._of_hashes(rows, sizes)
        return found, len(rows), len(sizes)

    def _difference(self, kind: Kind, concerns: str | None = None) -> Difference:
        return Difference(kind, self._key, concerns or self._key.path)

    async def _of_metadata(self) -> tuple[list[InstanceFacts], list[Difference]]:
        """The instances, and what is wrong with their metadata."""
        rows, found = [], []
        async for row, metadata in self._archive.catalog.read_instances_and_metadata(self._key):
            if not await _is_its_own(self._archive, metadata):
                found.append(self._difference(Kind.WRONG_METADATA, row.identifiers.path))
            rows.append(row)
        return rows, found

    def _of_rows(
        self, study: StudyRevision | None, series: Mapping[str, SeriesRecord], rows: Sequence[InstanceFacts]
    ) -> list[Difference]:
        if study is None:
            return [self._difference(Kind.NO_STUDY_ROW)] if rows or series else []
        if not rows:
            return [self._difference(Kind.EMPTY_STUDY)]
        found = []
        counts = counts_of(rows)
        for uid in sorted({*series, *counts}):
            path = ResourceIdentifiers(self._key, uid).path
            if uid not in series:
                found.append(self._difference(Kind.NO_SERIES_ROW, path))
            elif uid not in counts:
                found.append(self._difference(Kind.EMPTY_SERIES, path))
            elif (series[uid].sop_classes, series[uid].transfer_syntaxes) != counts[uid]:
                found.append(self._difference(Kind.WRONG_COUNTS, path))
        unlisted = terms_of(study.record) - study.record.posted
        return [
            *found,
            *(self._difference(Kind.UNLISTED_TERM, keyword) for keyword in sorted(term.keyword for term in unlisted)),
        ]

    async def _of_postings(self, study: StudyRevision, rows: Sequence[InstanceFacts]) -> list[Difference]:
        record = study.record
        needed, single = terms_of(record), single_terms(rows)
        existing = await self._archive.postings.existing(self._key, record.created, {*needed, *single, *record.posted})
        missing = (needed | record.posted | single) - existing
        found = [
            self._difference(Kind.MISSING_POSTING, keyword) for keyword in sorted(term.keyword for term in missing)
        ]
        if any(uid not in record.series for uid in counts_of(rows)):  # what the study needs cannot be said then
            return found
        needed_in_index = in_index(needed)
        for term in (term for term in record.posted & existing if in_index([term]).isdisjoint(needed_in_index)):
            posting = posting_of(*key_of(record.created, self._key, term))
            if await is_surplus(self._archive, term, posting, self._last_alive):
                found.append(_surplus(term, posting))
        return found

    async def _of_blobs(self, rows: Sequence[InstanceFacts], sizes: Mapping[str, int]) -> list[Difference]:
        expected = {name for row in rows for name in blob_names.blobs_of(row)}
        right = {blob_names.instance_blob(row.identifiers, row.blob_version): row.size_bytes for row in rows}
        unexpected = [name for name in sizes if name not in expected]
        ours = {name for name in unexpected if blob_names.is_one_of_ours(name)}
        unowned = await lasting_orphans(self._archive, sorted(ours), self._last_alive)
        return [
            *(self._difference(Kind.MISSING_BLOB, name) for name in sorted(expected - sizes.keys())),
            *(self._difference(Kind.WRONG_SIZE, name) for name in right if sizes.get(name, right[name]) != right[name]),
            *(self._difference(Kind.FOREIGN_BLOB, name) for name in unexpected if name not in ours),
            *(self._difference(Kind.ORPHAN_BLOB, name) for name in unowned),
        ]

    async def _of_hashes(self, rows: Sequence[InstanceFacts], sizes: Mapping[str, int]) -> list[Difference]:
        names = {blob_names.instance_blob(row.identifiers, row.blob_version): row for row in rows}
        return [
            self._difference(Kind.WRONG_HASH, name)
            for name, row in names.items()
            if sizes.get(name) == row.size_bytes and await _hash(self._archive, name) not in (None, row.sha256)
        ]


def _etag(study: StudyRevision | None) -> str | None:
    return study.etag if study else None


async def _is_its_own(archive: Archive, kept: InstanceMetadata) -> bool:
    """Whether metadata can be read and belong to the instance that they are kept with."""
    expected = kept.identifiers
    try:
        text = await stored_metadata(archive, kept, "")
        metadata = await asyncio.to_thread(short_attributes, text)
        found = [metadata[TAG[keyword]]["Value"] for keyword in _IDENTIFYING]
    except NotFound:  # the missing blob is reported separately
        return True
    except (KeyError, TypeError, ValueError):
        return False
    return found == [[expected.study_instance_uid], [expected.series_instance_uid], [expected.sop_instance_uid]]


async def _hash(archive: Archive, name: str) -> str | None:
    digest = hashlib.sha256()
    try:
        async for chunk in archive.blobs.read(name):
            digest.update(chunk)
    except NotFound:
        return None
    return digest.hexdigest()


class _KnownPostings:
    """The postings that the studies used last list or need, each study read once."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._studies: OrderedDict[StudyKey, frozenset[tuple[str, str]]] = OrderedDict()

    async def holds(self, term: Term, posting: Posting) -> bool:
        """Whether the posting is one of those, or belongs to an instance that is there."""
        study_key, series = posting.study, posting.series_instance_uid
        if study_key not in self._studies:
            study = await self._archive.catalog.read_study(study_key)
            self._studies[study_key] = _postings_of(study) if study else frozenset()
            if len(self._studies) > _CACHED_STUDIES:
                self._studies.popitem(last=False)
        self._studies.move_to_end(study_key)
        if not series:
            return (posting.partition_key, posting.row_key) in self._studies[study_key]
        if key_of(posting.created, study_key, EVERY_STUDY) not in self._studies[study_key]:
            return False
        identifiers = InstanceIdentifiers(study_key, series, term.value)
        return (
            term in terms_of_instance(identifiers)
            and await self._archive.catalog.read_instance(identifiers) is not None
        )


def _postings_of(study: StudyRevision) -> frozenset[tuple[str, str]]:
    record = study.record
    return frozenset(key_of(record.created, record.key, term) for term in terms_of(study.record) | study.record.posted)


def _surplus(term: Term, posting: Posting) -> Difference:
    return Difference(Kind.SURPLUS_POSTING, posting.study, term[0], (term, posting))

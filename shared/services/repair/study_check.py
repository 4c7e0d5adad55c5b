"""Whether a study is as it always should be: its rows agree with each other, with its postings and with its blobs.

A difference is reported only if the study did not change while it was examined. Storage operations: in ten seconds 1
for the extended query tags; 1 for the summary,
1 for each 1,000 instances, 1 for each 5,000 blobs, 1 for each posting that the study needs or lists (including one for
each instance), 1 for each metadata blob; what looks wrong costs up to 5 more. Memory holds the names of the study's
instances and blobs.
"""

import asyncio
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.archive.extended_tags import ExtendedTag
from shared.archive.instance import InstanceFacts, InstanceMetadata
from shared.archive.study import SeriesRecord
from shared.archive.study_terms import terms_of
from shared.archive.tag_values import NO_VALUES, TagValues, tag_values
from shared.dicom.attributes import TAG
from shared.dicom.dicom_json_reader import Attribute, read_attributes
from shared.dicom.identifiers import ResourceIdentifiers, StudyKey
from shared.errors import NotFound
from shared.services.repair.differences import Difference, Kind
from shared.services.repair.leftovers import is_surplus, lasting_orphans
from shared.services.repair.rebuild import counts_of, single_terms
from shared.services.repair.tag_check import TagCheck, TagDifference, ready_names
from shared.services.retrieve.stored_metadata import MetadataText, stored_metadata
from shared.storage import blob_names
from shared.storage.archive import Archive
from shared.storage.catalog_rows import StudyRevision
from shared.storage.posting_keys import in_index, key_of, posting_of

UNREADABLE: Final = (KeyError, ValueError, zlib.error)
"""What reading a row that is damaged may raise."""

_LOOKS: Final = 6
_IDENTIFYING: Final = (TAG["StudyInstanceUID"], TAG["SeriesInstanceUID"], TAG["SOPInstanceUID"])


@dataclass(slots=True)
class Examined:
    """How much has been examined."""

    studies: int = 0
    instances: int = 0
    blobs: int = 0
    postings: int = 0


async def examine_study(
    archive: Archive, study_key: StudyKey, last_alive: datetime, counts: Examined
) -> list[Difference]:
    """What differs in a study, whether it is there or only its blobs are; `counts` counts what there is of it.

    No request that began before `last_alive` is at work.
    """
    return await _Study(archive, study_key, last_alive).examine(counts)


class _Study:
    """One study being examined."""

    def __init__(self, archive: Archive, study_key: StudyKey, last_alive: datetime) -> None:
        self._archive = archive
        self._key = study_key
        self._last_alive = last_alive

    async def examine(self, counts: Examined) -> list[Difference]:
        """What differs while nobody changes the study."""
        for _ in range(_LOOKS):
            try:
                study, series = await self._archive.catalog.read_summary(self._key)
                found, rows, sizes = await self._look(study, series)
                if found and _etag(await self._archive.catalog.read_study(self._key)) != _etag(study):
                    continue
            except UNREADABLE:
                counts.studies += 1
                return [self._difference(Kind.UNREADABLE_ROW)]
            counts.studies += study is not None or bool(series) or rows > 0
            counts.instances += rows
            counts.blobs += sizes
            return found
        counts.studies += 1
        return [self._difference(Kind.BUSY_STUDY)]

    async def _look(
        self, study: StudyRevision | None, series: Mapping[str, SeriesRecord]
    ) -> tuple[list[Difference], int, int]:
        """What differs, and how many instances and blobs there are."""
        tags = TagCheck(await self._archive.tags.recent(), self._key)
        rows, found = await self._of_metadata(tags)
        prefix = blob_names.blob_prefix(ResourceIdentifiers(self._key))
        sizes = {name: size async for name, size in self._archive.blobs.list_sizes(prefix)}
        found += self._of_rows(study, series, rows)
        found += await self._of_tags(tags.differences(study.record if study else None, series))
        if study and rows:
            found += await self._of_postings(study, rows)
        found += await self._of_blobs(rows, sizes)
        return found, len(rows), len(sizes)

    def _difference(self, kind: Kind, concerns: str | None = None) -> Difference:
        return Difference(kind, self._key, concerns or self._key.path)

    async def _of_metadata(self, tags: TagCheck) -> tuple[list[InstanceFacts], list[Difference]]:
        """The instances, and what is wrong with their metadata; `tags` looks at what these have of tags."""
        rows, found = [], []
        async for row, metadata in self._archive.catalog.read_instances_and_metadata(self._key):
            is_its_own, values = await _look_at(self._archive, metadata, tags.tags.indexed)
            if not is_its_own:
                found.append(self._difference(Kind.WRONG_METADATA, row.identifiers.path))
            tags.look_at(row, values)
            rows.append(row)
        return rows, found

    async def _of_tags(self, found: Sequence[TagDifference]) -> list[Difference]:
        """What differs in values of tags, of those that have not been removed since."""
        ready = ready_names((await self._archive.tags.read()).tags) if found else frozenset()
        kinds = {True: Kind.SURPLUS_TAG_VALUE, False: Kind.MISSING_TAG_VALUE}
        return [
            self._difference(kinds[one.is_surplus], f"{one.path}, {one.name}")
            for one in found
            if one.is_surplus or one.name in ready
        ]

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
                found.append(Difference.of_posting(term, posting))
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


def _etag(study: StudyRevision | None) -> str | None:
    return study.etag if study else None


async def _look_at(archive: Archive, kept: InstanceMetadata, tags: Sequence[ExtendedTag]) -> tuple[bool, TagValues]:
    """Whether metadata can be read and belong to the instance that they are kept with, and what they have of tags."""
    expected = kept.identifiers
    try:
        text = await stored_metadata(archive, kept, "")
        metadata, values = await asyncio.to_thread(_read, text, tags)
        found = [metadata[tag]["Value"] for tag in _IDENTIFYING]
    except NotFound:  # the missing blob is reported separately
        return True, NO_VALUES
    except (KeyError, TypeError, ValueError):
        return False, NO_VALUES
    uids = [[expected.study_instance_uid], [expected.series_instance_uid], [expected.sop_instance_uid]]
    return found == uids, values


def _read(text: MetadataText, tags: Sequence[ExtendedTag]) -> tuple[dict[str, Any], TagValues]:
    """The identifying attributes of metadata, and the values of tags. Raises ValueError for what is no data set."""
    identifying: dict[str, Any] = {}

    def passing() -> Iterator[tuple[str, Attribute]]:
        for tag, attribute in read_attributes(text.pieces()):
            if tag in _IDENTIFYING:
                identifying[tag] = attribute
            yield tag, attribute

    attributes = passing()
    values = tag_values(attributes, tags)
    for _ in attributes:  # what is left is only read
        continue
    return identifying, values

"""Indexing a stored study by extended query tags: what its instances' metadata have of them goes into rows and index.

It may go on beside stores and deletes of the study, happen again, and end anywhere. What a study or series has of a tag
stays: a store that goes by the tag has put it there, and is later than those from before there was the tag.

The order of a batch is that of a store (`docs/storage-layout.md`): an entry, which carries the generation of the set
it goes by and names the terms; the postings; the rows, under the study's lock.
"""

import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from shared.archive.extended_tags import TagSet
from shared.archive.instance import InstanceFacts, InstanceMetadata
from shared.archive.study import SeriesRecord, StudyRecord
from shared.archive.study_terms import terms_of, terms_of_instance
from shared.archive.tag_values import NO_VALUES, TagValues
from shared.archive.terms import Term, is_of_tag
from shared.dicom.attributes import Level
from shared.dicom.identifiers import ResourceIdentifiers, StudyKey
from shared.errors import NotFound
from shared.services.indexing.stored_tag_values import stored_tag_values
from shared.services.indexing.tag_errors import TagErrors
from shared.services.indexing.tag_sources import Place, Sources, attributes_of
from shared.services.write.contention import attempts
from shared.services.write.intent import Intent
from shared.services.write.needless_postings import remove_needless_postings
from shared.storage import keys
from shared.storage.archive import Archive
from shared.storage.catalog import CommitUnanswered, StudyChanged
from shared.storage.catalog_rows import StudyRevision
from shared.storage.parallel import in_parallel
from shared.storage.properties import PAGE_ROWS
from shared.storage.tag_table import TagError

_BATCH_ROWS: Final = 90  # instances and series, of the 100 that a batch may change
_FEWER_ROWS: Final = 90  # of a page, where others change the study
_HELD_BYTES: Final = 8 * 1024**2  # of metadata in the rows of a page, which mostly have 5 MiB together
_READ_AT_ONCE: Final = 4  # metadata, of which some may have a blob of many MiB


@dataclass(slots=True)
class Indexed:
    """Where it goes on, None at the end of the study; how many instances were looked at, and problems found."""

    place: Place | None
    instances: int = 0
    errors: int = 0


async def index_study(
    archive: Archive, study_key: StudyKey, numbers: Collection[int], place: Place, errors: TagErrors | None = None
) -> Indexed:
    """Index the next instances of a study, 1,000 at most, by those tags of the numbers that there are.

    `errors` notes which cannot be indexed; without it nobody does.

    Storage operations: 2 to read; for each 90 instances, and at the end for study and series, if there is anything to
    be written: 3, and those of the postings. Some more where others change the study. Raises StudyContended.
    """
    return await _Indexing(archive, study_key, numbers, errors).go_on(place)


@dataclass(slots=True)
class _Batch:
    """What one batch changes, and up to which place: instances, series that end before it, and at last the study.

    `looked_at` counts instances; `single` are the terms of instances whose postings they need.
    """

    place: Place
    looked_at: int = 0
    instances: list[InstanceFacts] = field(default_factory=list)
    single: set[Term] = field(default_factory=set)
    series: dict[str, Sources] = field(default_factory=dict)
    study: Sources = field(default_factory=dict)
    errors: dict[int, list[TagError]] = field(default_factory=dict)

    def look_at(self, row: InstanceFacts, values: TagValues, tags: TagSet) -> None:
        """Take the next instance, and what it has of these tags."""
        names, before = tags.names, self.place
        level = {
            level: {name: value for name, value in found.items() if name in names}
            for level, found in values.by_level.items()
        }
        if before.series_instance_uid not in ("", row.identifiers.series_instance_uid):
            self.series[before.series_instance_uid] = before.of_series
        self.place = before.past(keys.row_of_instance(row.identifiers), row, level[Level.STUDY], level[Level.SERIES])
        self.looked_at += 1
        if missing := {name: value for name, value in level[Level.INSTANCE].items() if row.tags.get(name) != value}:
            self.instances.append(replace(row, tags={**row.tags, **missing}))
            self.single |= {term for term in terms_of_instance(row.identifiers, missing) if is_of_tag(term.keyword)}
        for problem in values.problems:
            if problem.tag.name in names:
                error = TagError(row.identifiers, datetime.now(UTC), problem.sentence)
                self.errors.setdefault(problem.tag.number, []).append(error)

    def end(self) -> None:
        """Take the end of the study."""
        if self.place.series_instance_uid:
            self.series[self.place.series_instance_uid] = self.place.of_series
        self.study = self.place.of_study


class _Indexing:
    """A study being indexed, by these of the `_tags`: and the entry of what is under way."""

    def __init__(self, archive: Archive, key: StudyKey, numbers: Collection[int], errors: TagErrors | None) -> None:
        self._archive = archive
        self._key = key
        self._numbers = numbers
        self._errors = errors
        self._all = TagSet()
        self._intent: Intent | None = None
        self._unanswered: str | None = None
        """The lock of a batch that may still be carried out."""
        self._values: dict[str, TagValues] = {}

    @property
    def _asked(self) -> TagSet:
        """Those of the tags that are asked for."""
        return replace(self._all, tags=tuple(tag for tag in self._all.indexed if tag.number in self._numbers))

    async def go_on(self, place: Place) -> Indexed:
        """Index what comes next."""
        done, etag = Indexed(place), None
        self._go_by(await self._archive.tags.recent())
        async for attempt in attempts():
            study = await self._archive.catalog.read_study(self._key)
            if study is None or study.etag != self._unanswered:
                self._unanswered = None
            if study is None or not self._asked.tags:
                await self._finish(frozenset())
                return replace(done, place=None)
            if study.etag != etag and not await self._are_there(place):
                place = Place()  # what they gave is now another's to give, or nobody's
            page_rows = _FEWER_ROWS if attempt else PAGE_ROWS
            rows, is_last = await self._read(place, page_rows)
            values = await in_parallel((self._values_of(metadata) for _, metadata in rows), at_once=_READ_AT_ONCE)
            try:
                for batch in self._batches(place, [row for row, _ in rows], values, is_last=is_last):
                    study = await self._write(study, batch)
                    place, etag = batch.place, study.etag
                    done.instances += batch.looked_at
                    done.errors += sum(map(len, batch.errors.values()))
            except StudyChanged:
                continue
            await self._finish(frozenset())
            return replace(done, place=None if is_last else place)
        raise AssertionError("attempts() ends by raising")

    def _go_by(self, tags: TagSet) -> None:
        if tags.generation != self._all.generation:
            self._values.clear()
        self._all = tags

    async def _are_there(self, place: Place) -> bool:
        """Whether the instances are still there that have given what is to be written."""
        instances = {(source.identifiers(self._key), source.blob_version) for source in place.sources}
        rows = await in_parallel(self._archive.catalog.read_instance(identifiers) for identifiers, _ in instances)
        return {(row.identifiers, row.blob_version) for row in rows if row is not None} == instances

    async def _read(self, place: Place, most: int) -> tuple[list[tuple[InstanceFacts, InstanceMetadata]], bool]:
        """The instances that come next, and their metadata; whether these are the last ones."""
        found, room = [], _HELD_BYTES
        rows = self._archive.catalog.read_instances_and_metadata(self._key, place.after, page_rows=most)
        async with aclosing(rows):
            async for row in rows:
                found.append(row)
                room -= len(row[1].metadata) if isinstance(row[1].metadata, bytes) else 0
                if len(found) == most or room < 0:
                    return found, False
        return found, True

    async def _values_of(self, record: InstanceMetadata) -> TagValues:
        """What an instance has of all tags: values of some take room that others lack."""
        if record.blob_version not in self._values:
            try:
                values = await stored_tag_values(self._archive, record, self._all.indexed)
            except (NotFound, ValueError):  # it has been deleted meanwhile, or is damaged: a check of the archive tells
                values = NO_VALUES
            self._values[record.blob_version] = values
        return self._values[record.blob_version]

    def _batches(
        self, place: Place, rows: Sequence[InstanceFacts], values: Sequence[TagValues], *, is_last: bool
    ) -> Iterator[_Batch]:
        batch, asked = _Batch(place), self._asked
        for row, one in zip(rows, values, strict=True):
            batch.look_at(row, one, asked)
            if len(batch.instances) + len(batch.series) >= _BATCH_ROWS:
                yield batch
                batch = _Batch(batch.place)
        if is_last:
            batch.end()
        yield batch

    async def _write(self, before: StudyRevision, batch: _Batch) -> StudyRevision:
        """Write what a batch changes, if anything; return the study as it then stands. Raises StudyChanged."""
        record = _with_values(before.record, batch)
        new = terms_of(record) - record.posted
        after, terms = replace(record, posted=record.posted | new), new | batch.single
        errors = batch.errors if self._errors is not None else {}
        if after == before.record and not batch.instances and not errors:
            return before
        await self._declare(terms, after.created)
        if self._errors is not None:
            await self._errors.add(errors)
        if after != before.record or batch.instances:
            await self._archive.postings.add(self._key, after.created, terms)
            try:
                committed = await self._archive.catalog.commit(before, after, tagged=batch.instances)
            except CommitUnanswered:
                self._unanswered = before.etag
                raise
            before = committed or before
        await self._finish(terms)
        return before

    async def _declare(self, terms: frozenset[Term], created: datetime) -> None:
        """Return once the journal names terms. Raises StudyChanged where the tags are others by now."""
        if self._intent is None:
            resource = ResourceIdentifiers(self._key)
            self._intent = Intent.new(self._archive, secrets.token_hex(16), "index", resource, tags=self._all)
        await self._intent.declare(terms, created)
        if self._intent.tags.generation > self._all.generation:
            self._go_by(self._intent.tags)
            raise StudyChanged

    async def _finish(self, kept: frozenset[Term]) -> None:
        """End the entry, once nothing is left of its terms but those that were committed just now."""
        if self._intent is None:
            return
        if self._intent.terms != kept or len(self._intent.created) > 1:
            created = self._intent.created
            await remove_needless_postings(self._archive, self._key, created=created, terms=self._intent.terms)
        if self._unanswered is None:  # else the entry stays, for maintenance
            await self._intent.finish()
        self._intent = None


def _with_values(study: StudyRecord, batch: _Batch) -> StudyRecord:
    """The study with what it and its series lack of the values that a batch brings."""

    def completed(series: SeriesRecord, sources: Sources) -> SeriesRecord:
        return replace(series, attributes={**attributes_of(sources), **series.attributes})

    series = {
        uid: completed(study.series[uid], sources) for uid, sources in batch.series.items() if uid in study.series
    }
    attributes = {**attributes_of(batch.study), **study.attributes}
    return replace(study, attributes=attributes, series={**study.series, **series})

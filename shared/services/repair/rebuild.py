"""What a study's rows and postings should be according to its instances' rows, and making them so."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from shared.archive.extended_tags import TagSet
from shared.archive.instance import DicomJson, InstanceFacts
from shared.archive.study import SeriesRecord, StudyRecord, split_by_level
from shared.archive.study_terms import terms_of, terms_of_instance
from shared.archive.tag_values import values_of_tags
from shared.archive.terms import Term, is_of_tag
from shared.dicom.identifiers import StudyKey
from shared.errors import NotFound
from shared.services.indexing.clear_study import clear_study
from shared.services.indexing.index_study import index_study
from shared.services.indexing.tag_sources import Place
from shared.services.retrieve.stored_metadata import short_attributes, stored_metadata
from shared.services.write.contention import attempts
from shared.services.write.named_terms import NamedTerms
from shared.storage.archive import Archive
from shared.storage.catalog import StudyChanged
from shared.storage.catalog_rows import StudyRevision

_SERIES_OF_A_BATCH: Final = 90  # of the 100 rows that it may hold


def counts_of(rows: Iterable[InstanceFacts]) -> dict[str, tuple[dict[str, int], dict[str, int]]]:
    """The counts by SOP class and by transfer syntax of each series that has instances."""
    counted: dict[str, tuple[Counter[str], Counter[str]]] = {}
    for row in rows:
        sop_classes, transfer_syntaxes = counted.setdefault(row.identifiers.series_instance_uid, (Counter(), Counter()))
        sop_classes[row.sop_class_uid] += 1
        transfer_syntaxes[row.transfer_syntax_uid] += 1
    return {uid: (dict(classes), dict(syntaxes)) for uid, (classes, syntaxes) in counted.items()}


def single_terms(rows: Iterable[InstanceFacts]) -> frozenset[Term]:
    """The terms of single instances."""
    return frozenset(term for row in rows for term in terms_of_instance(row.identifiers, row.tags))


async def rebuild_study(archive: Archive, study_key: StudyKey) -> None:
    """Make the study row, series rows and needed postings agree with the instances, under the study's lock.

    So do values of extended query tags. Does nothing where they agree. Removes a study without instances. Raises
    StudyContended.
    """
    async for _ in attempts():
        async with archive.study_lock(study_key):
            with suppress(StudyChanged):
                while not await _is_rebuilt(archive, study_key):
                    continue
                break
    await _rebuild_tags(archive, study_key)


async def _rebuild_tags(archive: Archive, study_key: StudyKey) -> None:
    """Bring in what rows lack of extended query tags, and take away what is left of those that were removed."""
    tags = await archive.tags.recent()
    place = Place() if tags.indexed else None
    while place is not None:
        place = (await index_study(archive, study_key, [tag.number for tag in tags.indexed], place)).place
    study, series = await archive.catalog.read_summary(study_key)
    rows = [row.tags async for row in archive.catalog.read_instances(study_key)]
    attributes = [study.record.attributes if study else {}, *(one.attributes for one in series.values()), *rows]
    left = {name for one in attributes for name in values_of_tags(one) if tags.is_leftover(name)}
    if left:
        await clear_study(archive, study_key, left, with_instances=True)


async def _is_rebuilt(archive: Archive, study_key: StudyKey) -> bool:
    """Send one batch towards that; True when there is nothing left to do. Raises StudyChanged."""
    before, strays = await archive.catalog.read_summary(study_key)
    rows = [row async for row in archive.catalog.read_instances(study_key)]
    if before is None:
        if not rows and not strays:
            return True
        # First the row that is the lock; the other rows are brought into line under it.
        tombstone = await archive.catalog.read_before(study_key)
        if isinstance(tombstone, StudyRevision):
            raise StudyChanged
        study = StudyRecord(study_key, await _created(archive, rows), {}, {})
        # Changes from before the row was lost may still stand: a study has not come so far, with a commit a second.
        first_revision = int(datetime.now(UTC).timestamp())
        await archive.catalog.commit(tombstone, study, first_revision=first_revision)
        return False
    record = before.record
    if not rows and len(record.series) <= _SERIES_OF_A_BATCH:
        await archive.catalog.commit(before, None)
        await archive.postings.remove(study_key, record.created, record.posted)
        return True
    series = await _next_series(archive, record.series, rows)
    attributes = record.attributes or (await _attributes(archive, rows))[0]
    after = replace(record, attributes=attributes, series=series)
    tags = await archive.tags.recent()
    needed, single = _kept(terms_of(after), tags), _kept(single_terms(rows), tags)
    existing = await archive.postings.existing(study_key, record.created, {*needed, *single, *record.posted})
    missing = (needed | single) - existing
    after = replace(after, posted=needed | (record.posted & existing))
    if after == record and not missing:
        return True
    named = NamedTerms(archive, study_key, tags)
    await named.declare(missing, record.created)
    if (await archive.tags.recent()).generation != tags.generation:
        await named.finish()
        raise StudyChanged
    await archive.postings.add(study_key, record.created, missing)
    # Even for a posting alone: a delete that found it missing, and would leave it, has to look again.
    try:
        await archive.catalog.commit(before, after)
    except StudyChanged:
        await named.hand_over()
        raise
    await named.finish()
    return False


def _kept(terms: frozenset[Term], tags: TagSet) -> frozenset[Term]:
    """Without the terms of tags that have been removed, whose postings a clean-up may have taken away already."""
    return frozenset(term for term in terms if not is_of_tag(term.keyword) or term.keyword in tags.names)


async def _next_series(
    archive: Archive, before: Mapping[str, SeriesRecord], rows: Sequence[InstanceFacts]
) -> dict[str, SeriesRecord]:
    """The series as they should be, or as near to it as one batch gets."""
    counts = counts_of(rows)
    series = dict(before)
    changes = 0
    for uid in sorted({*before, *counts}):
        if (uid in before and uid in counts and _counts(before[uid]) == counts[uid]) or (changes == _SERIES_OF_A_BATCH):
            continue
        changes += 1
        if uid not in counts:
            del series[uid]
        elif uid in before:
            sop_classes, transfer_syntaxes = counts[uid]
            series[uid] = replace(before[uid], sop_classes=sop_classes, transfer_syntaxes=transfer_syntaxes)
        else:
            _, attributes = await _attributes(
                archive, [row for row in rows if row.identifiers.series_instance_uid == uid]
            )
            series[uid] = SeriesRecord(uid, attributes, *counts[uid])
    return series


def _counts(series: SeriesRecord) -> tuple[Mapping[str, int], Mapping[str, int]]:
    return series.sop_classes, series.transfer_syntaxes


async def _attributes(archive: Archive, rows: Iterable[InstanceFacts]) -> tuple[DicomJson, DicomJson]:
    """The study-level and series-level attributes of the instance stored last whose metadata can be read."""
    for row in sorted(rows, key=lambda row: row.stored, reverse=True):
        with suppress(NotFound, ValueError):
            found = await archive.catalog.read_instance_metadata(row.identifiers)
            if found is not None:
                text = await stored_metadata(archive, found, "")
                return split_by_level(await asyncio.to_thread(short_attributes, text))
    return {}, {}


async def _created(archive: Archive, rows: Iterable[InstanceFacts]) -> datetime:
    """When a study that lost its row was first stored: as its postings say, so that it keeps them."""
    times = [datetime.now(UTC)]
    for row in rows:
        times.append(row.stored)
        for term in terms_of_instance(row.identifiers):
            async for posting in archive.postings.read_term(row.identifiers.study.partition, term):
                if posting.study == row.identifiers.study:
                    return posting.created
    return min(times)

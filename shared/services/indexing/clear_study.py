"""Taking the values of extended query tags out of a study that are no longer to be there."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from shared.archive.instance import DicomJson, InstanceFacts
from shared.archive.study import StudyRecord
from shared.archive.study_terms import terms_of, terms_of_instance
from shared.archive.tag_values import without_names
from shared.archive.terms import Term
from shared.dicom.identifiers import StudyKey
from shared.services.write.contention import attempts
from shared.storage.archive import Archive
from shared.storage.catalog import StudyChanged
from shared.storage.catalog_rows import StudyRevision
from shared.storage.posting_keys import PostingKey, key_of

_BATCH_ROWS: Final = 90  # instances and series, of the 100 that a batch may change

Names = Collection[str]
"""Names of tags by which nobody indexes any more."""


async def clear_study(
    archive: Archive, study_key: StudyKey, names: Names, *, with_instances: bool
) -> frozenset[PostingKey]:
    """Take the values of tags out of the rows of a study, then out of the index; return the keys of these postings.

    In this order: as long as there is a posting, it leads to the rows. `with_instances`: instances have some. Storage
    operations: 1 to read, 1 for each 1,000 instances; for each 90 that have values 1, and those of the postings. Raises
    StudyContended.
    """
    removed = frozenset[PostingKey]()
    async for _ in attempts():
        study = await archive.catalog.read_study(study_key)
        if study is None:
            break
        rows = [row async for row in archive.catalog.read_instances(study_key)] if with_instances else []
        try:
            for series, instances in _batches(study.record, rows, names):
                study, terms = await _clear(archive, study, series, instances, names)
                created = study.record.created
                await archive.postings.remove(study_key, created, terms)
                removed |= {key_of(created, study_key, term) for term in terms}
        except StudyChanged:
            continue
        break
    return removed


async def _clear(
    archive: Archive, study: StudyRevision, series: Collection[str], instances: Sequence[InstanceFacts], names: Names
) -> tuple[StudyRevision, frozenset[Term]]:
    """Clear the study's own row, some of its series and instances; return it, and the terms that it had by them."""
    before = study.record
    cleared = {
        uid: replace(one, attributes=without_names(one.attributes, names)) if uid in series else one
        for uid, one in before.series.items()
    }
    after = replace(before, attributes=without_names(before.attributes, names), series=cleared)
    gone = {term for term in before.posted - terms_of(after) if term.keyword in names}
    after = replace(after, posted=before.posted - gone)
    single = {
        term for row in instances for term in terms_of_instance(row.identifiers, row.tags) if term.keyword in names
    }
    if after != before or instances:
        tagged = [replace(row, tags=without_names(row.tags, names)) for row in instances]
        study = await archive.catalog.commit(study, after, tagged=tagged) or study
    return study, frozenset(gone | single)


def _batches(
    study: StudyRecord, rows: Iterable[InstanceFacts], names: Names
) -> Iterator[tuple[list[str], list[InstanceFacts]]]:
    """The series and instances that have values, as many at a time as a batch may change; none at least once."""
    series = [uid for uid, one in study.series.items() if _has(one.attributes, names)]
    instances = [row for row in rows if _has(row.tags, names)]
    both: list[str | InstanceFacts] = [*series, *instances]
    for start in range(0, max(len(both), 1), _BATCH_ROWS):
        some = both[start : start + _BATCH_ROWS]
        yield [one for one in some if isinstance(one, str)], [one for one in some if not isinstance(one, str)]


def _has(attributes: DicomJson, names: Names) -> bool:
    return not attributes.keys().isdisjoint(names)

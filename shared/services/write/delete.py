"""The Delete transaction of Microsoft's service: a study, a series or an instance goes, with everything below it."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from shared.archive.instance import InstanceFacts
from shared.archive.study import without_instances
from shared.archive.study_terms import terms_of, terms_of_instance
from shared.archive.terms import Term
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.errors import NotFound
from shared.services.write.announce import announce
from shared.services.write.contention import attempts
from shared.services.write.intent import Intent
from shared.services.write.named_terms import NamedTerms
from shared.services.write.needless_postings import remove_needless_postings
from shared.storage import blob_names
from shared.storage.archive import Archive
from shared.storage.catalog import StudyChanged
from shared.storage.catalog_batches import fills_removal_batch
from shared.storage.catalog_rows import StudyRevision
from shared.storage.journal import JournalEntry
from shared.storage.parallel import in_parallel
from shared.storage.postings import PostingMark

_ANSWER_SECONDS: Final = 120.0  # Azure's front end ends an exchange that has been silent for 230 s
_CLEANED_AT_ONCE: Final = 2  # batches whose postings and blobs are removed at once


async def delete(archive: Archive, resource: ResourceIdentifiers, *, answer_seconds: float = _ANSWER_SECONDS) -> None:
    """Remove the instances of `resource` from the catalog, then from the index, then their blobs.

    Returns once they can no longer be found or retrieved. Postings and blobs that are not removed within
    `answer_seconds` are left to maintenance. Instances that are stored into the resource in the meantime may stay.

    Raises NotFound when there is nothing to delete, and StudyContended when other requests kept changing the study.
    Wherever it ends, what is gone stays gone, and maintenance removes the rest.
    """
    answer_at = asyncio.get_running_loop().time() + answer_seconds
    study, instances = await _found(archive, resource)
    if study is None or not instances:
        raise NotFound(f"There is no such {resource.level.word}.")
    intent = Intent.new(archive, secrets.token_hex(16), "delete", resource)
    removed = await _remove_rows(archive, intent, study, instances)
    await intent.go_on()
    try:
        async with asyncio.timeout_at(answer_at):
            await _clean_up(archive, intent, removed)
    except TimeoutError:
        await in_parallel([intent.hand_over(), *(one.named.hand_over() for one in removed)])
    else:
        await intent.finish()


async def resume_delete(archive: Archive, entry: JournalEntry) -> None:
    """Finish a delete that was cut off; instances stored after it began stay. Raises StudyContended."""
    resource = ResourceIdentifiers.of_path(entry.resource)
    study, found = await _found(archive, resource)
    instances = [instance for instance in found if instance.stored < entry.started]
    intent = Intent(archive, entry, is_written=True)
    removed = await _remove_rows(archive, intent, study, instances)
    await intent.go_on()
    await _clean_up(archive, intent, removed)


async def _found(
    archive: Archive, resource: ResourceIdentifiers
) -> tuple[StudyRevision | None, Sequence[InstanceFacts]]:
    study_key = resource.study
    study = await archive.catalog.read_study(study_key)
    if study is None:
        return None, []
    if resource.series_instance_uid is not None and resource.sop_instance_uid is not None:
        one = InstanceIdentifiers(study_key, resource.series_instance_uid, resource.sop_instance_uid)
        found = await archive.catalog.read_instance(one)
        return study, [found] if found else []
    rows = archive.catalog.read_instances(study_key, resource.series_instance_uid)
    return study, [row async for row in rows]


@dataclass(frozen=True, slots=True)
class _Removed:
    """Instances whose rows are gone, and what is left of them.

    `rows` went in our own batch, and with them the need for `terms` of the study first stored at `created`; `marks`
    are the postings of these as they stood before, None where the study was to go. `gone` are instances that were
    already gone: with another's batch, or with ours, whose answer was lost. `is_last`: the study has gone as well.
    `named` are terms that only an entry of the batch names.
    """

    named: NamedTerms

    rows: Sequence[InstanceFacts] = ()
    gone: Sequence[InstanceFacts] = ()
    created: datetime | None = None
    terms: frozenset[Term] = frozenset()
    marks: Sequence[PostingMark] | None = None
    is_last: bool = False


async def _remove_rows(
    archive: Archive, intent: Intent, study: StudyRevision | None, instances: Sequence[InstanceFacts]
) -> list[_Removed]:
    """Remove instances of a study from the catalog, batch by batch."""
    # Nobody else writes the postings of a study that has gone: they need no marks.
    goes = study is not None and len(instances) == study.record.instance_count
    removed = []
    for batch in _batches(instances):
        await intent.go_on()
        async with archive.study_lock(batch[0].identifiers.study):
            study, one = await _remove(archive, intent, study, batch, with_marks=not goes)
        # Also where a batch without an answer has removed them, or another request, which may not have said so yet.
        intent.note_commit()
        removed.append(one)
    return removed


async def _remove(
    archive: Archive,
    intent: Intent,
    study: StudyRevision | None,
    batch: Sequence[InstanceFacts],
    *,
    with_marks: bool,
) -> tuple[StudyRevision | None, _Removed]:
    """Remove a batch of instances; return the study as it then stands, and what is gone."""
    gone: list[InstanceFacts] = []
    named = NamedTerms(archive, batch[0].identifiers.study)
    async for attempt in attempts():
        if attempt or study is None:
            study = await archive.catalog.read_study(batch[0].identifiers.study)
            rows = await in_parallel(archive.catalog.read_instance(instance.identifiers) for instance in batch)
            # As they are now: they may have values of other tags.
            there = {row.blob_version: row for row in rows if row is not None}
            gone += [instance for instance in batch if instance.blob_version not in there]
            batch = [there[instance.blob_version] for instance in batch if instance.blob_version in there]
        if study is None or not batch:
            return study, _Removed(named, gone=gone)
        created, posted = study.record.created, study.record.posted
        try:
            after = without_instances(study.record, batch)
        except KeyError:  # the study was read before another request stored some of them
            continue
        kept = terms_of(after) if after else frozenset()
        single = frozenset[Term]().union(*(terms_of_instance(one.identifiers, one.tags) for one in batch))
        terms = (posted - kept) | single
        await intent.declare(posted, created)
        await named.declare(single, created)
        if study.revision is None:
            await announce(archive, study.record.key)
            continue
        marks = None
        if after is not None:
            if with_marks:
                marks = await archive.postings.mark(study.record.key, created, terms)
            after = replace(after, posted=posted & kept)
        try:
            study = await archive.catalog.commit(study, after, removed=batch)
        except StudyChanged:
            continue
        return study, _Removed(named, batch, gone, created, terms, marks, is_last=after is None)
    raise AssertionError("attempts() ends by raising")


async def _clean_up(archive: Archive, intent: Intent, removed: Sequence[_Removed]) -> None:
    """Remove the postings and blobs that the instances have left."""
    gone = frozenset(one.created for one in removed if one.is_last)
    await in_parallel((_clean_up_after(archive, intent, one, gone) for one in removed), at_once=_CLEANED_AT_ONCE)


async def _clean_up_after(
    archive: Archive, intent: Intent, removed: _Removed, studies_gone: frozenset[datetime | None]
) -> None:
    """Remove the postings, then the blobs: as long as a blob is there, its name says which postings to look for."""
    instances = [*removed.rows, *removed.gone]
    study_key = instances[0].identifiers.study
    unsure = removed.terms
    if removed.created is not None and removed.created in studies_gone:
        await archive.postings.remove(study_key, removed.created, removed.terms)
        unsure = frozenset()
    elif removed.created is not None and removed.marks is not None:
        # A store that still found one of the instances has written its posting again.
        unsure = await archive.postings.remove_marked(study_key, removed.created, removed.marks)
    await remove_needless_postings(
        archive,
        study_key,
        created=intent.created,
        terms=unsure | (intent.terms | removed.named.terms if removed.gone else frozenset()),
        instances=[
            *(row.identifiers for row in removed.rows if not unsure.isdisjoint(terms_of_instance(row.identifiers))),
            *(instance.identifiers for instance in removed.gone),
        ],
    )
    await removed.named.finish()
    await archive.blobs.delete([name for instance in instances for name in blob_names.blobs_of(instance)])


def _batches(instances: Sequence[InstanceFacts]) -> Iterator[list[InstanceFacts]]:
    batch: list[InstanceFacts] = []
    for instance in instances:
        batch.append(instance)
        if fills_removal_batch([one.identifiers for one in batch]):
            yield batch
            batch = []
    if batch:
        yield batch

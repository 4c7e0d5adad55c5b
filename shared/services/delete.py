"""The Delete transaction of Microsoft's service: a study, a series or an instance goes, with everything below it."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from shared.errors import NotFound
from shared.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.records import InstanceRecord, terms_of, terms_of_instance, without_instances
from shared.services.commit import StudyContended, attempts
from shared.storage import keys
from shared.storage.archive import Archive
from shared.storage.catalog import StudyChanged, StudyVersion, fills_transaction
from shared.storage.journal import JournalEntry


async def delete(archive: Archive, resource: ResourceIdentifiers) -> None:
    """Remove the instances of `resource` from the catalog, then from the index, then their blobs.

    Instances that are stored into it meanwhile may stay. Raises NotFound when there is nothing to delete, and
    StudyContended when other requests kept changing the study: what is gone by then stays gone.
    """
    if not await _instances(archive, resource):
        raise NotFound(f"There is no such {resource.level}.")
    request_id = secrets.token_hex(16)
    await archive.journal.write(JournalEntry(request_id, "delete", datetime.now(UTC), resource.path))
    try:
        await delete_instances(archive, resource)
    except StudyContended:
        await archive.journal.remove(request_id, [resource.path])
        raise
    await archive.journal.remove(request_id, [resource.path])


async def delete_instances(archive: Archive, resource: ResourceIdentifiers) -> None:
    """Remove whatever instances `resource` has, without a journal entry; raises StudyContended."""
    async for _ in attempts():
        async with archive.study_lock(resource.study_instance_uid):
            study = await archive.catalog.read_study(resource.study_instance_uid)
            instances = await _instances(archive, resource)
            if study is None or not instances:
                return
            with suppress(StudyChanged):
                await _remove(archive, study, instances)
                return


async def _instances(archive: Archive, resource: ResourceIdentifiers) -> list[InstanceRecord]:
    study, series, instance = resource.study_instance_uid, resource.series_instance_uid, resource.sop_instance_uid
    if series is not None and instance is not None:
        found = await archive.catalog.read_instance(InstanceIdentifiers(study, series, instance))
        return [found] if found else []
    return [found async for found in archive.catalog.read_instances(study, series)]


async def _remove(archive: Archive, study: StudyVersion, instances: Sequence[InstanceRecord]) -> None:
    """Remove instances of a study, transaction by transaction. Raises StudyChanged when another request intervened."""
    study_instance_uid, created = study.record.study_instance_uid, study.record.created
    for batch in _transactions(instances):
        after = without_instances(study.record, batch)
        kept = terms_of(after) if after else frozenset()
        dropped = (study.record.posted - kept).union(*(terms_of_instance(instance.identifiers) for instance in batch))
        if after is None:
            await archive.catalog.commit(study, None, removed=batch)
            await archive.terms.remove(study_instance_uid, created, dropped)
        else:
            marks = await archive.terms.mark(study_instance_uid, created, dropped)
            after = replace(after, posted=study.record.posted & kept)
            study = await archive.catalog.commit(study, after, removed=batch) or study
            await archive.terms.remove_marked(study_instance_uid, created, marks)
        await archive.blobs.delete([name for instance in batch for name in keys.blobs_of(instance)])


def _transactions(instances: Sequence[InstanceRecord]) -> Iterator[list[InstanceRecord]]:
    batch: list[InstanceRecord] = []
    for instance in instances:
        batch.append(instance)
        if fills_transaction(batch):
            yield batch
            batch = []
    if batch:
        yield batch

"""Entering instances into the catalog, whoever else is changing the same study."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from shared.errors import Unavailable
from shared.records import InstanceRecord, NewInstance, Term, terms_of, terms_of_instance, with_instances
from shared.storage.archive import Archive
from shared.storage.catalog import InstanceExists, StudyChanged

_ATTEMPTS: Final = 12
_BACKOFF_SECONDS: Final = 0.05


class StudyContended(Unavailable):
    """Other requests kept changing the study; this one changed nothing, and can be tried again."""

    def __init__(self) -> None:
        super().__init__("Other requests kept changing the study; try again.")


async def attempts() -> AsyncIterator[int]:
    """Count attempts from 0, waiting a growing, random time between them; then raise StudyContended."""
    for attempt in range(_ATTEMPTS):
        yield attempt
        await asyncio.sleep(random.uniform(0, _BACKOFF_SECONDS * 2 ** min(attempt, 6)))  # noqa: S311 -- no secret
    raise StudyContended


async def commit_instances(archive: Archive, instances: Sequence[NewInstance]) -> dict[str, InstanceRecord]:
    """Enter instances of one study, distinct and no more than fit a transaction, into index and catalog.

    Returns the instances that were there already, as they stand in the catalog, by the version that lost to them; all
    others are entered and found by searches from now on. Raises StudyContended.
    """
    study_instance_uid = instances[0].record.identifiers.study_instance_uid
    async with archive.study_lock(study_instance_uid):
        return await _commit(archive, study_instance_uid, instances)


async def _commit(
    archive: Archive, study_instance_uid: str, instances: Sequence[NewInstance]
) -> dict[str, InstanceRecord]:
    now = datetime.now(UTC)
    existing: dict[str, InstanceRecord] = {}
    proposed: set[Term] = set()
    async for _ in attempts():
        before = await archive.catalog.read_study(study_instance_uid)
        if before is not None and before.record.created != now and proposed:
            # The study came into being elsewhere: these postings carry a time that it will never have.
            await archive.terms.remove(study_instance_uid, now, proposed)
            proposed.clear()
        after = with_instances(before.record if before else None, instances, now)
        posted = before.record.posted if before else frozenset()
        terms = terms_of(after)
        single = [
            (term, instance.record.identifiers.series_instance_uid)
            for instance in instances
            for term in terms_of_instance(instance.record.identifiers)
        ]
        await archive.terms.add(
            study_instance_uid, after.created, [*((term, None) for term in terms - posted), *single]
        )
        if before is None:
            proposed.update(terms, (term for term, _ in single))
        try:
            await archive.catalog.commit(
                before, replace(after, posted=posted | terms), added=[instance.record for instance in instances]
            )
        except StudyChanged:
            continue
        except InstanceExists:
            instances = await _not_in_catalog(archive, instances, existing)
            if instances:
                continue
        return existing
    raise AssertionError("attempts() ends by raising")


async def _not_in_catalog(
    archive: Archive, instances: Sequence[NewInstance], existing: dict[str, InstanceRecord]
) -> list[NewInstance]:
    """The instances that still have to be entered; those of others that stand in their place go to `existing`.

    One that stands there in our own version was entered by a transaction whose answer was lost.
    """
    found = await asyncio.gather(*(archive.catalog.read_instance(i.record.identifiers) for i in instances))
    missing = []
    for instance, row in zip(instances, found, strict=True):
        if row is None:
            missing.append(instance)
        elif row.version != instance.record.version:
            existing[instance.record.version] = row
    return missing

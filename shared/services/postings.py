"""Removing postings of a study that it no longer needs, or never came to need."""

from collections.abc import Iterable
from datetime import datetime

from shared.identifiers import InstanceIdentifiers
from shared.records import Term, terms_of_instance
from shared.services.attempts import attempts
from shared.storage.archive import Archive
from shared.storage.catalog import StudyChanged
from shared.storage.parallel import in_parallel


async def remove_needless_postings(
    archive: Archive,
    study_instance_uid: str,
    *,
    created: Iterable[datetime],
    terms: Iterable[Term] = (),
    instances: Iterable[InstanceIdentifiers] = (),
) -> None:
    """Remove the postings of `terms` and `instances` that nothing needs, of a study first stored at any of `created`.

    A term is needed that the study row lists, and that of an instance that has a row. The times are those of the study
    as it stands or stood, or proposed by the caller or by requests that are dead: nobody else writes postings of them.
    Raises StudyContended.
    """
    instances = list(instances)
    single = {one: terms_of_instance(one) for one in instances}
    asked = frozenset(terms).union(*single.values())
    async for _ in attempts():
        study = await archive.catalog.read_study(study_instance_uid)
        now = study.record.created if study else None
        for time in created:
            if time != now:
                await archive.terms.remove(study_instance_uid, time, asked)
        if study is None or study.record.created not in created:
            return
        rows = await in_parallel(map(archive.catalog.read_instance, instances))
        needed = study.record.posted.union(*(single[row.identifiers] for row in rows if row is not None))
        marks = await archive.terms.mark(study_instance_uid, study.record.created, asked - needed)
        if not marks:
            return
        try:
            # A store that has written them, and not yet made its transaction, fails with it and writes them anew.
            await archive.catalog.commit(study, study.record)
        except StudyChanged:
            continue
        await archive.terms.remove_marked(study_instance_uid, study.record.created, marks)
        return

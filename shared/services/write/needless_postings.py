"""Removing postings that a study no longer needs, or never came to need."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from shared.archive.study_terms import instance_of, terms_of, terms_of_instance
from shared.archive.terms import Term
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey
from shared.services.write.contention import attempts
from shared.storage.archive import Archive
from shared.storage.catalog import StudyChanged
from shared.storage.parallel import in_parallel
from shared.storage.posting_keys import in_index


async def remove_needless_postings(
    archive: Archive,
    study_key: StudyKey,
    *,
    created: Iterable[datetime],
    terms: Iterable[Term] = (),
    instances: Iterable[InstanceIdentifiers] = (),
) -> None:
    """Remove the postings of `terms` and `instances` that nothing needs, of a study first stored at any of `created`.

    Needed are the terms of the study's record and of instances that have a row. The times are those of the study, as
    it stands or stood, or proposed by the caller or by dead requests: nobody else writes postings with them. Raises
    StudyContended.
    """
    created, terms = frozenset(created), frozenset(terms)
    named = {one for term in terms if (one := instance_of(study_key, term)) is not None}
    single = {one: terms_of_instance(one) for one in {*instances, *named}}
    asked = terms.union(*single.values())
    if not asked:
        return
    async for _ in attempts():
        study = await archive.catalog.read_study(study_key)
        for time in created - ({study.record.created} if study else set()):
            await archive.postings.remove(study_key, time, asked)
        if study is None or study.record.created not in created:
            return
        rows = await in_parallel(archive.catalog.read_instance(one) for one in single)
        of_rows = (terms_of_instance(row.identifiers, row.tags) for row in rows if row is not None)
        needed = in_index(terms_of(study.record).union(*of_rows))
        needless = {term for term in asked if in_index([term]).isdisjoint(needed)}
        marks = await archive.postings.mark(study_key, study.record.created, needless)
        if not marks:
            return
        dropped = in_index(needless)
        posted = frozenset(term for term in study.record.posted if in_index([term]).isdisjoint(dropped))
        try:
            # The batch of a store that has written them and not sent it yet will fail, and it writes them again.
            await archive.catalog.commit(study, replace(study.record, posted=posted))
        except StudyChanged:
            continue
        if not await archive.postings.remove_marked(study_key, study.record.created, marks):
            return

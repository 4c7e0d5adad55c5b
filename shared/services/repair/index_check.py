"""Whether the index holds postings that no study needs."""

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Final

from shared.archive.study_terms import instance_of, terms_of, terms_of_instance
from shared.archive.terms import EVERY_STUDY, Term, is_of_tag
from shared.dicom.identifiers import StudyKey
from shared.services.repair.differences import Difference
from shared.services.repair.leftovers import is_surplus
from shared.services.repair.study_check import UNREADABLE
from shared.storage.archive import Archive
from shared.storage.catalog_rows import StudyRevision
from shared.storage.posting_keys import Posting, PostingKey, in_index, key_of

_CACHED_STUDIES: Final = 1000


async def examine_postings(
    archive: Archive, last_alive: datetime, after: PostingKey | None = None, up_to: PostingKey | None = None
) -> AsyncIterator[tuple[Posting, Difference | None]]:
    """Each posting between two keys, of which the second one is included, and whether it is surplus.

    Storage operations: at most 1 for the extended query tags, and 1 for each 1,000; for each at most 1 for its study,
    if that is not among the 1,000 used last, and 1 if it is an instance's; what looks surplus costs up to 6 more.
    """
    known = _KnownPostings(archive)
    names = (await archive.tags.recent()).kept_names
    async for term, posting in archive.postings.read_every_term(after, up_to, tags=names):
        is_too_much = False
        with suppress(*UNREADABLE):  # such rows are reported with their study
            is_too_much = (
                not await known.holds(term, posting)
                and await is_surplus(archive, term, posting, last_alive)
                and not (is_of_tag(term.keyword) and await _is_being_removed(archive, term.keyword))
            )
        yield posting, Difference.of_posting(term, posting) if is_too_much else None


async def _is_being_removed(archive: Archive, name: str) -> bool:
    """Whether a clean-up takes away all postings of a tag."""
    return any(tag.name == name for tag in (await archive.tags.read()).tags.removed)


class _KnownPostings:
    """The postings that the studies used last list or need, each study read once."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._studies: OrderedDict[StudyKey, frozenset[tuple[str, str]]] = OrderedDict()

    async def holds(self, term: Term, posting: Posting) -> bool:
        """Whether the posting is one of those, or belongs to an instance that is there."""
        study_key = posting.study
        if study_key not in self._studies:
            study = await self._archive.catalog.read_study(study_key)
            self._studies[study_key] = _postings_of(study) if study else frozenset()
            if len(self._studies) > _CACHED_STUDIES:
                self._studies.popitem(last=False)
        self._studies.move_to_end(study_key)
        instance = instance_of(study_key, term)
        if instance is None:
            return (posting.partition_key, posting.row_key) in self._studies[study_key]
        if key_of(posting.created, study_key, EVERY_STUDY) not in self._studies[study_key]:
            return False
        row = await self._archive.catalog.read_instance(instance)
        return row is not None and in_index([term]) <= in_index(terms_of_instance(instance, row.tags))


def _postings_of(study: StudyRevision) -> frozenset[tuple[str, str]]:
    record = study.record
    return frozenset(key_of(record.created, record.key, term) for term in terms_of(study.record) | study.record.posted)

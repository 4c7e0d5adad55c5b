"""Naming, in the journal, terms of single instances that nothing else leads to: their values of extended query tags."""

import secrets
from collections.abc import Iterable
from datetime import datetime

from shared.archive.extended_tags import NO_TAGS, TagSet
from shared.archive.terms import Term, is_of_tag
from shared.dicom.identifiers import ResourceIdentifiers, StudyKey
from shared.services.write.intent import Intent
from shared.storage.archive import Archive


class NamedTerms:
    """A journal entry beside a request's own, for the postings of one batch of a study that are written or removed.

    Where the request ends without `finish`, maintenance removes those that nothing needs. No storage operation where no
    instance has values of tags; else 1 before the postings, and 1 at the end.
    """

    def __init__(self, archive: Archive, study_key: StudyKey, tags: TagSet = NO_TAGS) -> None:
        """`tags` are those by which the values are written, none for who only removes them."""
        self._intent = Intent.new(
            archive, secrets.token_hex(16), "index", ResourceIdentifiers(study_key), generation=tags.generation
        )

    @property
    def terms(self) -> frozenset[Term]:
        """The terms that were named."""
        return self._intent.terms

    async def declare(self, single: Iterable[Term], created: datetime) -> None:
        """Return once the journal names those of tags among the terms of single instances of a study."""
        if terms := {term for term in single if is_of_tag(term.keyword)}:
            await self._intent.declare(terms, created)

    async def finish(self) -> None:
        """Note that of these postings none is left that nothing needs."""
        await self._intent.finish()

    async def hand_over(self) -> None:
        """Leave the rest to maintenance, which need not wait until the request must be dead."""
        await self._intent.hand_over()

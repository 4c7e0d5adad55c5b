"""What a search has read so far, and what it may read at most."""

from dataclasses import dataclass, field
from typing import Final

from shared.archive.study import StudyRecord
from shared.archive.study_terms import terms_of
from shared.archive.terms import Term
from shared.settings import Settings
from shared.storage.posting_keys import Posting, in_index

_AHEAD: Final = 16  # studies read before their turn
_REPAIRED: Final = 8  # stale postings that one search removes


@dataclass(slots=True)
class Effort:
    """What a search has read so far, what it may read at most, and the stale postings that it came across.

    `is_over`: it was cut within a study, and no later one may be shown, since the next page goes on after the last
    result. `wanted` is how many results it still looks for, `named` how many instances are named by proposals that
    wait; `misses` how many of the studies that were read had none.
    """

    max_postings: int
    max_studies: int
    postings: int = 0
    studies: int = 0
    is_cut: bool = False
    is_over: bool = False
    wanted: int = 0
    named: int = 0
    misses: int = 0
    stale: list[tuple[Term, Posting]] = field(default_factory=list)

    @classmethod
    def of(cls, settings: Settings, wanted: int) -> "Effort":
        """The effort of a search that begins now, and looks for `wanted` results."""
        return cls(settings.max_searched_postings, settings.max_searched_studies, wanted=wanted)

    def ahead(self) -> int:
        """How many studies to read before their turn; while all match, no more than the answer needs."""
        return _AHEAD if self.misses else max(0, min(_AHEAD, self.wanted - 1 - self.named))

    def allows(self, *, postings: int = 0, studies: int = 0) -> bool:
        """Count what is about to be read, and return whether it may be; if not, the search is cut."""
        self.postings += postings
        self.studies += studies
        self.is_cut |= self.postings > self.max_postings or self.studies > self.max_studies
        return not self.is_cut

    def note_stale(self, posting: Posting, study: StudyRecord | None) -> None:
        """Note a posting, if its study does not have its value."""
        term = posting.term
        if term is None or len(self.stale) == _REPAIRED:
            return
        is_of_study = study is not None and study.created == posting.created
        # The study cannot say whether an instance exists.
        if not is_of_study or not (
            posting.series_instance_uid or in_index([term]) <= in_index(terms_of(study) if study else ())
        ):
            self.stale.append((term, posting))

"""What may differ in an archive from what always holds, and what becomes of it.

| kind | what differs | repair |
| --- | --- | --- |
| abandoned request | a journal entry of a request that must be dead | the journal is replayed |
| orphan blob | a blob that belongs to no instance row and to no request that may be alive | it is removed |
| foreign blob | a blob with a name that this service does not give | none: a person must decide |
| missing blob, wrong size, wrong hash | an instance row whose file is not what was stored | none: the data is lost |
| wrong metadata | metadata that is not JSON, or of another instance | none: the data is lost |
| unreadable row | a study whose rows cannot be read | none: a person must look |
| no study row, no series row | instances without the rows above them | rebuilt from the instances |
| empty study, empty series | a row with no instance below it | removed |
| wrong counts | counts of a series that differ from its instances | counted again |
| unlisted term | a term of the study that its row does not list as posted | posted and listed |
| missing posting | a posting that searches need, or that the study row lists | written, or no longer listed |
| surplus posting | a posting that no study needs; it may hold a patient's name | removed |
| missing tag value | a row without the values of an extended query tag, which is ready, that metadata have | indexed |
| surplus tag value | values of an extended query tag that was removed, and after which all was cleaned up | removed |
| stranded changes | changes of a study to which no journal entry leads, so they never reach the feed | one is written |
| unreadable change | a change of a study that the feed waits for | none: a person must delete its row |
| broken feed | changes that the feed lacks, has twice or out of order, or unreadable | none: a person must decide |
| busy study | requests kept changing the study, so it could not be looked at | none: examine again |
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from shared.archive.terms import Term
from shared.dicom.identifiers import StudyKey
from shared.storage.posting_keys import Posting


class Kind(StrEnum):
    """What is wrong; the module's table says what each means."""

    ABANDONED_REQUEST = "abandoned request"
    ORPHAN_BLOB = "orphan blob"
    FOREIGN_BLOB = "foreign blob"
    MISSING_BLOB = "missing blob"
    WRONG_SIZE = "wrong size"
    WRONG_HASH = "wrong hash"
    WRONG_METADATA = "wrong metadata"
    UNREADABLE_ROW = "unreadable row"
    NO_STUDY_ROW = "no study row"
    NO_SERIES_ROW = "no series row"
    EMPTY_STUDY = "empty study"
    EMPTY_SERIES = "empty series"
    WRONG_COUNTS = "wrong counts"
    UNLISTED_TERM = "unlisted term"
    MISSING_POSTING = "missing posting"
    SURPLUS_POSTING = "surplus posting"
    STRANDED_CHANGES = "stranded changes"
    UNREADABLE_CHANGE = "unreadable change"
    BROKEN_FEED = "broken feed"
    MISSING_TAG_VALUE = "missing tag value"
    SURPLUS_TAG_VALUE = "surplus tag value"
    BUSY_STUDY = "busy study"


_LOST: Final = "The data is lost: delete the instance and store it again."
_SENTENCES: Final = {
    Kind.ABANDONED_REQUEST: "A request began to change it, and its process died.",
    Kind.ORPHAN_BLOB: "The blob belongs to no instance and to no request at work.",
    Kind.FOREIGN_BLOB: "This service does not give blobs such a name: move the blob elsewhere or delete it.",
    Kind.MISSING_BLOB: f"The instance has a row, but this blob of it is missing. {_LOST}",
    Kind.WRONG_SIZE: f"The blob is not as long as the instance's row says. {_LOST}",
    Kind.WRONG_HASH: f"The blob's content is not what was stored. {_LOST}",
    Kind.WRONG_METADATA: f"The stored metadata cannot be read, or is another instance's. {_LOST}",
    Kind.UNREADABLE_ROW: "A row of the study cannot be read: restore it from a backup, or delete the study's rows.",
    Kind.NO_STUDY_ROW: "The study has rows of series or instances, but none of its own.",
    Kind.NO_SERIES_ROW: "The series has instances and no row.",
    Kind.EMPTY_STUDY: "The study has a row and no instances.",
    Kind.EMPTY_SERIES: "The series has a row and no instances.",
    Kind.WRONG_COUNTS: "The series' counts by SOP class and transfer syntax differ from its instances.",
    Kind.UNLISTED_TERM: "The study's row does not list the term of a value that the study has.",
    Kind.MISSING_POSTING: "The index lacks a posting of the study.",
    Kind.SURPLUS_POSTING: "The index holds a posting of a value that the study does not have.",
    Kind.STRANDED_CHANGES: "Changes of the study wait for the change feed, and no request leads to them.",
    Kind.UNREADABLE_CHANGE: "The change feed waits for it: delete this row of the catalog, and it goes on without.",
    Kind.BROKEN_FEED: "From here on the change feed is not what was appended: tell its readers to begin anew.",
    Kind.MISSING_TAG_VALUE: "A row lacks the values of an extended query tag that metadata have.",
    Kind.SURPLUS_TAG_VALUE: "A row has values of an extended query tag that was removed.",
    Kind.BUSY_STUDY: "Requests kept changing the study while it was looked at: examine it again.",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it should be: `concerns` names it, by UIDs and keywords, never by a patient's value.

    `posting` is for `repair` alone and may hold such a value: it must not be shown.
    """

    kind: Kind
    study: StudyKey | None
    concerns: str
    posting: tuple[Term, Posting] | None = field(default=None, repr=False)

    @classmethod
    def of_posting(cls, term: Term, posting: Posting) -> Self:
        """A posting that no study needs."""
        return cls(Kind.SURPLUS_POSTING, posting.study, term.keyword, (term, posting))

    @property
    def sentence(self) -> str:
        """What differs, and what a person can do where there is no repair."""
        return _SENTENCES[self.kind]

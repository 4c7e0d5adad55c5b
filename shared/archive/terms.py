"""Terms, each an attribute and a value of it, and the lists of the index in which they stand.

A list is named ``=value`` for equal values, or ``^beginning`` for values that begin alike (``^``: all). Each holds
studies newest first, so a page of results is read from its top, however long the list is. Only beginnings of some
lengths are kept: for a length in between, the next shorter one serves. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from shared.dicom.attributes import SEARCHABLE, MatchingKey
from shared.dicom.comparable_values import NUMBER_VRS, words_of


class Term(NamedTuple):
    """A searchable attribute's keyword, or a tag's name, and a value of it in comparable form.

    For a single instance also its series; of a tag also the instance, which else is the value itself.
    """

    keyword: str
    value: str
    series_instance_uid: str = ""
    sop_instance_uid: str = ""

    @property
    def members(self) -> list[str]:
        """What it is made of again, without the members at its end that are empty."""
        members = list(self)
        while not members[-1] and len(members) > _LEAST_MEMBERS:
            members.pop()
        return members


_LEAST_MEMBERS: Final = 2
EVERY_STUDY: Final = Term("*", "")
"""The term that every study has: its list holds all studies."""

TAG_MARK: Final = "~"
"""With what the name of an extended query tag begins: its VR and number follow."""

_VRS: Final = {key.keyword: key.vr for key in SEARCHABLE}
_ONLY_WHOLE: Final = frozenset({"AS", "AT", "UI", *NUMBER_VRS})
# A study has as many instance numbers as instances; the catalog itself finds a study by its UID.
_UNINDEXED: Final = frozenset({"InstanceNumber", "StudyInstanceUID"})

SAME_LISTS: Final = {"ModalitiesInStudy": "Modality"}
"""Attributes, by keyword, that are looked up in the lists of another attribute."""

TEXT_LENGTHS: Final = (1, 2, 3, 4, 6, 8, 10, 13, 16)
"""The lengths, in characters, of the beginnings kept for a text and for each word of a name."""

LONG_NAME_LENGTH: Final = 8
"""From this length on, beginnings of a whole name are kept as well."""

DATE_LENGTHS: Final = (1, 2, 3, 4, 6)
"""The lengths of the beginnings kept for a date, up to the month."""

HOUR_LENGTH: Final = 2
"""The length of the beginning kept for a time."""


def is_indexed(key: MatchingKey) -> bool:
    """Whether studies can be looked up by the key's values."""
    return key.keyword not in _UNINDEXED


def is_posted(key: MatchingKey) -> bool:
    """Whether a study's values of the key are terms of the study; single instances have their own terms."""
    return is_indexed(key) and key.keyword not in ("SOPInstanceUID", *SAME_LISTS)


def index_keyword(key: MatchingKey) -> str:
    """The keyword or name of a tag under which values that the key may match are in the index."""
    return key.path[0] if is_of_tag(key.path[0]) else SAME_LISTS.get(key.keyword, key.keyword)


def has_beginnings(keyword: str) -> bool:
    """Whether values of the attribute stand in lists of beginnings, besides the list of the whole value."""
    return _vr_of(keyword) not in _ONLY_WHOLE


def is_of_tag(keyword: str) -> bool:
    """Whether this is the name of an extended query tag, no attribute's keyword."""
    return keyword.startswith(TAG_MARK)


def lists_of(term: Term) -> list[str]:
    """The lists in which a term stands, the whole value's first; at most 100."""
    whole = f"={term.value}"
    if not has_beginnings(term.keyword):
        return [whole]
    beginnings = sorted({"", *_beginnings(_vr_of(term.keyword), term.value)})
    return [whole, *(f"^{beginning}" for beginning in beginnings)]


def _vr_of(keyword: str) -> str:
    return keyword[1:3] if is_of_tag(keyword) else _VRS.get(keyword, "UI")


def _beginnings(vr: str, value: str) -> Iterator[str]:
    match vr:
        case "DA" | "DT":
            yield from (value[:length] for length in DATE_LENGTHS)
        case "TM":
            yield value[:HOUR_LENGTH]
        case "PN":
            for word in words_of(value):
                yield from _texts(word)
            yield from (beginning for beginning in _texts(value) if len(beginning) >= LONG_NAME_LENGTH)
        case _:
            yield from _texts(value)


def _texts(text: str) -> Iterator[str]:
    return (text[:length] for length in TEXT_LENGTHS if length <= len(text))


@dataclass(frozen=True, slots=True)
class Span:
    """Values from `first` to `last`, including all that begin with `last`."""

    first: str
    last: str

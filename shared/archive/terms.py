"""Terms, each an attribute and a value of it, and the lists of the index in which they stand.

A list is named ``=value`` for equal values, or ``^beginning`` for values that begin alike (``^``: all). Each holds
studies newest first, so a page of results is read from its top, however long the list is. Only beginnings of some
lengths are kept: for a length in between, the next shorter one serves. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from shared.dicom.attributes import SEARCHABLE, MatchingKey
from shared.dicom.comparable_values import words_of


class Term(NamedTuple):
    """A searchable attribute's keyword and a value of it in comparable form; for a single instance, also its series."""

    keyword: str
    value: str
    series_instance_uid: str = ""


EVERY_STUDY: Final = Term("*", "")
"""The term that every study has: its list holds all studies."""

_VRS: Final = {key.keyword: key.vr for key in SEARCHABLE}
_ONLY_WHOLE: Final = frozenset({"UI", "IS"})
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


def has_beginnings(keyword: str) -> bool:
    """Whether values of the attribute stand in lists of beginnings, besides the list of the whole value."""
    return _VRS.get(keyword, "UI") not in _ONLY_WHOLE


def lists_of(term: Term) -> list[str]:
    """The lists in which a term stands, the whole value's first; at most 100."""
    whole = f"={term.value}"
    if not has_beginnings(term.keyword):
        return [whole]
    beginnings = sorted({"", *_beginnings(_VRS[term.keyword], term.value)})
    return [whole, *(f"^{beginning}" for beginning in beginnings)]


def _beginnings(vr: str, value: str) -> Iterator[str]:
    match vr:
        case "DA":
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

"""Terms, a study's attributes and their values, and the lists of the index that each of them stands in.

A list is named ``=value`` for the values that are equal, or ``^beginning`` for those that begin alike (``^``: all).
Studies stand in each newest first, so a page of results is read from its top, however long it is. Beginnings are only
kept of some lengths: a shorter one stands for what lies between. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from shared.dicom.attributes import SEARCHABLE, MatchingKey
from shared.dicom.comparable_values import words_of


class Term(NamedTuple):
    """A searchable attribute's keyword and a value of it in comparable form; of a single instance, its series, too."""

    keyword: str
    value: str
    series_instance_uid: str = ""


EVERY_STUDY: Final = Term("*", "")
"""The term that every study has: its list is that of all studies."""

_VRS: Final = {key.keyword: key.vr for key in SEARCHABLE}
_ONLY_WHOLE: Final = frozenset({"UI", "IS"})
# A study has as many instance numbers as instances; by its own UID it is found in the catalog itself.
_UNINDEXED: Final = frozenset({"InstanceNumber", "StudyInstanceUID"})

SAME_LISTS: Final = {"ModalitiesInStudy": "Modality"}
"""Attributes, by keyword, that are looked up in the lists of another."""

TEXT_LENGTHS: Final = (1, 2, 3, 4, 6, 8, 10, 13, 16)
"""The lengths, in characters, of the beginnings by which texts are kept, and each word of a name."""

LONG_NAME_LENGTH: Final = 8
"""From this length on, names are kept by how they begin as a whole, too."""

DATE_LENGTHS: Final = (1, 2, 3, 4, 6)
"""The lengths of the beginnings by which dates are kept: from the century to the month."""

HOUR_LENGTH: Final = 2
"""The length of the beginning by which times are kept."""


def is_indexed(key: MatchingKey) -> bool:
    """Whether studies can be looked up by the key's values."""
    return key.keyword not in _UNINDEXED


def is_posted(key: MatchingKey) -> bool:
    """Whether a study's values of the key make terms of it; its instances make terms of their own."""
    return is_indexed(key) and key.keyword not in ("SOPInstanceUID", *SAME_LISTS)


def has_beginnings(keyword: str) -> bool:
    """Whether values of the attribute stand in lists of beginnings, beside that of the whole value."""
    return _VRS.get(keyword, "UI") not in _ONLY_WHOLE


def lists_of(term: Term) -> list[str]:
    """The lists that a term stands in, that of the whole value first; at most 100."""
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
    """Values from `first` to `last`, to which all belong that begin with it."""

    first: str
    last: str

"""The lists of the index: those that a term stands in, and those that hold whatever a search may ask for.

A list is named ``=value`` for the values that are equal, or ``^beginning`` for those that begin alike (``^``: all).
Studies stand in each newest first, so a page of results is read from its top, however long it is. Beginnings are only
kept of some lengths: a shorter one stands for what lies between, and values that do not match are passed over. Pure.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from shared.dicom.attributes import SEARCHABLE, MatchingKey
from shared.dicom.comparable_values import words_of
from shared.search.matching import AnyOf, EachOf, Either, Matcher, NameGroups, Range, ValueMatcher, Wildcard, Words


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

_SAME_LISTS: Final = {"ModalitiesInStudy": "Modality"}

_TEXT_LENGTHS: Final = (1, 2, 3, 4, 6, 8, 10, 13, 16)
_LONG: Final = 8  # from here on, names are kept by how they begin as a whole, too
_DATE_LENGTHS: Final = (1, 2, 3, 4, 6)
_HOUR_LENGTH: Final = 2


def is_indexed(key: MatchingKey) -> bool:
    """Whether studies can be looked up by the key's values."""
    return key.keyword not in _UNINDEXED


def is_posted(key: MatchingKey) -> bool:
    """Whether a study's values of the key make terms of it; its instances make terms of their own."""
    return is_indexed(key) and key.keyword not in ("SOPInstanceUID", *_SAME_LISTS)


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
            yield from (value[:length] for length in _DATE_LENGTHS)
        case "TM":
            yield value[:_HOUR_LENGTH]
        case "PN":
            for word in words_of(value):
                yield from _texts(word)
            yield from (beginning for beginning in _texts(value) if len(beginning) >= _LONG)
        case _:
            yield from _texts(value)


def _texts(text: str) -> Iterator[str]:
    return (text[:length] for length in _TEXT_LENGTHS if length <= len(text))


@dataclass(frozen=True, slots=True)
class Span:
    """Values from `first` to `last`, to which all belong that begin with it."""

    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where to find the studies that may match: `lists` hold them all, and `accepts` tells by the value which may.

    Where the values that match lie between two, `spans` hold them all, too, by value: where they are few, that is less
    to read.
    """

    keyword: str
    lists: tuple[str, ...]
    spans: tuple[Span, ...]
    accepts: Callable[[str], bool]

    @property
    def is_exact(self) -> bool:
        """Whether it asks for whole values."""
        return all(name.startswith("=") for name in self.lists)

    @property
    def is_of_everything(self) -> bool:
        """Whether every study that has the attribute has to be looked at."""
        return self.lists == ("^",)


EVERY_STUDY_LOOKUP: Final = Lookup(EVERY_STUDY.keyword, (f"={EVERY_STUDY.value}",), (), lambda _: True)


def lookup_of(key: MatchingKey, matcher: Matcher) -> Lookup | None:
    """Where the studies are that may match a key; None where the index cannot say."""
    if not is_indexed(key):
        return None
    match matcher:
        case EachOf():
            matcher = max(matcher.matchers, key=lambda one: len(one.prefix) if isinstance(one, Wildcard) else 100)
        case NameGroups():
            matcher = next(group for group in matcher.groups if group is not None)
    if not isinstance(matcher, ValueMatcher):
        return None
    parts = list(_parts(key.vr, matcher))
    spans = [span for _, span in parts]
    return Lookup(
        _SAME_LISTS.get(key.keyword, key.keyword),
        tuple(sorted({name for names, _ in parts for name in names})),
        tuple(span for span in spans if span is not None) if None not in spans else (),
        matcher.matches,
    )


def _parts(vr: str, matcher: ValueMatcher) -> Iterator[tuple[list[str], Span | None]]:
    match matcher:
        case AnyOf():
            yield [f"={form}" for form in matcher.forms], None
        case Either():
            for one in matcher.matchers:
                yield from _parts(vr, one)
        case Range() if vr == "DA":
            yield [f"^{beginning}" for beginning in _dates("", matcher)], Span(matcher.first, matcher.last)
        case Range():
            hours = [f"{hour:02d}" for hour in range(24)]
            within = Range(matcher.first[:_HOUR_LENGTH], matcher.last[:_HOUR_LENGTH])
            yield [f"^{hour}" for hour in hours if within.matches(hour)], Span(matcher.first, matcher.last)
        case Wildcard():
            prefix = matcher.prefix.rstrip("^ ") if vr == "PN" else matcher.prefix
            is_whole = vr != "PN" or len(prefix) >= _LONG
            beginning = prefix if is_whole else next(iter(words_of(prefix)), "")
            yield [f"^{_kept(beginning)}"], Span(prefix, prefix) if prefix else None
        case Words():
            yield [f"^{_kept(max(matcher.beginnings, key=len))}"], None


def _kept(beginning: str) -> str:
    """The longest beginning of this one of which there is a list."""
    return beginning[: max((length for length in _TEXT_LENGTHS if length <= len(beginning)), default=0)]


def _dates(beginning: str, asked: Range) -> Iterator[str]:
    """The beginnings that together stand for the dates of a range: whole centuries to months, and parts of months."""
    first = f"{beginning:0<4}0101" if len(beginning) <= 4 else f"{beginning}01"
    last = f"{beginning:9<4}1231" if len(beginning) <= 4 else f"{beginning}31"
    if (asked.last and first > asked.last) or last < asked.first:
        return
    if len(beginning) == _DATE_LENGTHS[-1] or (asked.matches(first) and asked.matches(last)):
        yield beginning
    else:
        following = range(1, 13) if len(beginning) == 4 else range(10)
        width = 2 if len(beginning) == 4 else 1
        for number in following:
            yield from _dates(f"{beginning}{number:0{width}d}", asked)

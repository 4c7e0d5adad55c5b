"""Where in the index to look: the lists that hold every study that may match a key of a search. Pure.

Lists of beginnings only exist for some lengths, so a list may hold values that do not match; those are skipped.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Union

from shared.archive.terms import (
    DATE_LENGTHS,
    EVERY_STUDY,
    HOUR_LENGTH,
    LONG_NAME_LENGTH,
    TEXT_LENGTHS,
    Span,
    index_keyword,
    is_indexed,
    is_of_tag,
)
from shared.dicom.attributes import Level, MatchingKey
from shared.dicom.comparable_values import words_of
from shared.search.matching import (
    AnyOf,
    ComponentWords,
    EachOf,
    Either,
    Matcher,
    NameGroups,
    Range,
    ValueMatcher,
    Wildcard,
    Words,
)

_DAY_LENGTH: Final = 8
_EVERYTHING: Final = "^"  # the list that holds all others of an attribute


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where to find the studies that may match: `lists` hold them all, and `accepts` says whether a value may match.

    Where the matching values lie between two bounds, `spans` also hold them all, by value: less to read where there are
    few. Where it `is_of_instances`, the lists name single instances by the value of a tag. Where it `is_of_dates`, the
    span is a range of them.
    """

    keyword: str
    lists: tuple[str, ...]
    spans: tuple[Span, ...]
    accepts: Callable[[str], bool]
    is_of_instances: bool = False
    is_of_dates: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether it looks for whole values only."""
        return all(name.startswith("=") for name in self.lists)

    @property
    def is_of_everything(self) -> bool:
        """Whether every study that has the attribute has to be examined."""
        return self.lists == (_EVERYTHING,)

    def divided(self, year: int) -> tuple["Lookup", Union["Lookup", None]]:
        """The lookup without lists of nothing but dates from a year on, and that of those dates alone.

        None where these are not worth a separate one. Of early dates there is none: those before 1000 are one list.
        """
        later = tuple(name for name in self.lists if self.is_of_dates and f"{name[1:]:0<4}" >= f"{year:04d}")
        if len(later) < 2:
            return self, None
        near = tuple(name for name in self.lists if name not in later)
        return replace(self, lists=near), replace(
            self, lists=later, spans=tuple(Span(later[0][1:], span.last) for span in self.spans)
        )


EVERY_STUDY_LOOKUP: Final = Lookup(EVERY_STUDY.keyword, (f"={EVERY_STUDY.value}",), (), lambda _: True)


def lookup_of(key: MatchingKey, matcher: Matcher) -> Lookup | None:
    """Where to find the studies that may match a key; None where the index cannot tell."""
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
    lists = {name for names, _ in parts for name in names}
    return Lookup(
        index_keyword(key),
        (_EVERYTHING,) if _EVERYTHING in lists else tuple(sorted(lists)),
        tuple(span for span in spans if span is not None) if None not in spans else (),
        matcher.matches,
        is_of_instances=is_of_tag(index_keyword(key)) and key.level is Level.INSTANCE,
        is_of_dates=key.vr in ("DA", "DT") and isinstance(matcher, Range),
    )


def _parts(vr: str, matcher: ValueMatcher) -> Iterator[tuple[list[str], Span | None]]:
    match matcher:
        case AnyOf():
            yield [f"={form}" for form in matcher.forms], None
        case Either():
            for one in matcher.matchers:
                yield from _parts(vr, one)
        case Range() if vr in ("DA", "DT"):
            days = Range(matcher.first[:_DAY_LENGTH], matcher.last[:_DAY_LENGTH])
            yield [f"^{beginning}" for beginning in _dates("", days)], Span(matcher.first, matcher.last)
        case Range():
            hours = [f"{hour:02d}" for hour in range(24)]
            within = Range(matcher.first[:HOUR_LENGTH], matcher.last[:HOUR_LENGTH])
            yield [f"^{hour}" for hour in hours if within.matches(hour)], Span(matcher.first, matcher.last)
        case Wildcard():
            prefix = matcher.prefix.rstrip("^ ") if vr == "PN" else matcher.prefix
            is_whole = vr != "PN" or len(prefix) >= LONG_NAME_LENGTH
            beginning = prefix if is_whole else next(iter(words_of(prefix)), "")
            yield [f"^{_kept(beginning)}"], Span(prefix, prefix) if prefix else None
        case Words() | ComponentWords():
            yield [f"^{_kept(max(matcher.beginnings, key=len))}"], None


def _kept(beginning: str) -> str:
    """The longest beginning of this text that has a list."""
    return beginning[: max((length for length in TEXT_LENGTHS if length <= len(beginning)), default=0)]


def _dates(beginning: str, asked: Range) -> Iterator[str]:
    """The beginnings that together cover the dates of a range: whole centuries to months, and parts of months."""
    first = f"{beginning:0<4}0101" if len(beginning) <= 4 else f"{beginning}01"
    last = f"{beginning:9<4}1231" if len(beginning) <= 4 else f"{beginning}31"
    if (asked.last and first > asked.last) or last < asked.first:
        return
    if len(beginning) == DATE_LENGTHS[-1] or (asked.matches(first) and asked.matches(last)):
        yield beginning
    else:
        following = range(1, 13) if len(beginning) == 4 else range(10)
        width = 2 if len(beginning) == 4 else 1
        for number in following:
            yield from _dates(f"{beginning}{number:0{width}d}", asked)

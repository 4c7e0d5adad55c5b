"""Range matching of times, alone and together with their dates (PS3.4 C.2.2.2.5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.dicom.attributes import DATES_WITH_TIMES, Level, MatchingKey
from shared.dicom.comparable_values import comparable_values
from shared.search.matching import ByVR, EachOf, Either, Matcher, Range, ValueMatcher


@dataclass(frozen=True, slots=True)
class Moments:
    """A range of a date and its time together; a date without a time counts from its start."""

    date_tag: str
    time_tag: str
    range: Range

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        """Whether a data set's date and time lie in the range."""
        dates, times = ([*comparable_values(attributes.get(tag, {}))] for tag in (self.date_tag, self.time_tag))
        return any(self.range.matches(date + time) for date in dates for time in times or ["000000.000000"])


def combined_ranges(
    matchers: Mapping[MatchingKey, Matcher], asked: Mapping[MatchingKey, Sequence[str]], tags: Mapping[str, str]
) -> dict[Level, tuple[Moments, ...]]:
    """The dates and times that are both `asked` for as ranges, as ranges of moments, for each level.

    Those that would end before they begin are left out: of one day, from an hour to an earlier one, say. `tags` are the
    attributes' tags of extended query tags, by name.
    """
    ranges = {
        tags.get(key.path[0], key.path[0]): (key, matcher)
        for key, matcher in matchers.items()
        if len(key.path) == 1 and isinstance(matcher, Range) and "-" in asked[key][0]
    }
    found: dict[Level, tuple[Moments, ...]] = dict.fromkeys(Level, ())
    for date_tag, time_tag in DATES_WITH_TIMES:
        if date_tag in ranges and time_tag in ranges:
            date, dates = ranges[date_tag]
            time, times = ranges[time_tag]
            # An open end of the range of dates stays open, whatever the time says.
            first = dates.first and dates.first + (times.first or "000000.000000")
            last = dates.last and dates.last + (times.last or "235959.999999")
            if date.level is time.level and not (first and last and first > last):
                found[date.level] += (Moments(date.path[0], time.path[0], Range(first, last)),)
    return found


def spanning_midnight(times: Matcher) -> Matcher:
    """What matches times, where a range may end at an earlier time than it begins: on the next day."""
    match times:
        case Range(first, last) if "" < last < first:
            return Either((Range(first, ""), Range("", last)))
        case EachOf(matchers):
            spanning = (spanning_midnight(one) for one in matchers)
            return EachOf(tuple(one for one in spanning if isinstance(one, ValueMatcher)))
        case ByVR(matchers) if "TM" in matchers:
            spanned = spanning_midnight(matchers["TM"])
            return ByVR({**matchers, "TM": spanned}) if isinstance(spanned, ValueMatcher | EachOf) else times
    return times

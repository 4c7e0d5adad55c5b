"""The query of a Search transaction (PS3.18 8.3.4 and 10.6.1): from the raw query string to what has to match."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from shared.dicom.attributes import BY_KEYWORD, DATES_WITH_TIMES, KEY_BY_PATH, SEARCHABLE, Level, MatchingKey, level_of
from shared.dicom.comparable_values import comparable_values
from shared.errors import BadRequest
from shared.search.matching import AnyOf, Matcher, Range, Requirements
from shared.search.query_values import matcher_of, matcher_of_any_vr
from shared.settings import Settings

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_KEYWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_NAME: Final = re.compile(r"[A-Za-z0-9]{1,64}(\.[A-Za-z0-9]{1,64}){0,3}")
REPRESENTATION: Final = ("accept", "charset")  # PS3.18 8.3.3: of any request, and no matter of the search
CONTROLS: Final = ("limit", "offset", "fuzzymatching", "emptyvaluematching", "multiplevaluematching")
FUZZY: Final = ("PatientName", "ReferringPhysicianName")
_STUDY: Final = (BY_KEYWORD["StudyInstanceUID"].tag,)
_MAX_PATH_LENGTH: Final = 65  # sequences that are stored nest 64 deep
_UNMATCHED_VRS: Final = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN")


@dataclass(frozen=True, slots=True)
class Moments:
    """Range matching of a date and its time together (PS3.4 C.2.2.2.5); a date without a time is that of its start."""

    date_tag: str
    time_tag: str
    range: Range

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        """Whether a data set's date and time lie in the range."""
        dates, times = ([*comparable_values(attributes.get(tag, {}))] for tag in (self.date_tag, self.time_tag))
        return any(self.range.matches(date + time) for date in dates for time in times or ["000000.000000"])


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A parsed query. All has to match; `offset` matches are left out, then at most `limit` returned.

    `requirements` and `moments` are what a resource has to match, by the level of the attributes; `keys` are those of
    them that the archive is searched by. `include_tags` are returned beside the level's own attributes; `include_all`
    returns every attribute there is.
    """

    level: Level
    keys: Mapping[MatchingKey, Matcher]
    requirements: Mapping[Level, Requirements]
    moments: Mapping[Level, tuple[Moments, ...]]
    include_tags: frozenset[str]
    include_all: bool
    limit: int
    offset: int


def parse_search(query_string: str, level: Level, settings: Settings, *, is_within_study: bool = False) -> SearchQuery:
    """Parse the query of a search for resources of `level`.

    Within one study, which the path or the query names, any attribute may be matched; elsewhere those of SEARCHABLE.
    Raises BadRequest, naming the parameter and what it may be, for one that is unknown, belongs to a lower level,
    stands twice or has a value that its VR does not allow.
    """
    controls: dict[str, str] = {}
    asked: dict[MatchingKey, list[str]] = {}
    include: list[str] = []
    named = []
    for name, value in _parameters(query_string, settings.max_query_length):
        control = name.lower()
        if control == "includefield":
            include.extend(value.split(","))
        elif control in CONTROLS:
            if control in controls:
                raise BadRequest(f"The parameter {control} is given twice.")
            controls[control] = value
        elif control not in REPRESENTATION:
            named.append((name, _path(name), value))
    is_fuzzy = _boolean("fuzzymatching", controls)
    options = {
        "has_empty": _boolean("emptyvaluematching", controls),
        "is_multiple": _boolean("multiplevaluematching", controls),
    }
    studies = [value for _, path, value in named if path == _STUDY]
    is_within_study |= isinstance(matcher_of("StudyInstanceUID", "UI", studies, is_fuzzy=False, **options), AnyOf)
    keys: dict[tuple[str, ...], MatchingKey] = {}
    # Universal matching (PS3.4 C.2.2.2.3) asks for an attribute, whichever it is.
    searched = {path for _, path, value in named if value.strip("*")}
    returned = set()
    for name, path, value in named:
        if path is not None and path not in searched:
            returned.add(path[0])
            continue
        key = _key(name, path, level, is_within_study)
        asked.setdefault(keys.setdefault(key.path, key), []).append(value)
    found = {
        key: matcher_of(key.keyword, key.vr, texts, is_fuzzy=is_fuzzy and key.keyword in FUZZY, **options)
        if key.vr
        else matcher_of_any_vr(key.keyword, texts, **options)
        for key, texts in asked.items()
    }
    matchers = {key: matcher for key, matcher in found.items() if matcher is not None}
    combined = _combined(matchers, asked)
    times = {moments.time_tag for _, moments in combined}
    for key, matcher in matchers.items():
        if isinstance(matcher, Range) and "" < matcher.last < matcher.first and key.path[0] not in times:
            raise BadRequest(f"The parameter {key.keyword} is a range that ends before it begins.")
    alone = {key: matcher for key, matcher in matchers.items() if key.path[0] not in times}
    return SearchQuery(
        level=level,
        keys={key: matcher for key, matcher in alone.items() if key.path in KEY_BY_PATH},
        requirements={
            at: _requirements({key.path: matcher for key, matcher in alone.items() if key.level is at}) for at in Level
        },
        moments={at: tuple(moments for level, moments in combined if level is at) for at in Level},
        include_tags=frozenset(
            {tag for field in include if (tag := _include_tag(field))} | {key.path[0] for key in asked} | returned
        ),
        include_all="all" in (field.strip().lower() for field in include),
        limit=_number("limit", controls.get("limit"), settings.default_search_limit, 1, settings.max_search_limit),
        offset=_number("offset", controls.get("offset"), 0, 0, None),
    )


def _parameters(query_string: str, max_length: int) -> list[tuple[str, str]]:
    if len(query_string) > max_length:
        raise BadRequest(f"The query string is longer than {max_length} characters.")
    try:
        return parse_qsl(query_string, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("The query string is not UTF-8, percent-encoded.") from None


def _key(name: str, path: tuple[str, ...] | None, level: Level, is_within_study: bool) -> MatchingKey:
    """What a parameter's name, whose tags are `path`, asks to match."""
    key = KEY_BY_PATH.get(path or ())
    if key is None and path is not None and is_within_study:
        key = MatchingKey(name, path, _vr(path[-1]), level_of(path[0]))
        if key.vr in _UNMATCHED_VRS:
            raise BadRequest(f"The parameter {name} cannot be matched: its VR is {key.vr}.")
    if key is None or key.level > level:
        allowed = ", ".join(sorted(known.keyword for known in SEARCHABLE if known.level <= level))
        shown = name if _NAME.fullmatch(name) else "the given name"
        raise BadRequest(f"Unknown parameter: {shown} is not searchable here. Searchable are: {allowed}.")
    return key


def _path(name: str) -> tuple[str, ...] | None:
    """The tags that a name gives by keyword or tag; None where one of them is no attribute."""
    parts = name.split(".")
    if len(parts) > _MAX_PATH_LENGTH:
        return None
    tags = [_tag(part) for part in parts]
    return None if None in tags else tuple(tag for tag in tags if tag is not None)


def _tag(name: str) -> str | None:
    if known := BY_KEYWORD.get(name):
        return known.tag
    if _TAG.fullmatch(name):
        return name.upper()
    if not _KEYWORD.fullmatch(name):
        return None
    from pydicom.datadict import tag_for_keyword  # the whole dictionary, needed for the rare keyword only

    tag = tag_for_keyword(name)
    return None if tag is None else f"{tag:08X}"


def _vr(tag: str) -> str:
    from pydicom.datadict import dictionary_VR

    try:
        return dictionary_VR(int(tag, 16))[:2]  # of "US or SS" the first: numbers are compared alike
    except KeyError:
        return ""  # of a private attribute the VR is not known


def _combined(
    matchers: Mapping[MatchingKey, Matcher], asked: Mapping[MatchingKey, list[str]]
) -> list[tuple[Level, Moments]]:
    """Ranges of a date and of its time, both given as ranges, as one of moments."""
    ranges = {
        key.path[0]: (key.level, matcher)
        for key, matcher in matchers.items()
        if len(key.path) == 1 and isinstance(matcher, Range) and "-" in asked[key][0]
    }
    found = []
    for date_tag, time_tag in DATES_WITH_TIMES:
        if date_tag in ranges and time_tag in ranges:
            level, dates = ranges[date_tag]
            _, times = ranges[time_tag]
            # The end of a range that is open is open, whatever the time says.
            first = dates.first and dates.first + (times.first or "000000.000000")
            last = dates.last and dates.last + (times.last or "235959.999999")
            if first and last and first > last:
                raise BadRequest(f"The range of the parameters {date_tag} and {time_tag} ends before it begins.")
            found.append((level, Moments(date_tag, time_tag, Range(first, last))))
    return found


def _requirements(matchers: Mapping[tuple[str, ...], Matcher]) -> Requirements:
    """Matchers by path as a tree: those of one sequence have to match in one item."""
    tree: dict[str, Any] = {}
    for (tag, *rest), matcher in matchers.items():
        if isinstance(tree.setdefault(tag, {}), dict) and rest:
            tree[tag][tuple(rest)] = matcher
        elif not rest and not tree[tag]:
            tree[tag] = matcher
        else:
            raise BadRequest(f"The parameter {tag} is asked for by its value and by attributes of its items.")
    return {tag: _requirements(found) if isinstance(found, dict) else found for tag, found in tree.items()}


def _include_tag(field: str) -> str | None:
    """The tag of the attribute that an `includefield` names, of a path its first; None for `all` and an empty one."""
    field = field.strip()
    if not field or field.lower() == "all":
        return None
    path = _path(field)
    if path is None:
        raise BadRequest("The parameter includefield must be an attribute's keyword, its tag as 8 digits, or all.")
    return path[0]


def _number(name: str, text: str | None, default: int, least: int, most: int | None) -> int:
    if text is None:
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if number < least or (most is not None and number > most):
        allowed = f"from {least} to {most}" if most is not None else f"from {least} up"
        raise BadRequest(f"The parameter {name} must be a whole number {allowed}.")
    return number


def _boolean(name: str, controls: Mapping[str, str]) -> bool:
    text = controls.get(name, "false").lower()
    if text not in ("true", "false"):
        raise BadRequest(f"The parameter {name} must be true or false.")
    return text == "true"

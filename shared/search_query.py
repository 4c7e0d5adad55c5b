"""The query of a Search transaction (PS3.18 8.3.4 and 10.6.1): from the raw query string to predicates."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from shared.attributes import BY_KEYWORD, BY_TAG, SEARCHABLE, Attribute, Level
from shared.errors import BadRequest
from shared.identifiers import is_uid
from shared.matching import AnyOf, DateRange, Matcher, comparable, is_date
from shared.settings import Settings

# A comma cannot stand in a value of these VRs, so it separates: list of UID matching (PS3.4 C.2.2.2.2), and the lists
# of modalities that viewers send.
LISTED_VRS: Final = ("UI", "CS")

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_REPRESENTATION: Final = ("accept", "charset")  # PS3.18 8.3.3: of any request, and no matter of the search
_KEYWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")


@dataclass(frozen=True, slots=True)
class Predicate:
    """An attribute and what its value has to match."""

    attribute: Attribute
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A parsed query. All predicates have to match; `offset` matches are left out, then at most `limit` returned.

    `include_tags` are returned beside the level's own attributes; `include_all` returns every attribute there is.
    `is_fuzzy` records that fuzzy matching was asked for.
    """

    level: Level
    predicates: tuple[Predicate, ...]
    include_tags: frozenset[str]
    include_all: bool
    limit: int
    offset: int
    is_fuzzy: bool


def parse_search(query_string: str, level: Level, settings: Settings) -> SearchQuery:
    """Parse the query of a search for resources of `level`.

    Raises BadRequest, naming the parameter and what it may be, for one that is unknown, belongs to a lower level,
    stands twice or has a value that its VR does not allow.
    """
    if len(query_string) > settings.max_query_length:
        raise BadRequest(f"The query string is longer than {settings.max_query_length} characters.")
    controls: dict[str, str] = {}
    matched: dict[Attribute, list[str]] = {}
    include: list[str] = []
    for name, value in parse_qsl(query_string, keep_blank_values=True):
        control = name.lower()
        if control == "includefield":
            include.extend(value.split(","))
        elif control in ("limit", "offset", "fuzzymatching"):
            if control in controls:
                raise BadRequest(f"The parameter {control} is given twice.")
            controls[control] = value
        elif control not in _REPRESENTATION:
            matched.setdefault(_searchable(name, level), []).append(value)
    predicates = [Predicate(attribute, matcher) for attribute, matcher in _matchers(matched.items())]
    named = {tag for field in include if (tag := _include_tag(field)) is not None}
    return SearchQuery(
        level=level,
        predicates=tuple(predicates),
        include_tags=frozenset(named | {attribute.tag for attribute in matched}),
        include_all="all" in (field.strip().lower() for field in include),
        limit=_number("limit", controls.get("limit"), settings.default_search_limit, 1, settings.max_search_limit),
        offset=_number("offset", controls.get("offset"), 0, 0, None),
        is_fuzzy=_boolean("fuzzymatching", controls.get("fuzzymatching")),
    )


def _searchable(name: str, level: Level) -> Attribute:
    attribute = BY_KEYWORD.get(name) or BY_TAG.get(name.upper())
    if attribute is None or not attribute.is_searchable or attribute.level > level:
        allowed = ", ".join(sorted(known.keyword for known in SEARCHABLE if known.level <= level))
        shown = name if _KEYWORD.fullmatch(name) or _TAG.fullmatch(name) else "the given name"
        raise BadRequest(f"Unknown parameter: {shown} is not searchable here. Searchable are: {allowed}.")
    return attribute


def _matchers(matched: Iterable[tuple[Attribute, list[str]]]) -> Iterable[tuple[Attribute, Matcher]]:
    for attribute, texts in matched:
        values = [value for text in texts for value in _split(attribute, text)]
        if not any(values):
            continue  # universal matching, PS3.4 C.2.2.2.3
        if len(values) > 1 and attribute.vr not in LISTED_VRS:
            raise BadRequest(f"The parameter {attribute.keyword} takes one value.")
        if attribute.vr == "DA":
            yield attribute, _date(attribute.keyword, values[0])
        else:
            forms = (_form(attribute, value) for value in values)
            yield attribute, AnyOf(frozenset(form for form in forms if form))


def _split(attribute: Attribute, text: str) -> list[str]:
    if attribute.vr in LISTED_VRS:
        return [value.strip() for value in re.split(r"[,\\]", text)]
    return ["" if text == "*" else text]


def _form(attribute: Attribute, value: str) -> str:
    if attribute.vr == "UI" and value and not is_uid(value):
        raise BadRequest(f"The parameter {attribute.keyword} is not a UID or a list of UIDs.")
    if attribute.vr != "UI" and ("*" in value or "?" in value):
        raise BadRequest(f"The parameter {attribute.keyword} holds a wildcard; only whole values are matched.")
    return comparable(attribute.vr, value)


def _date(keyword: str, text: str) -> Matcher:
    first, hyphen, last = text.partition("-")
    if not (first or last) or not all(is_date(end) for end in (first, last) if end):
        raise BadRequest(f"The parameter {keyword} must be a date YYYYMMDD or a range of two joined by a hyphen.")
    if not hyphen:
        return AnyOf(frozenset({first}))
    if first and last and first > last:
        raise BadRequest(f"The parameter {keyword} is a range that ends before it begins.")
    return DateRange(first, last)


def _include_tag(field: str) -> str | None:
    """The tag that an `includefield` names by keyword or tag; None for `all` and for an empty one."""
    field = field.strip()
    if not field or field.lower() == "all":
        return None
    if known := BY_KEYWORD.get(field):
        return known.tag
    if _TAG.fullmatch(field):
        return field.upper()
    from pydicom.datadict import tag_for_keyword  # the whole dictionary, needed for the rare keyword only

    tag = tag_for_keyword(field) if _KEYWORD.fullmatch(field) else None
    if tag is None:
        raise BadRequest("The parameter includefield must be an attribute's keyword, its tag as 8 digits, or all.")
    return f"{tag:08X}"


def _number(name: str, text: str | None, default: int, least: int, most: int | None) -> int:
    if text is None:
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if number < least or (most is not None and number > most):
        allowed = f"from {least} to {most}" if most is not None else f"from {least} up"
        raise BadRequest(f"The parameter {name} must be a whole number {allowed}.")
    return number


def _boolean(name: str, text: str | None) -> bool:
    if text is None or text.lower() in ("true", "false"):
        return text is not None and text.lower() == "true"
    raise BadRequest(f"The parameter {name} must be true or false.")

"""The query of a Search transaction (PS3.18 8.3.4 and 10.6.1): from the raw query string to what has to match."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl

from shared.archive.extended_tags import NO_TAGS, ExtendedTag, TagSet
from shared.archive.instance import DicomJson
from shared.archive.terms import is_of_tag
from shared.dicom.attributes import BY_KEYWORD, BY_TAG, KEY_BY_PATH, SEARCHABLE, Level, MatchingKey, level_of
from shared.errors import BadRequest
from shared.search.matching import AnyOf, EachOf, Matcher, Range, Requirements, ValueMatcher, satisfies
from shared.search.moments import Moments, combined_ranges, spanning_midnight
from shared.search.query_names import name_in_its_case, path_of
from shared.search.query_tags import PRIVATE_CREATOR, key_of_tag, named_tags, returned_as, searchable
from shared.search.query_values import MatchingOptions, matcher_of
from shared.settings import Settings

REPRESENTATION: Final = ("accept", "charset")  # PS3.18 8.3.3: parameters of any request, not of the search
CONTROLS: Final = (
    "limit",
    "offset",
    "fuzzymatching",
    "emptyvaluematching",
    "multiplevaluematching",
    PRIVATE_CREATOR,
)
FUZZY: Final = ("PatientName", "ReferringPhysicianName")
_CONTROLS: Final = {name.lower(): name for name in CONTROLS}  # by their names in lower case
_NAME: Final = re.compile(r"[A-Za-z0-9]{1,64}(\.[A-Za-z0-9]{1,64}){0,3}")
_STUDY: Final = (BY_KEYWORD["StudyInstanceUID"].tag,)
_SERIES: Final = KEY_BY_PATH[(BY_KEYWORD["SeriesInstanceUID"].tag,)]
_UNMATCHED_VRS: Final = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN")


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A parsed query. Everything has to match; `offset` matches are skipped, then at most `limit` returned.

    `requirements` and `moments` are what a resource has to match, by the level of the attributes; the archive is
    searched by those that are in `keys`. `include_tags` are returned besides the level's own attributes; `include_all`
    returns every attribute there is. Values of extended query tags are returned as the attributes `tags`, by the tags'
    names. `erroneous` are the names by which the query asks for tags that could not index all instances.
    """

    level: Level
    keys: Mapping[MatchingKey, Matcher]
    requirements: Mapping[Level, Requirements]
    moments: Mapping[Level, tuple[Moments, ...]]
    include_tags: frozenset[str]
    include_all: bool
    limit: int
    offset: int
    tags: Mapping[str, str]
    erroneous: Sequence[str]

    def is_met(self, attributes: Mapping[str, Any], level: Level) -> bool:
        """Whether a data set meets what the query asks of attributes of this level."""
        return satisfies(attributes, self.requirements[level]) and all(
            moments.matches(attributes) for moments in self.moments[level]
        )

    def may_be_met(self, tags: DicomJson) -> bool:
        """Whether an instance with these values of tags may meet it, whatever else it has."""
        requirements = self.requirements[Level.INSTANCE]
        return satisfies(tags, {name: required for name, required in requirements.items() if is_of_tag(name)})


@dataclass(frozen=True, slots=True)
class _Attribute:
    """A parameter that names an attribute. `path` is None where no attribute has that name."""

    name: str
    path: tuple[str, ...] | None
    value: str

    @property
    def is_universal(self) -> bool:
        """Whether it matches everything (PS3.4 C.2.2.2.3), and so asks for any attribute to be returned."""
        return self.path is not None and not self.value.strip("*")


@dataclass(frozen=True, slots=True)
class _Parameters:
    """The parameters of a query string, by kind: `controls` by those of CONTROLS, `fields` to include."""

    controls: Mapping[str, str]
    fields: Sequence[str]
    attributes: Sequence[_Attribute]

    @property
    def names(self) -> list[tuple[str, tuple[str, ...]]]:
        """The names of attributes to match and of `fields`, each with its path."""
        named = [(each.name, each.path) for each in self.attributes]
        named += [(name, path_of(name)) for name in map(str.strip, self.fields)]
        return [(name, path) for name, path in named if path is not None]


@dataclass(frozen=True, slots=True)
class _Searched:
    """What is searched: resources of `level`, all or those of a study, with `tags`, of which `named`, by path."""

    level: Level
    is_within_study: bool
    tags: TagSet
    named: Mapping[tuple[str, ...], ExtendedTag]


def parse_search(
    query_string: str,
    level: Level,
    settings: Settings,
    *,
    is_within_study: bool = False,
    series_instance_uid: str | None = None,
    tags: TagSet = NO_TAGS,
) -> SearchQuery:
    """Parse the query of a search for resources of `level`, of the series `series_instance_uid` if there is one.

    Within one study, which the path or the query names, any attribute may be matched; elsewhere only those of
    SEARCHABLE and the extended query tags among `tags`. Raises BadRequest, naming the parameter and what it may be, for
    one that is unknown, belongs to a lower level, is repeated, or has a value that its VR does not allow; TagNotReady
    for a tag that is being added.
    """
    given = _parameters(query_string)
    known = named_tags(given.names, tags, given.controls.get(PRIVATE_CREATOR))
    options = MatchingOptions(
        is_fuzzy=_boolean("fuzzymatching", given.controls),
        has_empty=_boolean("emptyvaluematching", given.controls),
        is_multiple=_boolean("multiplevaluematching", given.controls),
    )
    is_within_study |= _is_of_studies(given.attributes, options)
    by_name = _keys(given.attributes, _Searched(level, is_within_study, tags, known))
    asked = _asked(given.attributes, by_name)
    matchers = _matchers(asked, options)
    if series_instance_uid is not None:
        named, also = AnyOf(frozenset({series_instance_uid})), matchers.get(_SERIES)
        matchers[_SERIES] = EachOf((named, also)) if isinstance(also, ValueMatcher) else named
    moments = combined_ranges(matchers, asked, {tag.name: tag.path[0] for tag in known.values()})
    # The times of combined ranges are not matched separately; the dates are, as the archive is searched by them.
    combined = {found.time_tag for several in moments.values() for found in several}
    alone = {key: matcher for key, matcher in matchers.items() if key.path[0] not in combined}
    alone |= {key: spanning_midnight(matcher) for key, matcher in alone.items() if key.vr in ("TM", "")}
    _check_ranges(alone)
    include_all = "all" in (field.strip().lower() for field in given.fields)
    return SearchQuery(
        level=level,
        keys={key: one for key, one in alone.items() if key.path in KEY_BY_PATH or is_of_tag(key.path[0])},
        requirements={
            at: _requirements({key.path: matcher for key, matcher in alone.items() if key.level is at}) for at in Level
        },
        moments=moments,
        include_tags=_include_tags(given.fields) | {each.path[0] for each in given.attributes if each.path},
        include_all=include_all,
        limit=_number("limit", given.controls, settings.default_search_limit, 1, settings.max_search_limit),
        offset=_number("offset", given.controls, 0, 0, None),
        tags=returned_as(known.values(), level, has_metadata=include_all and level is Level.INSTANCE),
        erroneous=[
            name
            for name, key in by_name.items()
            if is_of_tag(key.path[0]) and any(tag.name == key.path[0] and tag.error_count for tag in known.values())
        ],
    )


def tags_asked(query_string: str) -> tuple[bool, bool]:
    """Whether a query matches, and whether it returns, attributes that only extended query tags may know."""
    given = _parameters(query_string)
    matched = (each.path for each in given.attributes if each.path is not None and not each.is_universal)
    returned = (path for _, path in given.names if path[0] not in BY_TAG)
    return any(path not in KEY_BY_PATH for path in matched), any(returned)


def _parameters(query_string: str) -> _Parameters:
    controls: dict[str, str] = {}
    fields: list[str] = []
    attributes = []
    for name, value in _decoded(query_string):
        known = name.lower()
        if known == "includefield":
            fields.extend(value.split(","))
        elif known in _CONTROLS:
            if _CONTROLS[known] in controls:
                raise BadRequest(f"The parameter {_CONTROLS[known]} is given twice.")
            controls[_CONTROLS[known]] = value
        elif known not in REPRESENTATION:
            attributes.append(_Attribute(name, path_of(name), value))
    return _Parameters(controls, fields, attributes)


def _decoded(query_string: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query_string, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("The query string is not UTF-8, percent-encoded.") from None


def _is_of_studies(attributes: Iterable[_Attribute], options: MatchingOptions) -> bool:
    """Whether the query names the studies that it searches."""
    uids = [each.value for each in attributes if each.path == _STUDY]
    return isinstance(matcher_of("StudyInstanceUID", "UI", uids, options), AnyOf)


def _keys(attributes: Iterable[_Attribute], searched: _Searched) -> dict[str, MatchingKey]:
    """The keys that parameters ask to match, by the parameters' names."""
    matched = {each.path for each in attributes if not each.is_universal}
    return {each.name: _key(each.name, each.path, searched) for each in attributes if each.path in matched}


def _asked(attributes: Iterable[_Attribute], by_name: Mapping[str, MatchingKey]) -> dict[MatchingKey, list[str]]:
    """The values that keys have to match; an attribute named by keyword and by tag is one key."""
    keys: dict[tuple[str, ...], MatchingKey] = {}
    asked: dict[MatchingKey, list[str]] = {}
    for each in attributes:
        if each.name in by_name:
            key = by_name[each.name]
            asked.setdefault(keys.setdefault(key.path, key), []).append(each.value)
    return asked


def _key(name: str, path: tuple[str, ...] | None, searched: _Searched) -> MatchingKey:
    """The key that a parameter's name, whose tags are `path`, asks to match."""
    key = KEY_BY_PATH.get(path or ())
    tag = searched.named.get(path or ())
    if key is None and tag is not None:
        key = key_of_tag(name, tag, searched.level, is_within_study=searched.is_within_study)
    if key is None and path is not None and searched.is_within_study:
        from shared.dicom.data_dictionary import vr_of  # pydicom, only needed for rare keys

        key = MatchingKey(name, path, vr_of(path[-1]), level_of(path[0]))
        if key.vr in _UNMATCHED_VRS:
            raise BadRequest(f"The parameter {name} cannot be matched: its VR is {key.vr}.")
    if key is None or key.level > searched.level:
        allowed = sorted(known.keyword for known in SEARCHABLE if known.level <= searched.level)
        allowed += searchable(searched.tags, searched.level)
        shown = name if _NAME.fullmatch(name) else "the given name"
        why = ", since it is no extended query tag" if key is None and path is not None else ""
        raise BadRequest(
            f"Unknown parameter: {shown} is not searchable here{why}.{_suggestion(name)} "
            f"Searchable are: {', '.join(allowed)}."
        )
    return key


def _suggestion(name: str) -> str:
    meant = name_in_its_case(name)
    return f" Did you mean {meant}?" if meant else ""


def _matchers(asked: Mapping[MatchingKey, Sequence[str]], options: MatchingOptions) -> dict[MatchingKey, Matcher]:
    exact = replace(options, is_fuzzy=False)
    found = {
        key: matcher_of(key.keyword, key.vr, texts, options if _is_fuzzy(key) else exact)
        for key, texts in asked.items()
    }
    return {key: matcher for key, matcher in found.items() if matcher is not None}


def _is_fuzzy(key: MatchingKey) -> bool:
    return key.keyword in FUZZY or (key.vr == "PN" and is_of_tag(key.path[0]))


def _check_ranges(matchers: Mapping[MatchingKey, Matcher]) -> None:
    for key, matcher in matchers.items():
        if isinstance(matcher, Range) and "" < matcher.last < matcher.first:
            raise BadRequest(f"The parameter {key.keyword} is a range that ends before it begins.")


def _requirements(matchers: Mapping[tuple[str, ...], Matcher]) -> Requirements:
    """Matchers by path, as a tree: the matchers of one sequence have to match in one item."""
    tree: dict[str, Any] = {}
    for (tag, *rest), matcher in matchers.items():
        if isinstance(tree.setdefault(tag, {}), dict) and rest:
            tree[tag][tuple(rest)] = matcher
        elif not rest and not tree[tag]:
            tree[tag] = matcher
        else:
            raise BadRequest(f"The parameter {tag} is asked for by its value and by attributes of its items.")
    return {tag: _requirements(found) if isinstance(found, dict) else found for tag, found in tree.items()}


def _include_tags(fields: Iterable[str]) -> frozenset[str]:
    """The tags that `includefield` names, of a path the first one; `all` and an empty name have none."""
    tags = set()
    for field in fields:
        name = field.strip()
        if not name or name.lower() == "all":
            continue
        path = path_of(name)
        if path is None:
            raise BadRequest(
                "The parameter includefield must be an attribute's keyword, its tag as 8 digits, or all."
                f"{_suggestion(name)}"
            )
        tags.add(path[0])
    return frozenset(tags)


def _number(name: str, controls: Mapping[str, str], default: int, least: int, most: int | None) -> int:
    if name not in controls:
        return default
    text = controls[name]
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

"""Attribute matching (PS3.4 C.2.2.2) on values of the DICOM JSON Model (PS3.18 F).

A matcher decides on values in their comparable form (`shared/dicom/comparable_values.py`): on one value, or on all
values of an attribute together.
"""

import fnmatch
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Union

from shared.dicom.comparable_values import (
    MAX_NAME_LENGTH,
    PERSON_NAME_GROUPS,
    comparable,
    comparable_values,
    words_of,
)
from shared.dicom.dicom_json_reader import Attribute, LongAttribute, LongItem


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Single value matching (PS3.4 C.2.2.2.1) and list of UID matching (C.2.2.2.2): equal to one of `forms`."""

    forms: Collection[str]

    def matches(self, form: str) -> bool:
        """Whether a comparable value is one of those asked for."""
        return form in self.forms


@dataclass(frozen=True, slots=True)
class Range:
    """Range matching (PS3.4 C.2.2.2.5) of comparable values: both ends are included, an empty end is open."""

    first: str
    last: str

    def matches(self, form: str) -> bool:
        """Whether a comparable value lies in the range."""
        return (not self.first or self.first <= form) and (not self.last or form <= self.last)


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Wildcard matching (PS3.4 C.2.2.2.4): ``*`` stands for any characters or none, ``?`` for one."""

    pattern: str

    @property
    def prefix(self) -> str:
        """What every matching value begins with."""
        return re.split(r"[*?]", self.pattern, maxsplit=1)[0]

    def matches(self, form: str) -> bool:
        """Whether a comparable value fits the pattern."""
        return _expression(self.pattern).match(form) is not None


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str]:
    # A shell pattern, whose third wildcard, "[", is escaped; the time to match does not grow with the number of stars.
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))


@dataclass(frozen=True, slots=True)
class Words:
    """Fuzzy matching as in Microsoft's service: each of the `beginnings` begins some word of a name."""

    beginnings: tuple[str, ...]

    def matches(self, form: str) -> bool:
        """Whether a comparable name has these words."""
        words = words_of(form)
        return all(any(word.startswith(beginning) for word in words) for beginning in self.beginnings)


@dataclass(frozen=True, slots=True)
class ComponentWords:
    """Fuzzy matching by component: each of the words of one begins some word of the same component of a name."""

    components: tuple[tuple[str, ...], ...]

    @property
    def beginnings(self) -> tuple[str, ...]:
        """All the words."""
        return tuple(beginning for component in self.components for beginning in component)

    def matches(self, form: str) -> bool:
        """Whether the components of a comparable name have these words."""
        there = [words_of(component) for component in form[:MAX_NAME_LENGTH].split("^")]
        return all(
            any(word.startswith(beginning) for word in words)
            for beginnings, words in zip_longest(self.components, there[: len(self.components)], fillvalue=())
            for beginning in beginnings
        )


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of the `matchers` matches: a list whose members may be patterns."""

    matchers: tuple["ValueMatcher", ...]

    def matches(self, form: str) -> bool:
        """Whether a comparable value matches any of them."""
        return any(matcher.matches(form) for matcher in self.matchers)


@dataclass(frozen=True, slots=True)
class EachOf:
    """Multiple value matching (PS3.4 C.2.2.2): each of the `matchers` matches one of the attribute's values."""

    matchers: tuple["ValueMatcher", ...]


@dataclass(frozen=True, slots=True)
class NameGroups:
    """Component groups of a name (PS3.5 6.2.1), each with its own matcher; None where a group is not asked for."""

    groups: tuple[Union["ValueMatcher", None], ...]


@dataclass(frozen=True, slots=True)
class Empty:
    """Empty value matching (PS3.4 C.2.2.2): the attribute is absent, or has no value."""


ValueMatcher = AnyOf | Range | Wildcard | Words | ComponentWords | Either


@dataclass(frozen=True, slots=True)
class ByVR:
    """What a private attribute has to match, by the VR of its stored values; values of any other VR do not match."""

    matchers: Mapping[str, ValueMatcher | EachOf | NameGroups]


Matcher = ValueMatcher | EachOf | NameGroups | Empty | ByVR


def matches(matcher: Matcher, attribute: Mapping[str, Any] | None) -> bool:
    """Whether a DICOM JSON attribute matches; an absent or empty one only matches `Empty`."""
    match matcher:
        case Empty():
            return attribute is None or not _has_value(attribute)
        case ByVR():
            found = matcher.matchers.get((attribute or {}).get("vr", ""))
            return found is not None and matches(found, attribute)
        case EachOf():
            forms = list(comparable_values(attribute or {}))
            return all(any(map(one.matches, forms)) for one in matcher.matchers)
        case NameGroups():
            return any(_groups_match(matcher, value) for value in (attribute or {}).get("Value", ()))
        case _:
            return any(map(matcher.matches, comparable_values(attribute or {})))


def _has_value(attribute: Mapping[str, Any]) -> bool:
    return "BulkDataURI" in attribute or any(value not in (None, "", {}) for value in attribute.get("Value", ()))


def _groups_match(matcher: NameGroups, value: Any) -> bool:
    named = value if isinstance(value, dict) else {}
    return all(
        one is None or one.matches(comparable("PN", str(named.get(group) or "")))
        for group, one in zip(PERSON_NAME_GROUPS, matcher.groups, strict=False)
    )


Requirements = Mapping[str, Union[Matcher, "Requirements"]]
"""What a data set has to match, by tag: a matcher, or requirements that one item of a sequence meets in full."""


def satisfies(data_set: Mapping[str, Any], requirements: Requirements) -> bool:
    """Whether a data set meets all requirements; in a sequence, one item has to (PS3.4 C.2.2.2.6)."""
    return all(
        _has_item(data_set.get(tag), required)
        if isinstance(required, Mapping)
        else matches(required, data_set.get(tag))
        for tag, required in requirements.items()
    )


def matched_attributes(
    attributes: Iterable[tuple[str, Attribute]], requirements: Requirements, tags: Collection[str] = ()
) -> Mapping[str, Mapping[str, Any]] | None:
    """The attributes among `tags` of a data set that is read in order; None if it does not meet all requirements.

    It reads no further than it has to, and holds no sequence longer than a piece.
    """
    found: dict[str, Mapping[str, Any]] = {}
    absent = dict(requirements)
    for tag, attribute in attributes:
        required = absent.pop(tag, None)
        if isinstance(attribute, LongAttribute) and attribute.vr == "SQ":
            # Of a sequence, all but its items' attributes can only be asked to be absent.
            if required is not None and not (isinstance(required, Mapping) and _any_item(attribute, required)):
                return None
            continue
        if required is None and tag not in tags:
            continue
        if isinstance(attribute, LongAttribute):
            attribute = {"vr": attribute.vr, "Value": list(attribute.values)}
        if required is not None and not satisfies({tag: attribute}, {tag: required}):
            return None
        if tag in tags:
            found[tag] = attribute
    return found if satisfies({}, absent) else None


def _any_item(sequence: LongAttribute, requirements: Requirements) -> bool:
    return any(
        matched_attributes(item.attributes, requirements) is not None
        if isinstance(item, LongItem)
        else satisfies(item, requirements)
        for item in sequence.values
    )


def _has_item(attribute: Mapping[str, Any] | None, requirements: Requirements) -> bool:
    items: Sequence[Any] = (attribute or {}).get("Value", ()) if (attribute or {}).get("vr") == "SQ" else ()
    # Without items, the attributes of an item are absent, which may be what is asked for.
    return any(isinstance(item, Mapping) and satisfies(item, requirements) for item in items or ({},))

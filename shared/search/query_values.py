"""From the text of a search's matching keys to matchers (PS3.18 8.3.4.1, PS3.4 C.2.2.2)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shared.dicom.comparable_values import (
    MAX_NAME_LENGTH,
    NUMBER_VRS,
    PERSON_NAME_GROUPS,
    comparable,
    first_and_last_moment,
    first_and_last_time,
    is_date,
    is_number,
    words_of,
)
from shared.dicom.identifiers import is_uid
from shared.errors import BadRequest
from shared.search.matching import (
    AnyOf,
    ByVR,
    ComponentWords,
    EachOf,
    Either,
    Empty,
    Matcher,
    NameGroups,
    Range,
    ValueMatcher,
    Wildcard,
    Words,
)

# A comma cannot stand in a value of these VRs, so it separates: list of UID matching (PS3.4 C.2.2.2.2), and the lists
# of modalities that viewers send.
LISTED_VRS: Final = ("UI", "CS")
WILDCARD_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
RANGE_VRS: Final = ("DA", "TM", "DT")
_MATCHED_VRS: Final = {*LISTED_VRS, *WILDCARD_VRS, *RANGE_VRS, *NUMBER_VRS, "AS", "AT"}

_FORMS: Final = {"list": LISTED_VRS, "wildcards": WILDCARD_VRS, "range": RANGE_VRS}

_MAX_PATTERN_LENGTH: Final = 1024
_EMPTY: Final = '""'
_ANY_LAST_COMPONENTS: Final = re.compile(r"(?:\^\*+)+$")


def matched_by(vr: str) -> list[str]:
    """The names of the ways in which a value of a VR can be matched."""
    return ["value", *(form for form, vrs in _FORMS.items() if vr in vrs)]


@dataclass(frozen=True, slots=True)
class MatchingOptions:
    """How values are matched (PS3.18 8.3.4).

    `is_fuzzy`: names match by the beginnings of their words. `has_empty`: ``""`` asks for no value. `is_multiple`:
    backslashes separate several values, all of which have to be there.
    """

    is_fuzzy: bool
    has_empty: bool
    is_multiple: bool


def matcher_of(keyword: str, vr: str, texts: Sequence[str], options: MatchingOptions) -> Matcher | None:
    """What the values of a key, one for each time that the query gives it, ask for; None for universal matching.

    Where the VR is not known (""), the values are read in every VR that allows them; LO has to. Raises BadRequest,
    naming the parameter, for what the VR does not allow.
    """
    return _of_vr(keyword, vr, texts, options) if vr else _of_any_vr(keyword, texts, options)


def _of_vr(keyword: str, vr: str, texts: Sequence[str], options: MatchingOptions) -> Matcher | None:
    if options.has_empty and list(texts) == [_EMPTY]:
        return Empty()
    has_all = options.is_multiple and vr != "UI"
    values = [value for text in texts for value in _split(vr, text, options.is_multiple) if value]
    asked = [value for value in values if value.strip("*")]
    if not asked or (len(asked) < len(values) and not has_all):
        return None
    if len(values) > 1 and vr not in LISTED_VRS and not options.is_multiple:
        raise BadRequest(f"The parameter {keyword} takes one value.")
    matchers = [matcher for value in asked if (matcher := _matcher(keyword, vr, value, options.is_fuzzy)) is not None]
    if len(matchers) < 2:
        return next(iter(matchers), None)
    alternatives = [matcher for matcher in matchers if isinstance(matcher, ValueMatcher)]
    if len(alternatives) < len(matchers):
        raise BadRequest(f"The parameter {keyword} takes one value where it has component groups.")
    return EachOf(tuple(alternatives)) if has_all else _either(alternatives)


def _of_any_vr(keyword: str, texts: Sequence[str], options: MatchingOptions) -> Matcher | None:
    found: dict[str, ValueMatcher | EachOf | NameGroups] = {}
    for vr in ("LO", *sorted(_MATCHED_VRS - {"LO"})):
        try:
            matcher = _of_vr(keyword, vr, texts, options)
        except BadRequest:
            if vr == "LO":
                raise
            continue
        if isinstance(matcher, Empty) or (matcher is None and vr == "LO"):
            return matcher
        if matcher is not None and not isinstance(matcher, ByVR):
            found[vr] = matcher
    return ByVR(found)


def _split(vr: str, text: str, is_multiple: bool) -> Iterable[str]:
    if vr in LISTED_VRS:
        return [value.strip() for value in re.split(r"[,\\]", text)]
    return text.split("\\") if is_multiple else [text]


def _either(matchers: Sequence[ValueMatcher]) -> ValueMatcher:
    exact = frozenset(form for matcher in matchers if isinstance(matcher, AnyOf) for form in matcher.forms)
    others = tuple(matcher for matcher in matchers if not isinstance(matcher, AnyOf))
    if not others:
        return AnyOf(exact)
    return Either((AnyOf(exact), *others) if exact else others)


def _matcher(keyword: str, vr: str, value: str, is_fuzzy: bool) -> Matcher | None:
    if vr == "UI":
        if not is_uid(value):
            raise BadRequest(f"The parameter {keyword} is not a UID or a list of UIDs.")
        return AnyOf(frozenset({value}))
    if vr in RANGE_VRS:
        return _range(keyword, vr, value.strip())
    if vr in NUMBER_VRS:
        if not is_number(value):
            raise BadRequest(f"The parameter {keyword} must be a number.")
        return AnyOf(frozenset({comparable(vr, value)}))
    if vr == "PN" and "=" in value:
        groups = [_text(keyword, vr, group) if group.strip("*") else None for group in value.split("=")]
        if len(groups) > len(PERSON_NAME_GROUPS):
            raise BadRequest(f"The parameter {keyword} has more than {len(PERSON_NAME_GROUPS)} component groups.")
        return NameGroups(tuple(groups)) if any(groups) else None
    if is_fuzzy and not re.search(r"[*?]", value):
        form = comparable(vr, value)[:MAX_NAME_LENGTH]
        components = [tuple(words_of(component)) for component in form.split("^")]
        if not any(components):
            return None
        return ComponentWords(tuple(components)) if "^" in value else Words(components[0])
    return _text(keyword, vr, value)


def _text(keyword: str, vr: str, value: str) -> ValueMatcher | None:
    form = comparable(vr, value)
    if not re.search(r"[*?]", form):
        return AnyOf(frozenset({form})) if form else None
    if vr not in WILDCARD_VRS:
        raise BadRequest(f"The parameter {keyword} holds a wildcard; its whole values are matched.")
    if len(form) > _MAX_PATTERN_LENGTH:
        raise BadRequest(f"The parameter {keyword} has wildcards and is longer than {_MAX_PATTERN_LENGTH} characters.")
    head = _ANY_LAST_COMPONENTS.sub("", form) if vr == "PN" else form
    if not head.strip("^"):
        return Wildcard(f"{head}^*")
    if not head.strip("*"):  # universal matching (PS3.4 C.2.2.2.3): it includes what is empty
        return None
    if head == form or head.endswith("*"):
        return Wildcard(head)
    # Empty components at the end may be left out, along with their delimiters (PS3.5 6.2.1.1).
    without = _text(keyword, vr, head)
    return without and Either((without, Wildcard(f"{head}^*")))


def _range(keyword: str, vr: str, text: str) -> ValueMatcher:
    """A date, time or moment, or a range; the hyphen in a moment's offset does not split it."""
    if vr == "DA" and is_date(text):
        return AnyOf(frozenset({text}))
    if whole := _interval(vr, text, text):
        return whole
    for hyphen in re.finditer("-", text):
        first, last = text[: hyphen.start()], text[hyphen.end() :]
        found = _interval(vr, first, last) if first or last else None
        if found is None:
            continue
        return found
    form = {"DA": "a date YYYYMMDD", "TM": "a time HHMMSS", "DT": "a date and time YYYYMMDDHHMMSS"}[vr]
    raise BadRequest(f"The parameter {keyword} must be {form} or a range of two joined by a hyphen.")


def _interval(vr: str, first: str, last: str) -> Range | None:
    """From the beginning of `first` to the end of `last`; either may be empty. None where one does not fit the VR."""
    instants = {"DA": _day, "TM": first_and_last_time, "DT": first_and_last_moment}[vr]
    begins, ends = instants(first)[0], instants(last)[1]
    if (first and not begins) or (last and not ends):
        return None
    return Range(begins, ends)


def _day(text: str) -> tuple[str, str]:
    return (text, text) if is_date(text) else ("", "")

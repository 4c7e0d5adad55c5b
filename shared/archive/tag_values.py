"""What an instance has of the extended query tags: their values, cut out of its metadata. Pure.

Values are kept by the tag's name as an attribute of the DICOM JSON Model. One inside sequences is kept as a sequence
whose items hold nothing else, and are left out where they do not hold it.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple

from shared.archive.extended_tags import ExtendedTag
from shared.archive.instance import DicomJson
from shared.archive.terms import is_of_tag
from shared.dicom.attributes import Level, is_private, is_private_creator
from shared.dicom.comparable_values import NUMBER_VRS, comparable_values
from shared.dicom.dicom_json_reader import Attribute, LongAttribute, attributes_of, read_attributes
from shared.dicom.dicom_json_text import DeflatedValues, json_texts
from shared.dicom.validation import broken_rule

MAX_TAG_CHARACTERS: Final = 1024
"""The most that is kept of a tag's values, each counted once, as JSON."""

MAX_LEVEL_CHARACTERS: Final = 8192
"""The most that is kept of the values of all tags of a level."""

_TOO_MUCH: Final = f"It has more values than can be indexed: {MAX_TAG_CHARACTERS} characters."
_TOO_MUCH_TOGETHER: Final = (
    f"The values of all tags of its level are more than can be indexed: {MAX_LEVEL_CHARACTERS} characters."
)


class TagProblem(NamedTuple):
    """Why values of a tag are not indexed: a sentence that holds none of them.

    `is_invalid`: they break the rules of their VR, or have another one; else they are too much.
    """

    tag: ExtendedTag
    sentence: str
    is_invalid: bool


@dataclass(frozen=True, slots=True)
class TagValues:
    """The values of an instance by the level of their tags, each an attribute by the tag's name; and what is wrong."""

    by_level: Mapping[Level, DicomJson] = field(default_factory=lambda: {level: {} for level in Level})
    problems: tuple[TagProblem, ...] = ()


NO_VALUES: Final = TagValues()


def tag_values(metadata: Iterable[tuple[str, Attribute]], tags: Sequence[ExtendedTag]) -> TagValues:
    """What metadata, which are read in order, once, have of the `tags` that are indexed.

    Values that break the rules of their VR are left out, and so is what is too much; each is a problem, one a tag.
    Raises ValueError for what is no data set.
    """
    if not tags:
        return NO_VALUES
    reading = _Reading()
    try:
        found = reading.data_set(metadata, tags, 0)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError("The metadata are no data set.") from error
    by_level: dict[Level, dict[str, Any]] = {level: {} for level in Level}
    room = dict.fromkeys(Level, MAX_LEVEL_CHARACTERS)
    for tag in tags:
        if tag.number in found:
            room[tag.level] -= len(json.dumps(found[tag.number]))
            if room[tag.level] < 0:
                reading.problems.setdefault(tag.number, TagProblem(tag, _TOO_MUCH_TOGETHER, is_invalid=False))
            else:
                by_level[tag.level][tag.name] = found[tag.number]
    return TagValues(by_level, tuple(reading.problems.values()))


def without_names(attributes: DicomJson, names: Collection[str]) -> dict[str, Any]:
    """Those of a row's attributes that are no values of the tags of these names."""
    return {name: attribute for name, attribute in attributes.items() if name not in names}


def values_of_tags(attributes: DicomJson) -> dict[str, Any]:
    """Those of a row's attributes that are values of tags."""
    return {name: attribute for name, attribute in attributes.items() if is_of_tag(name)}


def without_tags(attributes: DicomJson) -> dict[str, Any]:
    """Those of a row's attributes that are no values of tags."""
    return {name: attribute for name, attribute in attributes.items() if not is_of_tag(name)}


def forms_of_tags(attributes: DicomJson) -> Iterator[tuple[str, str]]:
    """The tags' names, and the comparable forms of their values, among a row's attributes."""
    for name, attribute in attributes.items():
        if is_of_tag(name):
            for form in _forms(attribute):
                yield name, form


def _forms(attribute: Mapping[str, Any]) -> Iterator[str]:
    if attribute["vr"] != "SQ":
        yield from comparable_values(attribute)
        return
    for item in attribute["Value"]:
        for inner in item.values():
            yield from _forms(inner)


class _Reading:
    """What has been read so far."""

    def __init__(self) -> None:
        self.problems: dict[int, TagProblem] = {}
        self._taken: dict[int, set[str]] = {}

    def data_set(
        self, attributes: Iterable[tuple[str, Attribute]], tags: Sequence[ExtendedTag], depth: int
    ) -> dict[int, Any]:
        """What a data set has of tags, by number; it is `depth` sequences deep in their paths."""
        wanted: dict[tuple[str, str], list[ExtendedTag]] = {}
        for tag in tags:
            wanted.setdefault(_step(tag.path[depth], tag.private_creator), []).append(tag)
        creators: dict[str, str] = {}
        found: dict[int, Any] = {}
        for name, attribute in attributes:
            if is_private_creator(name):
                creators[name[:4] + name[6:]] = _text(attribute)  # (gggg,00bb) reserves (gggg,bb00) to (gggg,bbFF)
            asked = wanted.get(_step(name, creators.get(name[:6], "")), ())
            if not asked or _is_empty(attribute):
                continue
            vr, values = _vr_and_values(attribute)
            inside = [tag for tag in asked if len(tag.path) > depth + 1]
            found |= self._items(vr, values, inside, depth)
            found |= self._values(vr, values, [tag for tag in asked if tag not in inside])
        return found

    def _items(self, vr: str, values: Iterable[Any] | None, tags: Sequence[ExtendedTag], depth: int) -> dict[int, Any]:
        """What the items of a sequence have of tags."""
        if vr != "SQ":
            for tag in tags:
                self._note(tag, f"A sequence of its path has the VR {vr}, not SQ.", is_invalid=True)
            return {}
        kept: dict[int, list[Any]] = {}
        for item in values or () if tags else ():
            inner = self.data_set(attributes_of(item), tags, depth + 1)
            for tag in tags:
                if tag.number in inner:
                    one = {tag.path[depth + 1]: inner[tag.number]}
                    items = kept.setdefault(tag.number, [])
                    if one not in items:
                        items.append(one)
        return {number: {"vr": "SQ", "Value": items} for number, items in kept.items()}

    def _values(self, vr: str, values: Iterable[Any] | None, tags: Sequence[ExtendedTag]) -> dict[int, Any]:
        """The values of an attribute, as those of each of the tags."""
        if values is not None and len(tags) > 1:
            values = list(values)  # those of a long attribute are read once
        found = {}
        for tag in tags:
            if vr != tag.vr and not {vr, tag.vr} <= NUMBER_VRS:
                self._note(tag, f"Its VR is {vr}, not {tag.vr}.", is_invalid=True)
                continue
            if values is None:
                self._note(tag, _TOO_MUCH, is_invalid=False)
                continue
            kept = list(self._kept(tag, values))
            if kept:
                found[tag.number] = {"vr": tag.vr, "Value": kept}
        return found

    def _kept(self, tag: ExtendedTag, values: Iterable[Any]) -> Iterator[Any]:
        """Those of an attribute's values that are kept, each once."""
        texts = set[str]()
        for value in values:
            if rule := broken_rule(tag.vr, value):
                self._note(tag, f"It {rule}.", is_invalid=True)
                continue
            if not any(comparable_values({"vr": tag.vr, "Value": [value]})):
                continue  # it is empty
            taken = self._taken.setdefault(tag.number, set())
            text = json.dumps(value)
            if text not in taken and sum(map(len, taken)) + len(text) > MAX_TAG_CHARACTERS:
                self._note(tag, _TOO_MUCH, is_invalid=False)
                return
            taken.add(text)
            if text not in texts:
                texts.add(text)
                yield value

    def _note(self, tag: ExtendedTag, sentence: str, *, is_invalid: bool) -> None:
        self.problems.setdefault(tag.number, TagProblem(tag, sentence, is_invalid))


def _step(name: str, private_creator: str) -> tuple[str, str]:
    """What a tag is found by; of a private element its number in the block, and whose block it is (PS3.5 7.8.1)."""
    if is_private(name) and not is_private_creator(name):
        return name[:4] + name[6:], private_creator
    return name, ""


def _text(attribute: Attribute) -> str:
    _, values = _vr_and_values(attribute)
    return str(next(iter(values or ()), "") or "").strip()


def _is_empty(attribute: Attribute) -> bool:
    """Whether an attribute has no value, of whatever VR."""
    return not isinstance(attribute, LongAttribute) and attribute.keys() <= {"vr"}


def _vr_and_values(attribute: Attribute) -> tuple[str, Iterable[Any] | None]:
    """The VR of an attribute, and its values, which can be read once; None where they are bulk data."""
    if not isinstance(attribute, LongAttribute) and isinstance(attribute.get("Value"), DeflatedValues):
        ((_, attribute),) = islice(read_attributes(json_texts([("", attribute)])), 1)
    if isinstance(attribute, LongAttribute):
        return attribute.vr, attribute.values
    return attribute["vr"], None if "BulkDataURI" in attribute else attribute.get("Value", ())

"""What a search must find, by PS3.4 C.2.2.2 and the conformance statement, by looking at everything there is."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.dicom.attributes import BY_TAG, Level, MatchingKey
from tests.property.search_archive import DataSet, Element, Part
from tests.property.search_values import asked_span, is_any_name, lies_in, matches, span_of

Uids = tuple[str, ...]
Condition = Callable[[Element | None], bool]
MODALITIES_IN_STUDY = "00080061"
FUZZY = (("00100010",), ("00080090",))
TIME_OF = {
    "00080020": "00080030",
    "00080021": "00080031",
    "00080023": "00080033",
    "00100030": "00100032",
    "00400244": "00400245",
}


BY_NAME = {attribute.keyword: tag for tag, attribute in BY_TAG.items()} | {
    "ContentDate": "00080023",
    "ContentTime": "00080033",
}


@dataclass(frozen=True)
class Query:
    """A search: `scope` are the UIDs in its path, `keys` what it asks of each attribute, as often as it is given."""

    level: Level
    scope: Uids
    keys: dict[MatchingKey, list[str]]
    is_fuzzy: bool = False
    has_empty: bool = False
    is_multiple: bool = False


@dataclass(frozen=True)
class Tag:
    """An extended query tag: a `key` at a `level` of its own; `name` is that of its values in data sets."""

    name: str
    key: MatchingKey
    level: Level
    is_usable: bool = True

    def values(self, data_set: DataSet) -> DataSet:
        """What the tag keeps of an instance."""
        found = _kept(data_set, self.key)
        return {} if found is None else {self.name: found}


@dataclass(frozen=True)
class Series:
    attributes: DataSet
    instances: dict[str, DataSet]


@dataclass(frozen=True)
class Study:
    created: datetime
    attributes: DataSet
    series: dict[str, Series]


@dataclass
class ArchiveModel:
    """Studies by UID. The latest store decides the attributes of series and study.

    An instance, its series and its study have values of the `tags` that there are when it is stored: series and study
    those of the latest instance that has any.
    """

    studies: dict[str, Study] = field(default_factory=dict)
    tags: list[Tag] = field(default_factory=list)

    def store(self, parts: Iterable[Part], created: datetime) -> None:
        for part in parts:
            of_study, of_series = (
                {
                    tag: element
                    for tag, element in part.attributes.items()
                    if tag in BY_TAG and BY_TAG[tag].level is level
                }
                for level in (Level.STUDY, Level.SERIES)
            )
            study = self.studies.get(part.study, Study(created, {}, {}))
            series = study.series.get(part.series, Series({}, {}))
            kept = {level: self._kept(part.attributes, level) for level in Level}
            of_study |= {**_tags_in(study.attributes), **kept[Level.STUDY]}
            of_series |= {**_tags_in(series.attributes), **kept[Level.SERIES]}
            instance = {**part.attributes, **kept[Level.INSTANCE]}
            series = Series(of_series, {**series.instances, part.uid: instance})
            self.studies[part.study] = replace(study, attributes=of_study, series={**study.series, part.series: series})

    def _kept(self, data_set: DataSet, level: Level) -> DataSet:
        found = (tag.values(data_set) for tag in self.tags if tag.level is level)
        return {name: element for values in found for name, element in values.items()}

    def tag_of(self, key: MatchingKey, level: Level) -> Tag | None:
        """The tag whose values a search for resources of `level` matches, if it asks for that key."""
        return next((tag for tag in self.tags if tag.key is key and tag.is_usable and tag.level <= level), None)

    def asked(self, query: Query) -> Query:
        """The query, asking for the values of tags where there are any of its keys."""
        keys = {}
        for key, texts in query.keys.items():
            tag = self.tag_of(key, query.level)
            keys[replace(key, path=(tag.name, *key.path[1:]), level=tag.level) if tag else key] = texts
        return replace(query, keys=keys)

    def delete(self, study: str, series: str | None = None, uid: str | None = None) -> None:
        left = dict(self.studies[study].series) if series else {}
        if series:
            found = left.pop(series)
            instances = {key: value for key, value in found.instances.items() if uid and key != uid}
            if instances:
                left[series] = replace(found, instances=instances)
        if left:
            self.studies[study] = replace(self.studies[study], series=left)
        else:
            del self.studies[study]

    def matching(self, query: Query) -> list[Uids]:
        """The UIDs of what matches, in the order of the answer."""
        return [uids for uids, _ in self.resources(query.level, query.scope, query)]

    def resources(self, level: Level, scope: Uids = (), query: Query | None = None) -> Iterator[tuple[Uids, DataSet]]:
        """What there is at a level, and all that is known of each."""
        asked = self.asked(query or Query(level, scope, {}))
        matches = {at: _requirement(asked, at) for at in Level}
        for uid, study in sorted(self.studies.items(), key=lambda one: (-one[1].created.timestamp(), one[0])):
            modalities = {value for one in study.series.values() for value in _values(one.attributes.get("00080060"))}
            of_study = {**study.attributes, MODALITIES_IN_STUDY: Element("CS", tuple(sorted(modalities)))}
            if scope[:1] not in ((), (uid,)) or not matches[Level.STUDY](of_study):
                continue
            if level is Level.STUDY:
                yield (uid,), of_study
                continue
            for series_uid, series in sorted(study.series.items(), key=lambda one: f"{one[0]}:"):  # as in row keys
                if scope[1:] not in ((), (series_uid,)) or not matches[Level.SERIES](series.attributes):
                    continue
                if level is Level.SERIES:
                    yield (uid, series_uid), {**of_study, **series.attributes}
                    continue
                for instance_uid, data_set in sorted(series.instances.items()):
                    if matches[Level.INSTANCE](data_set):
                        yield (uid, series_uid, instance_uid), {**data_set, **of_study, **series.attributes}


def _tags_in(data_set: DataSet) -> DataSet:
    return {name: element for name, element in data_set.items() if name.startswith("~")}


def _kept(data_set: DataSet, key: MatchingKey) -> Element | None:
    """The valid values of a key in a data set, within items that have nothing else; None where there are none."""
    element, inner = data_set.get(key.path[0]), replace(key, path=key.path[1:])
    if element is None:
        return None
    if inner.path:
        items = [{inner.path[0]: kept} for item in element.values if (kept := _kept(item, inner)) is not None]
        return Element("SQ", tuple(items)) if items else None
    values = tuple(value for value in _values(element) if _is_valid(element.vr, value))
    return Element(element.vr, values) if values else None


def _is_valid(vr: str, value: Any) -> bool:
    return vr not in ("DA", "TM", "DT") or span_of(vr, str(value)) is not None


def _values(element: Element | None) -> list[Any]:
    return [value for value in element.values if value != ""] if element else []


def _requirement(query: Query, level: Level) -> Callable[[DataSet], bool]:
    """The condition that a data set of the level must meet."""
    keys = {key.path: (key, texts) for key, texts in query.keys.items() if key.level is level}
    together: list[Callable[[DataSet], bool]] = []
    paths = {BY_NAME[key.keyword]: path for path, (key, _) in keys.items() if key.keyword in BY_NAME}
    for date_tag, time_tag in TIME_OF.items():
        date, time = paths.get(date_tag, ("",)), paths.get(time_tag, ("",))
        if all(path in keys and "-" in keys[path][1][0] for path in (date, time)):
            moments = _moments(date[0], keys[date][1][0], time[0], keys[time][1][0])
            if moments is not None:
                del keys[date], keys[time]
                together.append(moments)
    found = ((path, _condition(query, key, texts)) for path, (key, texts) in keys.items())
    conditions = [(path, condition) for path, condition in found if condition is not None]
    return lambda data_set: _satisfies(data_set, conditions) and all(one(data_set) for one in together)


def _satisfies(data_set: DataSet, conditions: Sequence[tuple[tuple[str, ...], Condition]]) -> bool:
    """Whether all are met; those of a sequence within one item (C.2.2.2.6), and what is in no item is absent."""
    for tag in {path[0] for path, _ in conditions}:
        here = [(path[1:], condition) for path, condition in conditions if path[0] == tag]
        within = [one for one in here if one[0]]
        if within and not any(_satisfies(item, within) for item in _values(data_set.get(tag)) or [{}]):
            return False
        if not all(condition(data_set.get(tag)) for path, condition in here if not path):
            return False
    return True


def is_fuzzy_key(key: MatchingKey) -> bool:
    return key.path in FUZZY or (key.vr == "PN" and key.path[0].startswith("~"))


def _condition(query: Query, key: MatchingKey, texts: Sequence[str]) -> Condition | None:
    """The condition that an attribute must meet; None for universal matching (C.2.2.2.3)."""
    if query.has_empty and texts == ['""']:
        return lambda element: not _values(element)
    parts = list(texts)
    if key.vr in ("UI", "CS"):
        parts = [part.strip() for text in texts for part in re.split(r"[,\\]", text)]
    elif query.is_multiple:
        parts = [part for text in texts for part in text.split("\\")]
    has_all = query.is_multiple and key.vr != "UI"
    parts = [part for part in parts if part and not (has_all and not part.strip("*"))]
    if not parts or any(not part.strip("*") for part in parts):
        return None
    if key.vr == "PN" and any(all(map(is_any_name, part.split("="))) for part in parts):
        return None
    is_fuzzy = query.is_fuzzy and is_fuzzy_key(key)

    def holds(element: Element | None) -> bool:
        met = [
            any(matches(element.vr, part, one, is_fuzzy) for one in _values(element)) if element else False
            for part in parts
        ]
        return all(met) if has_all else any(met)

    return holds


def _moments(date_tag: str, dates: str, time_tag: str, times: str) -> Callable[[DataSet], bool] | None:
    """Ranges of a date and its time as one (C.2.2.2.5): from the first day's time to that of the last.

    None where that ends before it begins.
    """
    days, hours = asked_span("DA", dates), asked_span("TM", times)
    if days is None or hours is None:
        raise ValueError("an invalid range")
    midnight = datetime(2000, 1, 1, tzinfo=UTC)
    first = None if days[0] is None else (days[0], hours[0] or midnight)
    last = None if days[1] is None else (days[1], hours[1] or midnight + timedelta(1))
    if first and last and last < first:
        return None

    def holds(data_set: DataSet) -> bool:
        found = [span_of("DA", value) for value in _values(data_set.get(date_tag))]
        at = [span for value in _values(data_set.get(time_tag)) if (span := span_of("TM", value))]
        return any(day is not None and lies_in((day[0], at[0][0] if at else midnight), (first, last)) for day in found)

    return holds

"""Random queries, mostly for what an archive has: values whole and cut, with wildcards, as ranges and lists."""

import re
import unicodedata
from collections.abc import Sequence
from random import Random
from typing import Any, Final
from urllib.parse import quote, quote_plus

from shared.dicom.attributes import SEARCHABLE, Level, MatchingKey
from tests.property.search_archive import OTHER_KEYS, DataSet
from tests.property.search_model import ArchiveModel, Query, is_fuzzy_key
from tests.property.search_values import plain_name

RESOURCES: Final = {Level.STUDY: "studies", Level.SERIES: "series", Level.INSTANCE: "instances"}
NOTHING: Final = {
    "UI": "1.2.9999999",
    "DA": "18000101",
    "TM": "042424",
    "DT": "1800",
    "IS": "424242",
    "DS": "0.4242",
    "US": "4242",
    "SL": "4242",
    "FL": "4242.5",
    "FD": "4242.5",
    "AT": "00424242",
    "AS": "042W",
    "AE": "NOWHERE",
}


class Queries:
    """Draws queries for an archive."""

    def __init__(self, random: Random, model: ArchiveModel) -> None:
        self._random = random
        self._model = model
        self._found = {level: list(model.resources(level)) for level in Level}

    def query(self, study: str | None = None) -> Query:
        """A query whose keys mostly match one existing resource; with `study`, one in that study."""
        random = self._random
        level = random.choice((Level.STUDY, Level.STUDY, Level.SERIES, Level.INSTANCE))
        uids, target = random.choice([one for one in self._found[level] if study in (None, one[0][0])])
        scope = uids[: random.randrange(level)]
        options = {name: random.random() < 0.1 for name in ("is_fuzzy", "has_empty", "is_multiple")}
        keys: dict[MatchingKey, list[str]] = {}
        is_within_study = bool(scope)
        if not scope and random.random() < 0.15:
            keys[SEARCHABLE_BY_KEYWORD["StudyInstanceUID"]] = [uids[0]]
            is_within_study = True
        tagged = [tag.key for tag in self._model.tags if tag.is_usable and tag.level <= level]
        others = [key for key in OTHER_KEYS if is_within_study or key in tagged]
        possible = [key for key in (*SEARCHABLE, *others) if key in tagged or key.level <= level]
        counts = (0, 1, 1, 1, 2, 2, 3) if level is Level.STUDY or is_within_study else (1, 1, 2, 2, 3)
        # Searching for instances everywhere is slow, and people give a key that narrows it down.
        at_most = level if is_within_study else Level.SERIES
        possible = [key for key in possible if key in tagged or key.level <= at_most]
        for key in random.sample(possible, random.choice(counts)):
            keys.setdefault(key, self._texts(key, level, target, **options))
        if random.random() < 0.1:
            for date, time in (
                ("StudyDate", "StudyTime"),
                ("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
            ):
                if SEARCHABLE_BY_KEYWORD[date].level <= level:
                    keys |= self._moments(SEARCHABLE_BY_KEYWORD[date], SEARCHABLE_BY_KEYWORD[time], level, target)
        return Query(level, scope, keys, **options)

    def _values(self, key: MatchingKey, data_set: DataSet, level: Level) -> list[Any]:
        tag = self._model.tag_of(key, level)
        found: list[Any] = [data_set]
        for step in (tag.name, *key.path[1:]) if tag else key.path:
            found = [value for one in found if step in one for value in one[step].values]
        return [f"{value:08X}" if key.vr == "AT" else value for value in found]

    def _value(self, key: MatchingKey, level: Level, target: DataSet) -> str:
        """A value of the target, or of another resource, or one that nothing has."""
        values = self._values(key, target, level)
        if self._random.random() < 0.25 or not values:
            values = self._values(key, self._random.choice(self._found[level])[1], level)
        return (
            str(self._random.choice(values))
            if values and self._random.random() < 0.95
            else NOTHING.get(key.vr, "none such")
        )

    def _texts(
        self, key: MatchingKey, level: Level, target: DataSet, *, is_fuzzy: bool, has_empty: bool, is_multiple: bool
    ) -> list[str]:
        random = self._random
        if random.random() < (0.3 if has_empty else 0.03):
            return ['""'] if has_empty or key.vr in ("SH", "LO", "PN") else [""]
        if is_multiple and key.vr in ("LO", "CS", "SH"):
            values = [self._text(key, str(value)) for value in self._values(key, target, level)]
            values = [*values, self._text(key, self._value(key, level, target))]
            return ["\\".join(random.sample(values, random.randint(1, len(values))))]
        if (
            is_fuzzy
            and (is_fuzzy_key(key) or self._model.tag_of(key, level))
            and key.vr == "PN"
            and random.random() < 0.8
        ):
            words = [word for word in re.split(r"[\s^=]+", self._value(key, level, target)) if word.strip("*?[]")]
            cut = [word[: random.randint(1, len(word))].replace("*", "").replace("?", "") for word in words]
            if random.random() < 0.3:  # by component
                components = (part.split(" ") for part in self._value(key, level, target).split("=")[0].split("^"))
                kept = (" ".join(word[: random.randint(0, 3)] for word in words) for words in components)
                asked = re.sub(r"[*?]", "", "^".join(kept))
                return [asked if re.search(r"\w", asked) else "^x"]
            return [" ".join(random.sample(cut, random.randint(1, len(cut)))) if any(cut) else "x"]
        texts = [self._text(key, self._value(key, level, target))]
        if key.vr in ("UI", "CS"):
            texts += [self._text(key, self._value(key, level, target)) for _ in range(random.choice((0, 0, 1, 2)))]
            joined = random.choice((",", "\\", ""))
            return [joined.join(texts)] if joined else texts
        return texts

    def _text(self, key: MatchingKey, value: str) -> str:
        random = self._random
        match key.vr:
            case "UI":
                return value
            case "AS" | "AT":
                return random.choice((value, value.lower()))
            case "IS" | "DS" | "US" | "SL" | "FL" | "FD":
                return random.choice(
                    (
                        value,
                        f"+{value}" if value[0].isdigit() else value,
                        f"{value}e0" if "e" not in value else value,
                        f" {value} ",
                    )
                )
            case "DA" | "TM" | "DT":
                return self._range(key.vr, value)
            case "PN":
                groups = value.split("=")
                if random.random() < 0.2:
                    asked = [self._pattern(group) if random.random() < 0.6 else "" for group in groups]
                    if any(asked):
                        return "=".join(asked if len(asked) > 1 else (*asked, ""))
                return self._pattern(random.choice(groups))
            case _:
                return self._pattern(value)

    def _range(self, vr: str, value: str) -> str:
        random = self._random
        valid = {
            "DA": r"(?!20260230)[0-9]{8}",
            "TM": r"(?!25)[0-9]+(\.[0-9]+)?",
            "DT": r"[0-9]+(\.[0-9]+)?([+-][0-9]{4})?",
        }
        if not re.fullmatch(valid[vr], value):
            value = {"DA": "20260115", "TM": "1200", "DT": "20260115"}[vr]
        other = {
            "DA": random.choice(("20260101", "20260131", "20260115", "20251231", "19000101", "20991231")),
            "TM": random.choice(("00", "1030", "103015.5", "1200", "2359", "235959.999999")),
            "DT": random.choice(("2025", "2026", "202601", "20260101", "20260101103015.25", "20260131120000+0100")),
        }[vr]
        if vr != "DA" and random.random() < 0.3:
            value = re.sub(r"[+-].*", "", value)[: random.choice((2, 4, 6) if vr == "TM" else (4, 6, 8, 10))]
        first, last = sorted((value, other), key=lambda text: f"{re.sub('[+-].*', '', text):9<30}")
        if vr == "DT" and "-" in first + last:
            first, last = "2024", "2027"
        elif vr == "DT" and "+" in first + last:
            last = "2027"
        if vr == "TM" and random.random() < 0.15:  # maybe over midnight
            first, last = last, first
        return random.choice(
            (value, value, f"{value}-", f"-{value}", f"{first}-{last}", f"{first}-{last}", f"{value}-{value}")
        )

    def _moments(
        self, date: MatchingKey, time: MatchingKey, level: Level, target: DataSet
    ) -> dict[MatchingKey, list[str]]:
        """Ranges of a date and its time."""
        random = self._random
        day = self._value(date, level, target)
        day = day if re.fullmatch(r"(?!20260230)[0-9]{8}", day) else "20260101"
        hours = [random.choice(("00", "1030", "103015.5", "1200", "2359")) for _ in range(2)]
        first, last = sorted((day, random.choice(("20260101", "20260201", "19700101", "20991231"))))
        days = random.choice((f"{first}-{last}", f"{first}-{last}", f"{day}-{day}", f"{day}-", f"-{day}"))
        return {date: [days], time: [random.choice((f"{hours[0]}-{hours[1]}", f"{hours[0]}-", f"-{hours[1]}"))]}

    def _pattern(self, value: str) -> str:
        """A value as a user may search for it."""
        random = self._random
        if not value:
            return ""
        at, end = sorted(random.sample(range(len(value) + 1), 2))
        match random.randrange(12):
            case 0 | 1 | 2:
                return value
            case 3:
                return value.swapcase() if len(value.swapcase()) == len(value) else value
            case 4:
                return _unaccented(value)
            case 5 | 6:
                return f"{value[:end]}*"
            case 7:
                return f"*{value[at:end]}*"
            case 8:
                return f"*{value[at:]}"
            case 9:
                return f"{value[:at]}*{value[end:]}"
            case 10:
                return "".join(
                    "?" if _is_one(value, at) and random.random() < 0.3 else one for at, one in enumerate(value)
                )
            case _:
                return f"{value[: end - 1]}{'?' if _is_one(value, end - 1) else value[end - 1]}*"


SEARCHABLE_BY_KEYWORD: Final = {key.keyword: key for key in SEARCHABLE}


def _unaccented(text: str) -> str:
    return unicodedata.normalize(
        "NFC",
        "".join(
            one for one in unicodedata.normalize("NFD", text) if one in "\u3099\u309a" or not unicodedata.combining(one)
        ),
    )


def _is_one(text: str, at: int) -> bool:
    """Whether a wildcard can stand for this character: it compares as one, also with what is before and after it."""
    return text[at].isalnum() and all(
        len(plain_name(one)) == 1 and one not in "ﾞﾟ" for one in text[at : at + 2] if one.strip("^ ")
    )


def query_string(query: Query, random: Random, limit: int | None = None, offset: int = 0) -> str:
    """A query as a client may write it: keys by keyword or tag, encoded in one way or another, in any order."""
    controls = {
        "fuzzymatching": query.is_fuzzy,
        "emptyvaluematching": query.has_empty,
        "multiplevaluematching": query.is_multiple,
    }
    parameters = [(name, "true") for name, is_set in controls.items() if is_set]
    if limit is not None:
        parameters.append(("limit", str(limit)))
    if offset:
        parameters.append(("offset", str(offset)))
    for key, texts in query.keys.items():
        names = zip(key.keyword.split("."), key.path, strict=True)
        name = ".".join(random.choice((keyword, tag, tag.lower())) for keyword, tag in names)
        parameters.extend((name, text) for text in texts)
    random.shuffle(parameters)
    encode = random.choice((quote, quote_plus))
    return "&".join(f"{encode(name, safe='')}={encode(value, safe='')}" for name, value in parameters)


def path_of(query: Query) -> Sequence[str]:
    """The path of a search below the service's URL, for messages."""
    named = zip(("studies", "series"), query.scope, strict=False)
    return "/".join([*(f"{name}/{uid}" for name, uid in named), RESOURCES[query.level]])

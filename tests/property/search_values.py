"""Whether one value matches what is asked of it, by PS3.4 C.2.2.2 and the conformance statement."""

import re
import struct
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

Span = tuple[Any, Any]
BETWEEN_WORDS = r"[\s^=,.'\-()/]+"


def matches(vr: str, text: str, value: Any, is_fuzzy: bool) -> bool:
    match vr:
        case "UI":
            return text == str(value)
        case "DA" | "TM" | "DT":
            asked, found = asked_span(vr, text), span_of(vr, str(value))
            if asked is None or found is None:
                return False
            if vr == "TM" and asked[0] and asked[1] and asked[1] < asked[0]:  # over midnight
                return lies_in(found[0], (asked[0], None)) or lies_in(found[0], (None, asked[1]))
            return lies_in(found[0], asked)
        case "FL" | "FD":
            try:
                return _floating(vr, float(text)) == _floating(vr, value)
            except (ValueError, OverflowError):
                return False
        case "AT":
            return text.casefold() == f"{value:08x}"
        case "DS" | "IS" | "US" | "SL":
            try:
                return Decimal(text) == Decimal(str(value))
            except ArithmeticError:
                return False
        case "PN":
            return _name_matches(text, str(value), is_fuzzy)
        case _:
            return _fits(text.strip().casefold(), str(value).strip().casefold())


def _floating(vr: str, value: float) -> bytes:
    return struct.pack("<f" if vr == "FL" else "<d", value + 0.0)


def lies_in(instant: Any, span: Span) -> bool:
    return (span[0] is None or span[0] <= instant) and (span[1] is None or instant <= span[1])


def asked_span(vr: str, text: str) -> Span | None:
    """From the first to the last instant requested, None for an open end."""
    if whole := span_of(vr, text):
        return whole
    for hyphen in re.finditer("-", text):
        parts = text[: hyphen.start()], text[hyphen.end() :]
        first, last = (span_of(vr, part) if part else (None, None) for part in parts)
        if first and last:
            return first[0], last[1]
    return None


@cache
def span_of(vr: str, text: str) -> Span | None:
    """The first and the last instant that a value stands for; None where it is not of its VR."""
    try:
        if vr == "DA":
            day = datetime.strptime(text, "%Y%m%d").date() if re.fullmatch("[0-9]{8}", text) else None
            return (day, day) if day else None
        form = r"(?P<text>[0-9]+)(?:\.(?P<fraction>[0-9]{1,6}))?(?P<offset>[+-][0-9]{4})?"
        found = re.fullmatch(form, text)
        if found is None or (vr == "TM" and found["offset"]):
            return None
        digits = f"20000101{found['text']}" if vr == "TM" else found["text"]
        forms = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
        if len(digits) not in forms or (found["fraction"] and len(digits) < 14):
            return None
        first = datetime.strptime(digits, forms[len(digits)]).replace(tzinfo=UTC)
        if found["offset"]:
            minutes = int(found["offset"][0] + "1") * (int(found["offset"][1:3]) * 60 + int(found["offset"][3:]))
            if not -12 * 60 <= minutes <= 14 * 60:  # PS3.5 6.2
                return None
            first -= timedelta(minutes=minutes)
        length = {
            4: timedelta(366 if first.year % 4 == 0 else 365),
            6: timedelta(31),
            8: timedelta(1),
            10: timedelta(hours=1),
            12: timedelta(minutes=1),
            14: timedelta(seconds=1),
        }[len(digits)]
        if len(digits) == 6:
            length = (first + timedelta(31)).replace(day=1) - first
        if fraction := found["fraction"]:
            first += timedelta(microseconds=int(f"{fraction:0<6}"))
            length = timedelta(microseconds=10 ** (6 - len(fraction)))
    except ValueError:
        return None
    return first, first + length - timedelta(microseconds=1)


def _name_matches(text: str, value: str, is_fuzzy: bool) -> bool:
    groups = [*value.split("="), "", ""][:3]
    if "=" in text:
        return all(
            is_any_name(asked) or _group_matches(asked, group)
            for asked, group in zip(text.split("="), groups, strict=False)
        )
    groups = [group for group in groups if plain_name(group)]
    if is_fuzzy and not re.search(r"[*?]", text):
        if "^" in text:
            return any(
                all(_has_words(asked, there) for asked, there in zip(text.split("^"), _components(group), strict=False))
                for group in groups
            )
        return any(_has_words(text, group) for group in groups)
    return any(_group_matches(text, group) for group in groups)


def _components(group: str) -> list[str]:
    return [*plain_name(group).split("^"), *[""] * 60]


def _has_words(text: str, there: str) -> bool:
    return all(any(word.startswith(one) for word in _words(there)) for one in _words(text))


def _words(text: str) -> list[str]:
    return [word for word in re.split(BETWEEN_WORDS, plain_name(text)) if word]


def is_any_name(text: str) -> bool:
    """Whether a component group is universal: empty, or wildcards alone in the first components, and nothing after."""
    components = [" ".join(part.split()) for part in text.split("^")]
    return not text.strip() or re.fullmatch(r"\*+(\^\**)*", "^".join(components)) is not None


OMITTED = "\0"


def _group_matches(text: str, group: str) -> bool:
    """Components left out at the end count as empty (PS3.5 6.2.1.1)."""
    return any(_fits(plain_name(text), plain_name(group) + OMITTED * count) for count in range(5 if "*" in text else 1))


@cache
def plain_name(text: str) -> str:
    """A component group without what does not matter: case, accents, width, padding, empty components at the end."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    letters = "".join(one for one in decomposed if one in "\u3099\u309a" or not unicodedata.combining(one))
    return "^".join(" ".join(part.split()) for part in unicodedata.normalize("NFC", letters).split("^")).rstrip("^")


@cache
def _fits(pattern: str, text: str) -> bool:
    """Wildcard matching (C.2.2.2.4), one character after another."""
    possible = {0}
    for character in pattern:
        if character == "*":
            possible = set(range(min(possible), len(text) + 1)) if possible else set()
        else:
            possible = {
                at + 1
                for at in possible
                if at < len(text)
                and (
                    text[at] == character
                    or (character == "?" and text[at] != OMITTED)
                    or (character == "^" and text[at] == OMITTED)
                )
            }
    return len(text) in possible

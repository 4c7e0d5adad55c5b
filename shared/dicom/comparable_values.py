"""The form in which values of the DICOM JSON Model (PS3.18 F) are compared with those that a search asks for.

The index has the same form, so a matching value is found by looking up its form.
"""

import re
import struct
import unicodedata
from calendar import monthrange
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, Final

NUMBER_VRS: Final = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
MAX_NAME_LENGTH: Final = 64
"""The most characters in a component group of a name (PS3.5 6.2), and of a value in a key of the index."""
PERSON_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
"""The component groups of a name in their order (PS3.5 6.2, PS3.18 F.2.2)."""

_FLOATING: Final = ("DS", "FD", "FL")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE: Final = re.compile(r"[0-9]{8}")
_TIME: Final = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_FIRST_OFFSET: Final = timedelta(hours=-12)  # below that, a hyphen and digits are the end of a range (PS3.5 6.2)
_LAST_OFFSET: Final = timedelta(hours=14)
_VOICED_KANA_MARKS: Final = "\u3099\u309a"  # they make a different letter, not an accented one
_WORD_BREAKS: Final = re.compile(r"[\s^=,.'\-()/]+")


def comparable(vr: str, text: str) -> str:
    """The form in which a value of the VR `vr` is compared; empty for an invalid date, time or moment.

    Names compare without regard to case, accents, width and empty trailing components, other text without regard to
    case (PS3.4 C.2.2.2.1 leaves case to the server; Microsoft's service does the same). Times are HHMMSS.FFFFFF,
    moments YYYYMMDDHHMMSS.FFFFFF in UTC: the first instant that a less precise value may mean. Numbers are equal
    when they are the same number, in the precision in which values of their VR are kept.
    """
    match vr:
        case "UI":
            return text.strip("\0 ")
        case "DA":
            text = text.strip("\0 ")
            return text if is_date(text) else ""
        case "TM":
            return first_and_last_time(text)[0]
        case "DT":
            return first_and_last_moment(text)[0]
        case "PN":
            return _name(text)
        case _:
            return _number(vr, text) if vr in NUMBER_VRS else text.strip("\0 \t\r\n").casefold()


def comparable_values(attribute: Mapping[str, Any]) -> Iterator[str]:
    """The comparable forms of a DICOM JSON attribute's values, for a name of each component group; no empty ones."""
    for value in attribute.get("Value", ()):
        texts = [value.get(group) for group in PERSON_NAME_GROUPS] if isinstance(value, dict) else [value]
        for text in texts:
            form = "" if text is None else comparable(attribute["vr"], str(text))
            if form:
                yield form


def words_of(form: str) -> list[str]:
    """The words of a comparable name, in order: what stands between spaces and punctuation.

    Only its first `MAX_NAME_LENGTH` characters count.
    """
    return [word for word in _WORD_BREAKS.split(form[:MAX_NAME_LENGTH]) if word]


def is_number(text: str) -> bool:
    """Whether `text` is a number in the form of DS (PS3.5 6.2), of any length, perhaps with spaces around it."""
    return _NUMBER.fullmatch(text.strip()) is not None


def is_date(text: str) -> bool:
    """Whether `text` is a calendar day in the form of DA, YYYYMMDD (PS3.5 6.2)."""
    if not _DATE.fullmatch(text):
        return False
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return True


def first_and_last_time(text: str) -> tuple[str, str]:
    """The first and the last instant that a TM means, HHMMSS.FFFFFF each; empty when it is invalid.

    A TM that leaves out seconds, or minutes, means all of them (PS3.5 6.2).
    """
    match = _TIME.fullmatch(text.strip("\0 "))
    if match is None:
        return "", ""
    hours, minutes, seconds, fraction = match.groups()
    if hours > "23" or (minutes or "00") > "59" or (seconds or "00") > "60":
        return "", ""
    first = f"{hours}{minutes or '00'}{seconds or '00'}.{fraction or '':0<6}"
    last = f"{hours}{minutes or '59'}{seconds or '59'}.{fraction or '':9<6}"
    return first, last


def first_and_last_moment(text: str) -> tuple[str, str]:
    """The first and the last instant that a DT means, YYYYMMDDHHMMSS.FFFFFF in UTC each; empty when it is invalid.

    A DT without an offset is taken to be in UTC.
    """
    match = _DATE_TIME.fullmatch(text.strip("\0 "))
    if match is None:
        return "", ""
    *components, fraction, offset = match.groups()
    year, *rest = [int(component) for component in components if component is not None]
    month, *_ = rest or [12]
    try:
        end = [12, monthrange(year, month)[1], 23, 59, 59]
        first = _instant(year, *rest, *(1, 1, 0, 0, 0)[len(rest) :])
        last = _instant(year, *rest, *end[len(rest) :])
        shift = timedelta(hours=int(offset[:3]), minutes=int(offset[0] + offset[3:])) if offset else timedelta()
        if not _FIRST_OFFSET <= shift <= _LAST_OFFSET:
            return "", ""
        return f"{_digits(first - shift)}.{fraction or '':0<6}", f"{_digits(last - shift)}.{fraction or '':9<6}"
    except (ValueError, OverflowError):
        return "", ""


def _instant(*components: int) -> datetime:
    year, month, day, hour, minute, second = components
    return datetime(year, month, day, hour, minute, second)


def _digits(moment: datetime) -> str:
    return re.sub("[^0-9]", "", moment.isoformat()[:19])


def _name(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    unaccented = "".join(
        character for character in decomposed if character in _VOICED_KANA_MARKS or not unicodedata.combining(character)
    )
    components = [" ".join(component.split()) for component in unicodedata.normalize("NFC", unaccented).split("^")]
    return "^".join(components).rstrip("^")


def _number(vr: str, text: str) -> str:
    text = text.strip("\0 ")
    try:
        number = Decimal(text)
        if vr in _FLOATING and number.is_finite():
            number = _floating(vr, number)
        if not number.is_finite():
            return text.casefold()
        # An exponent stays one: written out, a few characters would become a million.
        return str(int(number)) if abs(number) < 10**15 and number == int(number) else str(number.normalize())
    except ArithmeticError:  # not a number, or out of range
        return text.casefold()


def _floating(vr: str, number: Decimal) -> Decimal:
    """The number as a value of the VR keeps it, if it can; of a DS, metadata has no more than a double either."""
    try:
        kept = struct.unpack("<f", struct.pack("<f", number))[0] if vr == "FL" else float(number)
    except OverflowError:
        return number
    return Decimal(repr(kept)) if isfinite(kept) and bool(kept) is bool(number) else number

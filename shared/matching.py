"""Attribute matching of PS3.4 C.2.2.2 on values of the DICOM JSON Model, and the form in which values are compared.

The same form goes into the index, so a value that matches is found by looking its form up.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

_DATE: Final = re.compile(r"[0-9]{8}")
_PERSON_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def is_date(text: str) -> bool:
    """Whether `text` is a day of the calendar as DA has it, YYYYMMDD (PS3.5 6.2)."""
    if not _DATE.fullmatch(text):
        return False
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return True


def comparable(vr: str, text: str) -> str:
    """The form in which a value of the VR `vr` is compared.

    UIDs and dates compare as they are, names without regard to case, accents, width and empty trailing components,
    other text without regard to case (PS3.4 C.2.2.2.1 leaves case to the server; Microsoft's service decides alike).
    """
    if vr in ("UI", "DA"):
        return text.strip("\0 ")
    if vr == "PN":
        decomposed = unicodedata.normalize("NFKD", text.casefold())
        unaccented = "".join(character for character in decomposed if not unicodedata.combining(character))
        components = [" ".join(component.split()) for component in unaccented.split("^")]
        return "^".join(components).rstrip("^")
    return text.strip().casefold()


def comparable_values(attribute: Mapping[str, Any]) -> Iterator[str]:
    """Each value of a DICOM JSON attribute in its comparable form; of a name, each component group; no empty ones."""
    vr = attribute["vr"]
    for value in attribute.get("Value", ()):
        texts = [value.get(group, "") for group in _PERSON_NAME_GROUPS] if isinstance(value, dict) else [value]
        for text in texts:
            form = "" if text is None else comparable(vr, str(text))
            # What is no date has no place in a range of dates.
            if form and (vr != "DA" or _DATE.fullmatch(form)):
                yield form


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Single value matching (PS3.4 C.2.2.2.1) and list of UID matching (C.2.2.2.2): equal to one of `forms`."""

    forms: Collection[str]

    def matches(self, form: str) -> bool:
        """Whether a comparable value is one of those asked for."""
        return form in self.forms


@dataclass(frozen=True, slots=True)
class DateRange:
    """Range matching of dates (PS3.4 C.2.2.2.5): both ends belong to it, an empty one is open. YYYYMMDD each."""

    first: str
    last: str

    def matches(self, form: str) -> bool:
        """Whether a comparable date lies in the range."""
        return (not self.first or self.first <= form) and (not self.last or form <= self.last)


Matcher = AnyOf | DateRange


def matches(matcher: Matcher, attribute: Mapping[str, Any] | None) -> bool:
    """Whether any value of a DICOM JSON attribute matches; an attribute that is absent or empty does not."""
    return attribute is not None and any(matcher.matches(form) for form in comparable_values(attribute))

"""Attributes in a form that the service's, pydicom's and DCMTK's readings of a file have in common.

* The file meta group, group lengths, trailing padding, and what the service adds or replaces (Available Transfer Syntax
  UID, Specific Character Set) are left out, as is encapsulated Pixel Data, which is compared as frames.
* Text has no padding on either side, a name no empty components or groups at its end. An empty value is None; where
  all are empty, there are none.
* A number is one, also in text; text that is not a number stays text.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Union

Attributes = dict[str, "Attribute"]
Value = Union[str, int, float, Attributes, None]  # noqa: UP007 -- it names itself

PIXEL_DATA: Final = "7FE00010"
NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")

_LEFT_OUT: Final = re.compile(r"0002....|FFFE....|....0000|FFFCFFFC|00083002|00080005")
_NUMBERS: Final = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_PADDING: Final = " \0"


@dataclass(frozen=True, slots=True)
class Attribute:
    """The values of an attribute, items as attributes by their tags; `octets` are the value in little endian.

    A reader may know only one of them: `octets` is then None, or `values` is.
    """

    vr: str
    values: tuple[Value, ...] | None = ()
    octets: bytes | None = None


def is_compared(tag: str) -> bool:
    """Whether the attribute of a tag (eight upper-case hexadecimal digits) is one that readers have in common."""
    return _LEFT_OUT.fullmatch(tag) is None


def of_json(model: Mapping[str, Mapping[str, Any]], bulk_value: Callable[[str], bytes]) -> Attributes:
    """The attributes of a data set in the DICOM JSON Model (PS3.18 F); `bulk_value` gets the value at a BulkDataURI."""
    return {tag: _of_json(attribute, bulk_value) for tag, attribute in model.items() if is_compared(tag)}


def values_of(vr: str, values: Iterable[object]) -> tuple[Value, ...]:
    """Texts and numbers in the common form."""
    found = tuple(_value_of(vr, value) for value in values)
    return found if any(value is not None for value in found) else ()


def name_of(groups: Iterable[str]) -> str:
    """The component groups of a name as text, without the components at the end that are empty (PS3.5 6.2.1.2)."""
    return "=".join(group.strip(_PADDING).rstrip("^") for group in groups).rstrip("=")


def _of_json(attribute: Mapping[str, Any], bulk_value: Callable[[str], bytes]) -> Attribute:
    vr, values = attribute["vr"], attribute.get("Value", [])
    if "BulkDataURI" in attribute:
        return Attribute(vr, None, bulk_value(attribute["BulkDataURI"]))
    if "InlineBinary" in attribute:
        return Attribute(vr, None, b64decode(attribute["InlineBinary"]))
    if vr == "SQ":
        return Attribute(vr, tuple(of_json(item or {}, bulk_value) for item in values))
    if vr == "PN":
        values = [name_of(value.get(group, "") for group in NAME_GROUPS) if value else None for value in values]
    return Attribute(vr, values_of(vr, values))


def _value_of(vr: str, value: object) -> Value:
    if isinstance(value, str):
        text = value.strip(_PADDING)
        return _number_of(text) if vr in _NUMBERS else text or None
    if isinstance(value, int | float):
        return value
    return None


def _number_of(text: str) -> Value:
    for number in (int, float) if "_" not in text else ():  # which Python takes for a part of a number
        try:
            return number(text)
        except ValueError:
            continue
    return text or None

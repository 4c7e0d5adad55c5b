"""A data set in the DICOM JSON Model (PS3.18 F), with bulk values as references.

Nothing an instance says is lost, however wrongly it says it: an invalid number stays the text that it is, text that
does not fit its character set has U+FFFD in place of what does not, and a value of an impossible length is kept as UN.
"""

import math
import re
from collections.abc import Iterator
from struct import unpack
from typing import Any, Final

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from shared.dicom.comparable_values import PERSON_NAME_GROUPS
from shared.dicom.dicom_json_text import deflated_values
from shared.dicom.element_values import (
    BULK_VRS,
    NUMBER_BYTES,
    NUMBER_CODES,
    SPECIFIC_CHARACTER_SET,
    Inherited,
    assumed_character_set,
)
from shared.dicom.parsing import DicomFileError, DicomFileLimits, Element, Malformed, element_of
from shared.dicom.sequences import NestedReader

MAX_INLINE_BYTES: Final = 64 * 1024
"""The longest value that is not a bulk value whatever its VR: PS3.18 10.4.3.3.2 lets a server choose."""

_HELD_VALUES: Final = 256  # of an attribute; a name takes 250 bytes as an object
_ALL_HELD_VALUES: Final = 100_000

_LEFT_OUT_GROUPS: Final = frozenset({0x0002, 0xFFFE})  # the file meta group, and delimiters out of place
_TRAILING_PADDING: Final = 0xFFFCFFFC  # insignificant: PS3.10 7.2

_SINGLE_VALUED: Final = frozenset({"LT", "ST", "UR", "UT"})  # a backslash is part of the text: PS3.5 6.4
_LEADING_SPACES_PAD: Final = frozenset({"AE", "CS", "DS", "IS", "LO", "SH"})  # PS3.5 Table 6.2-1

_MAX_NUMBER_LENGTH: Final = 32  # twice that of a DS, which some writers make too long
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,15}")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class JsonConverter:
    """Converts the parts of one data set; the limits apply to all of them together."""

    def __init__(self, limits: DicomFileLimits) -> None:
        self._nested = NestedReader(limits)
        self._max_values = limits.max_values
        self._value_count = 0
        self._held_count = 0

    def attributes(self, data_set: Dataset, path: str, inherited: Inherited) -> dict[str, dict[str, Any]]:
        """The attributes of a data set, tags ascending, in the DICOM JSON Model; `path` begins the BulkDataURIs.

        Tags are eight upper-case hexadecimal digits. Group lengths, the file meta group and trailing padding are left
        out. Text is Unicode, so Specific Character Set says ISO_IR 192. Nonempty values of OB, OD, OF, OL, OV, OW and
        UN, and of other VRs over MAX_INLINE_BYTES, are a BulkDataURI. IS, DS, SV and UV are numbers where they are
        valid (PS3.18 F.2.3 also allows strings), even SV and UV beyond 2**53, which JavaScript rounds. FL and FD that
        are not finite, for which JSON has no number and PS3.18 no rule, are the strings "NaN", "Infinity" and
        "-Infinity" of Microsoft's service.

        Raises DicomFileError when there are more values than the limits allow, or sequences nest deeper.
        """
        return {tag: attribute for tag, attribute, _ in self._each(data_set, path, inherited.by(data_set))}

    def shortened(self, data_set: Dataset, path: str, inherited: Inherited) -> dict[str, dict[str, Any]]:
        """The same of a whole data set, with values deflated where there are many of them, as objects take the most."""
        inherited = inherited.by(data_set)
        attributes = {}
        for tag, attribute, value_count in self._each(data_set, path, inherited):
            is_much = value_count > _HELD_VALUES or self._held_count + value_count > _ALL_HELD_VALUES
            if is_much and "Value" in attribute:
                attribute = {"vr": attribute["vr"], "Value": deflated_values(attribute["Value"])}
            else:
                self._held_count += value_count
            attributes[tag] = attribute
        return attributes

    @property
    def assumptions(self) -> set[str]:
        """What had to be assumed of what was converted, in words."""
        return self._nested.heads.assumptions

    def item(self, data_set: Dataset, path: str, inherited: Inherited) -> dict[str, dict[str, Any]]:
        """The attributes of an item of a sequence at the top of the data set."""
        with self._nested.level():
            return self.attributes(data_set, path, inherited)

    def _each(self, data_set: Dataset, path: str, inherited: Inherited) -> Iterator[tuple[str, dict[str, Any], int]]:
        """Each attribute, and how many values it has, those in its items included."""
        for number in sorted(map(int, data_set.keys())):  # as PS3.18 F.2.2 has them
            element = element_of(data_set, number)
            if element is not None and is_attribute(number):
                tag, before = f"{number:08X}", self._value_count
                vr = inherited.vr(element, data_set)
                attribute = self._attribute(element, vr, f"{path}/{tag}", inherited)
                yield tag, attribute, self._value_count - before

    def _attribute(self, element: Element, vr: str, uri: str, inherited: Inherited) -> dict[str, Any]:
        if not element.value:
            return {"vr": vr}
        if vr == "SQ":
            try:
                values = self._items(element, uri, inherited)
            except Malformed:
                return {"vr": "UN", "BulkDataURI": uri}
        elif vr in BULK_VRS or not isinstance(element, RawDataElement) or len(element.value) > MAX_INLINE_BYTES:
            return {"vr": vr, "BulkDataURI": uri}
        elif element.tag == SPECIFIC_CHARACTER_SET:
            values = ["ISO_IR 192"]
            if term := assumed_character_set(element.value):
                self._nested.heads.assumptions.add(f"Specific Character Set is no defined term; {term} is assumed.")
        elif vr in NUMBER_CODES:
            values = self._numbers(element, vr)
        else:
            values = self._texts(element.value, vr, inherited)
        return {"vr": vr, "Value": values} if values else {"vr": vr}

    def _items(self, element: Element, uri: str, inherited: Inherited) -> list[Any]:
        with self._nested.items(element) as items:
            return [self.attributes(item, f"{uri}/{number}", inherited) for number, item in enumerate(items, 1)]

    def _numbers(self, element: RawDataElement, vr: str) -> list[Any]:
        value = element.value or b""
        count = len(value) // NUMBER_BYTES[vr]
        self._add(count)
        order = "<" if element.is_little_endian else ">"
        code = NUMBER_CODES[vr]
        numbers = unpack(f"{order}{count * len(code)}{code[0]}", value)
        if vr == "AT":
            return [f"{group:04X}{number:04X}" for group, number in zip(numbers[::2], numbers[1::2], strict=True)]
        if vr in ("FL", "FD"):
            return [number if math.isfinite(number) else _not_finite(number) for number in numbers]
        return list(numbers)

    def _texts(self, value: bytes, vr: str, inherited: Inherited) -> list[Any]:
        text = inherited.text(value, vr)
        self._add(text.count("\\") + 1)
        texts = [text] if vr in _SINGLE_VALUED else text.split("\\")
        texts = [text.rstrip("\0 ") for text in texts]
        if vr in _LEADING_SPACES_PAD:
            texts = [text.lstrip(" ") for text in texts]
        convert = _FROM_TEXT.get(vr)
        # An empty value among others keeps its place: PS3.18 F.2.5.
        values = [(convert(text) if convert else text) if text else None for text in texts]
        return values if values != [None] else []

    def _add(self, count: int) -> None:
        self._value_count += count
        if self._value_count > self._max_values:
            raise DicomFileError(f"The data set has more than {self._max_values} values.")


def is_attribute(tag: int) -> bool:
    """Whether a tag is that of an attribute: neither a group length nor one that is left out."""
    return bool(tag & 0xFFFF) and tag >> 16 not in _LEFT_OUT_GROUPS and tag != _TRAILING_PADDING


def _not_finite(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _person_name(text: str) -> dict[str, str] | None:
    """The component groups that are not empty (PS3.18 F.2.2), or None."""
    groups = zip(PERSON_NAME_GROUPS, text.split("=", 2), strict=False)
    return {name: group.rstrip(" ") for name, group in groups if group.strip(" ")} or None


def _integer(text: str) -> int | str:
    return int(text) if _INTEGER.fullmatch(text) else text


def _decimal(text: str) -> float | str:
    if _INTEGER.fullmatch(text):
        return int(text)
    if len(text) <= _MAX_NUMBER_LENGTH and _DECIMAL.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


_FROM_TEXT: Final = {"PN": _person_name, "IS": _integer, "DS": _decimal}

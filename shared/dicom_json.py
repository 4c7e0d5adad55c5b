"""A data set in the DICOM JSON Model (PS3.18 F), with bulk values as references.

Nothing an instance says is lost, however wrongly it says it: a number that is none stays the text that it is, text that
does not fit its character set has U+FFFD where it does not, and a value of an impossible length is kept as UN.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from struct import unpack
from typing import Any, Final

from shared.character_sets import DEFAULT_CODEC, codec_of, decode
from shared.elements import DataSet, DicomFileError, DicomFileLimits, Element
from shared.value_representations import BULK_VRS, VALUE_BYTES, WORD_BYTES, decided_vr

BULK_DATA: Final = "bulkdata"
"""What the relative BulkDataURI of every bulk value begins with; its path follows after a slash."""

_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_PIXEL_REPRESENTATION: Final = 0x00280103
_DATA_SET_TRAILING_PADDING: Final = 0xFFFCFFFC  # without significance: PS3.10 7.2

_IN_CHARACTER_SET: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})  # PS3.5 6.1.2.3
_SINGLE_VALUED: Final = frozenset({"LT", "ST", "UR", "UT"})  # a backslash is part of the text: PS3.5 6.4
_LEADING_SPACES_PAD: Final = frozenset({"AE", "CS", "DS", "IS", "LO", "SH"})  # PS3.5 Table 6.2-1
_STRUCT_CODES: Final = {
    "AT": "H",
    "FD": "d",
    "FL": "f",
    "SL": "l",
    "SS": "h",
    "SV": "q",
    "UL": "L",
    "US": "H",
    "UV": "Q",
}
_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")

_MAX_NUMBER_LENGTH: Final = 32  # twice that of a DS, of which writers make too long ones
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,15}")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


_DEFAULT_LIMITS: Final = DicomFileLimits()


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a data set has from the one around it: PS3.5 7.5.3, and the signedness of its pixels."""

    codec: str = DEFAULT_CODEC
    is_signed: bool = False

    def by(self, data_set: DataSet, elements: Sequence[Element]) -> "Inherited":
        """What the items in `elements`, which are of `data_set`, inherit."""
        codec, is_signed = self.codec, self.is_signed
        for element in elements:
            if element.tag == _SPECIFIC_CHARACTER_SET:
                codec = codec_of(data_set.value(element))
            elif element.tag == _PIXEL_REPRESENTATION:
                is_signed = any(data_set.value(element))
        return Inherited(codec, is_signed)


def to_json(
    data_set: DataSet,
    *,
    inherited: Inherited = Inherited(),
    limits: DicomFileLimits = _DEFAULT_LIMITS,
) -> dict[str, dict[str, Any]]:
    """The data set's attributes, tags ascending, in the DICOM JSON Model.

    Tags are eight upper-case hexadecimal digits. Group lengths, the file meta group and trailing padding are left out.
    Text is Unicode, so Specific Character Set says ISO_IR 192. Nonempty values of OB, OD, OF, OL, OV, OW and UN are a
    relative BulkDataURI, ``bulkdata/7FE00010`` or, within items, which count from 1, ``bulkdata/00880200/1/7FE00010``.
    IS, DS, SV and UV are numbers where they are any (PS3.18 F.2.3 allows strings, too), SV and UV beyond 2**53 as
    well, which JavaScript rounds. FL and FD that are not finite, for which JSON has no number and PS3.18 no rule, are
    the strings "NaN", "Infinity" and "-Infinity" of Microsoft's service.

    Raises DicomFileError when there are more values than `limits` allow.
    """
    return _Converter(data_set, limits.max_values).attributes(data_set.elements, BULK_DATA, inherited)


def vr_of(element: Element, inherited: Inherited) -> str:
    """The VR of an element in JSON."""
    return decided_vr(
        element.vr,
        length=element.length,
        is_signed=inherited.is_signed,
        is_encapsulated=element.fragments is not None,
    )


def dumps(metadata: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Compact UTF-8 JSON. A lone surrogate, which is no character, becomes "?".

    Raises ValueError for a float that is not finite.
    """
    text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


class _Converter:
    def __init__(self, data_set: DataSet, max_values: int) -> None:
        self._data_set = data_set
        self._max_values = max_values
        self._value_count = 0

    def attributes(self, elements: Sequence[Element], path: str, inherited: Inherited) -> dict[str, dict[str, Any]]:
        inherited = inherited.by(self._data_set, elements)
        # Sorted, as PS3.18 F.2.2 has them; in a data set that is in order this costs nothing.
        return {
            f"{element.tag:08X}": self._attribute(element, path, inherited)
            for element in sorted(elements, key=itemgetter(0))
            if element.tag & 0xFFFF and element.tag >> 16 != 0x0002 and element.tag != _DATA_SET_TRAILING_PADDING
        }

    def _attribute(self, element: Element, path: str, inherited: Inherited) -> dict[str, Any]:
        vr = vr_of(element, inherited)
        if element.items is not None:
            path = f"{path}/{element.tag:08X}"
            items = [
                self.attributes(item, f"{path}/{number}", inherited) for number, item in enumerate(element.items, 1)
            ]
            return {"vr": vr, "Value": items} if items else {"vr": vr}
        if element.length == 0:
            return {"vr": vr}
        if element.fragments is not None or vr in BULK_VRS:
            return {"vr": vr, "BulkDataURI": f"{path}/{element.tag:08X}"}
        if element.tag == _SPECIFIC_CHARACTER_SET:
            return {"vr": vr, "Value": ["ISO_IR 192"]}
        value = self._data_set.value(element)
        values = self._numbers(value, vr) if vr in VALUE_BYTES else self._texts(value, vr, inherited.codec)
        return {"vr": vr, "Value": values} if values else {"vr": vr}

    def _numbers(self, value: bytes, vr: str) -> list[Any]:
        count = len(value) // VALUE_BYTES[vr]
        self._add(count)
        numbers = unpack(f"{self._data_set.byte_order}{len(value) // WORD_BYTES[vr]}{_STRUCT_CODES[vr]}", value)
        if vr == "AT":
            return [f"{group:04X}{number:04X}" for group, number in zip(numbers[::2], numbers[1::2], strict=True)]
        if vr in ("FL", "FD"):
            return [number if math.isfinite(number) else _not_finite(number) for number in numbers]
        return list(numbers)

    def _texts(self, value: bytes, vr: str, codec: str) -> list[Any]:
        text = decode(value, codec if vr in _IN_CHARACTER_SET else DEFAULT_CODEC, is_person_name=vr == "PN")
        self._add(text.count("\\") + 1)
        texts = [text] if vr in _SINGLE_VALUED else text.split("\\")
        texts = [text.rstrip("\0 ") for text in texts]
        if vr in _LEADING_SPACES_PAD:
            texts = [text.lstrip(" ") for text in texts]
        if texts == [""]:
            return []
        convert = _FROM_TEXT.get(vr)
        # An empty value among others keeps its place: PS3.18 F.2.5.
        return [(convert(text) if convert else text) if text else None for text in texts]

    def _add(self, count: int) -> None:
        self._value_count += count
        if self._value_count > self._max_values:
            raise DicomFileError(f"The data set has more than {self._max_values} values.")


def _not_finite(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _person_name(text: str) -> dict[str, str] | None:
    """The component groups that there are (PS3.18 F.2.2), or None."""
    groups = zip(_NAME_GROUPS, text.split("=", 2), strict=False)
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

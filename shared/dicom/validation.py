"""Decides whether a data set may be stored, as Microsoft's service does, strictly or leniently.

The UIDs, the SOP class and PatientID are required. A searchable attribute whose value breaks its VR fails the instance
by the strict rules; by the lenient ones the instance is stored with a warning.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.dicom.attributes import TAG, VALIDATED
from shared.dicom.comparable_values import NUMBER_VRS, first_and_last_moment, first_and_last_time, is_date, is_number
from shared.dicom.identifiers import MAX_UID_LENGTH, is_uid

_REQUIRED: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_CONTROL: Final = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f]")  # ESC belongs to ISO 2022
_CODE_STRING: Final = re.compile(r"[A-Z0-9_ ]{0,16}")
_AGE: Final = re.compile(r"[0-9]{3}[DWMY]")
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_MAX_LENGTH: Final = {"AE": 16, "LO": 64, "SH": 16, "PN": 64}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with an attribute. `comment` names the tag and the rule, never the value."""

    tag: str
    comment: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found: any of `errors` fails the instance; `warnings` accompany a success."""

    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """By which rules an instance is checked: the strict or the lenient ones.

    With `takes_no_patient_id`, an instance without PatientID is no error, but has a warning.
    """

    is_strict: bool
    takes_no_patient_id: bool = False


def validate(metadata: Mapping[str, Any], rules: Rules) -> Findings:
    """Check an instance's metadata (DICOM JSON Model)."""
    errors = list(_required(metadata))
    warnings: list[Finding] = []
    if (missing := _missing_patient_id(metadata, is_strict=rules.is_strict)) is not None:
        (warnings if rules.takes_no_patient_id else errors).append(missing)
    named = {finding.tag for finding in errors}
    invalid = [finding for finding in _invalid(metadata) if finding.tag not in named]
    required = {TAG[keyword] for keyword in (*_REQUIRED, "PatientID")}
    errors.extend(finding for finding in invalid if rules.is_strict or finding.tag in required)
    warnings.extend(finding for finding in invalid if finding not in errors)
    return Findings(tuple(errors), tuple(warnings))


def _missing_patient_id(metadata: Mapping[str, Any], *, is_strict: bool) -> Finding | None:
    tag = TAG["PatientID"]
    if tag not in metadata:
        return finding_of(tag, "PatientID is required and is missing")
    if is_strict and not metadata[tag].get("Value"):
        return finding_of(tag, "PatientID is required and is empty")
    return None


def _required(metadata: Mapping[str, Any]) -> Iterator[Finding]:
    for keyword in _REQUIRED:
        tag = TAG[keyword]
        values = metadata.get(tag, {}).get("Value", [])
        if tag not in metadata:
            yield finding_of(tag, f"{keyword} is required and is missing")
        elif len(values) != 1 or not is_uid(str(values[0])):
            yield finding_of(tag, f"{keyword} must be one UID of at most {MAX_UID_LENGTH} digits and single dots")


def _invalid(metadata: Mapping[str, Any]) -> Iterator[Finding]:
    for attribute in VALIDATED:
        found = metadata.get(attribute.tag, {})
        if attribute.tag in metadata and found["vr"] != attribute.vr:
            yield finding_of(attribute.tag, f"{attribute.keyword} must have the VR {attribute.vr}")
            continue
        rule = next((rule for value in found.get("Value", ()) if (rule := broken_rule(attribute.vr, value))), "")
        if rule:
            yield finding_of(attribute.tag, f"{attribute.keyword} {rule}")


def broken_rule(vr: str, value: Any) -> str:
    """The rule of a VR (PS3.5 6.2) that a value of the DICOM JSON Model breaks, as "must be …"; "" where it does not.

    A VR without a rule in the table takes every value.
    """
    texts = value.values() if isinstance(value, dict) else (value,)
    rule = _RULES.get(vr)
    return next((broken for text in texts if rule and text not in (None, "") and (broken := rule(vr, str(text)))), "")


def finding_of(tag: str, comment: str) -> Finding:
    """What is wrong with an attribute, in a sentence without a full stop."""
    # The form of Microsoft's service, whose clients show it as it is.
    return Finding(tag, f"DICOM100: ({tag[:4].lower()},{tag[4:].lower()}) - {comment}.")


def _date_rule(_: str, text: str) -> str:
    return "" if is_date(text) else "must be a date YYYYMMDD"


def _text_rule(vr: str, text: str) -> str:
    longest = _MAX_LENGTH[vr]
    if len(text) > longest:
        return f"must be at most {longest} characters"
    return "must hold no control character" if _CONTROL.search(text) else ""


def _name_rule(vr: str, text: str) -> str:
    if text.count("^") > 4:
        return "must have at most 5 components"
    return _text_rule(vr, text)


def _code_string_rule(_: str, text: str) -> str:
    return "" if _CODE_STRING.fullmatch(text) else "must be at most 16 of A-Z, 0-9, space and underscore"


def _age_rule(_: str, text: str) -> str:
    return "" if _AGE.fullmatch(text) else "must be three digits and one of D, W, M, Y"


def _time_rule(_: str, text: str) -> str:
    return "" if first_and_last_time(text)[0] else "must be a time HHMMSS.FFFFFF"


def _moment_rule(_: str, text: str) -> str:
    return "" if first_and_last_moment(text)[0] else "must be a date and time YYYYMMDDHHMMSS.FFFFFF&ZZXX"


def _tag_rule(_: str, text: str) -> str:
    return "" if _TAG.fullmatch(text) else "must be a tag of 8 hexadecimal digits"


def _number_rule(vr: str, text: str) -> str:
    if not is_number(text):
        return "must be a number"
    return "must be a whole number" if vr not in ("DS", "FD", "FL") and not _WHOLE.fullmatch(text.strip()) else ""


def _uid_rule(_: str, text: str) -> str:
    return "" if is_uid(text) else f"must be a UID of at most {MAX_UID_LENGTH} digits and single dots"


_RULES: Final[Mapping[str, Callable[[str, str], str]]] = {
    "AE": _text_rule,
    "AS": _age_rule,
    "AT": _tag_rule,
    "CS": _code_string_rule,
    "DA": _date_rule,
    "DT": _moment_rule,
    "LO": _text_rule,
    "PN": _name_rule,
    "SH": _text_rule,
    "TM": _time_rule,
    "UI": _uid_rule,
    **dict.fromkeys(NUMBER_VRS, _number_rule),
}

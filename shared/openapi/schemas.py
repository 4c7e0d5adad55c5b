"""The schemas of what answers hold: the DICOM JSON Model (PS3.18 F), the Store Instances Response, errors, health."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydicom.valuerep import STANDARD_VR

from shared.web.store_response import VALIDATION_WARNING, FailureReason

Schema = Mapping[str, Any]

_TEXT: Final[Schema] = {"type": ["string", "null"]}
_NOT_FINITE: Final[Schema] = {"enum": ["NaN", "Infinity", "-Infinity"]}
_VALUES: Final[Mapping[tuple[str, ...], Schema]] = {
    ("SQ",): {"$ref": "#/components/schemas/DataSet"},
    ("PN",): {"anyOf": [{"$ref": "#/components/schemas/PersonName"}, {"type": "null"}]},
    ("SL", "SS", "SV", "UL", "US", "UV"): {"type": "integer"},
    ("FD", "FL"): {"anyOf": [{"type": "number"}, _NOT_FINITE]},
    ("DS", "IS"): {"type": ["number", "string", "null"], "description": "A string where it is no number."},
    ("AT",): {"type": "string", "pattern": "^[0-9A-F]{8}$"},
}
"""What values of these VRs are; of all others, text."""


def schemas() -> dict[str, Schema]:
    """All of them, by name."""
    return {
        "DataSet": {
            "description": "The attributes of a data set by tag (DICOM JSON Model, PS3.18 F.2).",
            "type": "object",
            # Not patternProperties, which generators of clients pass over.
            "propertyNames": {"pattern": "^[0-9A-F]{8}$"},
            "additionalProperties": {"$ref": "#/components/schemas/Attribute"},
        },
        "DataSets": {"type": "array", "items": {"$ref": "#/components/schemas/DataSet"}},
        "Attribute": _attribute_schema(),
        "PersonName": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("Alphabetic", "Ideographic", "Phonetic")},
            "additionalProperties": False,
            "minProperties": 1,
        },
        "StoreInstancesResponse": _store_instances_response(),
        "Problem": _object(
            {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "What is wrong, and what is allowed."},
            },
            "An error (RFC 9457).",
        ),
        "Health": _object({"status": {"enum": ["healthy", "unhealthy", "alive"]}}, "One word."),
    }


def _attribute_schema() -> Schema:
    named = [vr for vrs in _VALUES for vr in vrs]
    kinds = [({"enum": list(vrs)}, value) for vrs, value in _VALUES.items()] + [({"not": {"enum": named}}, _TEXT)]
    return {
        "type": "object",
        "required": ["vr"],
        "properties": {
            "vr": {"enum": sorted(STANDARD_VR)},
            "Value": {"type": "array", "items": {}, "minItems": 1},
            "BulkDataURI": {"type": "string", "format": "uri", "description": "Where the bulk value is."},
        },
        "additionalProperties": False,
        "allOf": [
            {"if": {"properties": {"vr": vr}}, "then": {"properties": {"Value": {"items": value}}}}
            for vr, value in kinds
        ],
    }


def _store_instances_response() -> Schema:
    comments = _sequence({"00000902": _attribute("LO", _TEXT)}, ["00000902"], "Comments on what was wrong.")
    identifiers = {"00081150": _attribute("UI", _TEXT), "00081155": _attribute("UI", _TEXT)}
    reasons = {
        "enum": [reason.value for reason in FailureReason],
        "description": ", ".join(f"{reason.value} {reason.name}" for reason in FailureReason),
    }
    failed = {**identifiers, "00081197": _attribute("US", reasons), "00741048": comments}
    warning = _attribute("US", {"const": VALIDATION_WARNING})
    stored = {**identifiers, "00081190": _attribute("UR", _TEXT), "00081196": warning, "00741048": comments}
    return {
        **_object(
            {
                "00081190": _attribute("UR", {"type": "string", "format": "uri"}),
                "00081198": _sequence(failed, ["00081197", "00741048"], "What failed, with the reason."),
                "00081199": _sequence(stored, [*identifiers, "00081190", "00741048"], "What is stored, and where."),
            },
            "What became of each instance (PS3.18 I.2.2).",
        ),
        "required": [],
        "anyOf": [{"required": ["00081198"]}, {"required": ["00081199"]}],
    }


def _attribute(vr: str, value: Schema) -> Schema:
    return _object({"vr": {"const": vr}, "Value": {"type": "array", "items": value, "minItems": 1, "maxItems": 1}})


def _sequence(attributes: Mapping[str, Schema], required: Sequence[str], description: str) -> Schema:
    item = {**_object(attributes), "required": list(required)}
    whole = _object({"vr": {"const": "SQ"}, "Value": {"type": "array", "items": item, "minItems": 1}}, description)
    return {**whole, "required": ["vr"]}


def _object(properties: Mapping[str, Schema], description: str | None = None) -> dict[str, Any]:
    """An object of exactly these properties."""
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"description": description, **schema} if description else schema

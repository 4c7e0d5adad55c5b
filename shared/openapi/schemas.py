"""The schemas of answers: the DICOM JSON Model (PS3.18 F), the Store Instances Response, errors and health."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from pydicom.valuerep import STANDARD_VR

from shared.archive.change import Action, State
from shared.dicom.comparable_values import PERSON_NAME_GROUPS
from shared.openapi.operation_schemas import operation_schemas
from shared.openapi.subscription_schemas import subscription_schemas
from shared.openapi.tag_schemas import tag_schemas
from shared.web.failure_reasons import Duplicate, FailureReason, WarningReason
from shared.web.store_response import ATTRIBUTES

Schema = Mapping[str, Any]

_TEXT: Final[Schema] = {"type": ["string", "null"]}
_NOT_FINITE: Final[Schema] = {"enum": ["NaN", "Infinity", "-Infinity"]}
_VALUES: Final[Mapping[tuple[str, ...], Schema]] = {
    ("SQ",): {"$ref": "#/components/schemas/DataSet"},
    ("PN",): {"anyOf": [{"$ref": "#/components/schemas/PersonName"}, {"type": "null"}]},
    ("SL", "SS", "SV", "UL", "US", "UV"): {"type": "integer"},
    ("FD", "FL"): {"anyOf": [{"type": "number"}, _NOT_FINITE]},
    ("DS", "IS"): {"type": ["number", "string", "null"], "description": "A string where it is not a number."},
    ("AT",): {"type": "string", "pattern": "^[0-9A-F]{8}$"},
}
"""The schemas of values by VR; values of all other VRs are text."""


def schemas() -> dict[str, Schema]:
    """All schemas, by name."""
    return {
        "DataSet": {
            "description": "The attributes of a data set by tag (DICOM JSON Model, PS3.18 F.2).",
            "type": "object",
            # Not patternProperties, which generators of clients ignore.
            "propertyNames": {"pattern": "^[0-9A-F]{8}$"},
            "additionalProperties": {"$ref": "#/components/schemas/Attribute"},
        },
        "DataSets": {"type": "array", "items": {"$ref": "#/components/schemas/DataSet"}},
        "Attribute": _attribute_schema(),
        "PersonName": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in PERSON_NAME_GROUPS},
            "additionalProperties": False,
            "minProperties": 1,
        },
        "StoreInstancesResponse": _store_instances_response(),
        "Change": _change(),
        "Changes": {"type": "array", "items": {"$ref": "#/components/schemas/Change"}},
        **subscription_schemas(),
        **tag_schemas(),
        "LatestChange": {"anyOf": [{"$ref": "#/components/schemas/Change"}, {"type": "null"}]},
        **operation_schemas(),
        "Problem": _object(
            {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "What is wrong, and what is allowed."},
            },
            "An error (RFC 9457).",
        ),
        "Health": _object(
            {"status": {"enum": ["healthy", "unhealthy", "alive"]}, "version": _TEXT}, "One word, and the version."
        ),
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
    identifiers = _attribute("ReferencedSOPClassUID", _TEXT) | _attribute("ReferencedSOPInstanceUID", _TEXT)
    comments = _sequence(
        "FailedAttributesSequence",
        _attribute("ErrorComment", _TEXT),
        _attribute("ErrorID", _codes(Duplicate)),
        "Comments on what was wrong; for an instance that exists, how it compares.",
    )
    failed = _sequence(
        "FailedSOPSequence",
        _attribute("FailureReason", _codes(FailureReason)) | comments,
        identifiers,
        "What failed, with the reason.",
    )
    stored = _sequence(
        "ReferencedSOPSequence",
        identifiers | _attribute("RetrieveURL", _TEXT) | comments,
        _attribute("WarningReason", _codes(WarningReason)),
        "What is stored, and where.",
    )
    url = _attribute("RetrieveURL", {"type": "string", "format": "uri"})
    return {
        **_object(url | failed | stored, "What became of each instance (PS3.18 I.2.2)."),
        "required": [],
        "anyOf": [{"required": list(failed)}, {"required": list(stored)}],
    }


def _change() -> Schema:
    uid: Schema = {"type": "string"}
    required: dict[str, Schema] = {
        "sequence": {"type": "integer", "minimum": 1, "description": "Rises from change to change."},
        "partitionName": {"type": "string"},
        "studyInstanceUid": uid,
        "seriesInstanceUid": uid,
        "sopInstanceUid": uid,
        "action": {"enum": list(Action)},
        "timestamp": {"type": "string", "format": "date-time"},
        "state": {"enum": list(State), "description": "What has become of the instance by now."},
    }
    optional: dict[str, Schema] = {
        "sopClassUid": uid,
        "modality": {"type": "string"},
        "metadata": {"$ref": "#/components/schemas/DataSet"},
    }
    described = _object({**required, **optional}, "What was done to an instance; its metadata is as of now.")
    return {**described, "required": list(required)}


def _codes(codes: type[IntEnum]) -> Schema:
    return {
        "enum": [code.value for code in codes],
        "description": ", ".join(f"{code.value} {code.name}" for code in codes),
    }


def _attribute(keyword: str, value: Schema) -> dict[str, Schema]:
    """An attribute with one value, by its tag."""
    tag, vr = ATTRIBUTES[keyword]
    values = {"type": "array", "items": value, "minItems": 1, "maxItems": 1}
    return {tag: _object({"vr": {"const": vr}, "Value": values})}


def _sequence(
    keyword: str, required: Mapping[str, Schema], optional: Mapping[str, Schema], description: str
) -> dict[str, Schema]:
    """A sequence, by its tag, whose items have these attributes; it may be empty."""
    tag, vr = ATTRIBUTES[keyword]
    item = {**_object({**optional, **required}), "required": list(required)}
    values = {"type": "array", "items": item, "minItems": 1}
    return {tag: {**_object({"vr": {"const": vr}, "Value": values}, description), "required": ["vr"]}}


def _object(properties: Mapping[str, Schema], description: str | None = None) -> dict[str, Any]:
    """An object with exactly these properties."""
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"description": description, **schema} if description else schema

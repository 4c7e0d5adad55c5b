"""The schemas of operations: what starts one, its state, and what it has found."""

from collections.abc import Mapping
from typing import Any, Final

from shared.archive.operation import OperationStatus, OperationType
from shared.web.operation_request import COMPLETED

_COUNTS: Final = ("studies", "instances", "blobs", "postings", "differenceCount", "errors")


def operation_schemas() -> dict[str, Mapping[str, Any]]:
    """All of them, by name."""
    uid = {"type": "string"}
    moment = {"type": "string", "format": "date-time"}
    operation_id = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
    href = {"type": "string", "format": "uri"}
    differences = {"$ref": "#/components/schemas/Differences"}
    state = {
        "operationId": operation_id,
        "type": {"enum": list(OperationType)},
        "createdTime": moment,
        "lastUpdatedTime": moment,
        "status": {"enum": [*OperationStatus, COMPLETED], "description": "v1 has completed, v2 succeeded."},
    }
    return {
        "Verify": {
            "description": "Which studies to examine, all if none are named; digests: read each file, too.",
            **_object(
                {
                    "type": {"const": OperationType.VERIFY},
                    "studies": {"type": "array", "items": uid, "minItems": 1},
                    "digests": {"type": "boolean", "default": False},
                },
                "type",
            ),
        },
        "OperationReference": _object({"id": operation_id, "href": href}, "id", "href"),
        "Operation": _object(
            {
                **state,
                "percentComplete": {"type": "integer", "minimum": 0, "maximum": 100},
                "resources": {
                    "type": "array",
                    "items": href,
                    "description": "Of a reindex: the extended query tags that it makes ready.",
                },
                "results": _object(
                    {
                        **{name: {"type": "integer", "minimum": 0} for name in _COUNTS},
                        "differences": {**differences, "description": "Of verify, the first 1,000."},
                        "failures": {"type": "array", "items": {"type": "string"}, "description": "Why units failed."},
                    },
                ),
            },
            *state,
        ),
        "Operations": {"type": "array", "items": _object({**state, "href": href}, *state, "href")},
        "Differences": {
            "type": "array",
            "items": _object(
                {
                    "kind": {"type": "string"},
                    "study": uid,
                    "concerns": {"type": "string", "description": "A path, the name of a blob, or a keyword."},
                    "sentence": {"type": "string", "description": "What differs, and what a person can do."},
                },
                "kind",
                "concerns",
                "sentence",
            ),
        },
    }


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    """An object with these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}

"""The schemas of extended query tags: what requests say of them, and what is answered."""

from collections.abc import Mapping
from typing import Any, Final

from shared.archive.extended_tags import MAX_TAGS, TAG_VRS, QueryStatus, TagStatus
from shared.web.extended_query_tag_request import LEVELS

Schema = Mapping[str, Any]

_PATH: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "description": "An attribute's keyword, or its tag as 8 hexadecimal digits; of one in items, those of the "
    "sequences first, joined by dots.",
}
_VR: Final[Schema] = {"enum": sorted(TAG_VRS)}
_CREATOR: Final[Schema] = {"type": "string", "description": "Of a private attribute, who has reserved its block."}
_LEVEL: Final[Schema] = {"enum": list(LEVELS)}
_QUERY_STATUS: Final[Schema] = {"enum": list(QueryStatus)}
_URL: Final[Schema] = {"type": "string", "format": "uri"}
_UID: Final[Schema] = {"type": "string"}


def tag_schemas() -> dict[str, Schema]:
    """The schemas by name."""
    asked = {
        "path": _PATH,
        "vr": {**_VR, "description": "Needed for a private attribute; by default the dictionary's."},
        "privateCreator": _CREATOR,
        "level": _LEVEL,
    }
    errors: dict[str, Schema] = {
        "studyInstanceUid": _UID,
        "seriesInstanceUid": _UID,
        "sopInstanceUid": _UID,
        "createdTime": {"type": "string", "format": "date-time"},
        "errorMessage": {"type": "string", "description": "What is wrong with the value, without the value."},
    }
    return {
        "NewExtendedQueryTags": {
            "description": "Other members are ignored; null is absent.",
            "type": "array",
            "items": {"type": "object", "properties": asked, "required": ["path", "level"]},
            "minItems": 1,
            "maxItems": MAX_TAGS,
        },
        "ExtendedQueryTagUpdate": _object({"queryStatus": _QUERY_STATUS}, "queryStatus"),
        "ExtendedQueryTag": _tag(),
        "ExtendedQueryTags": {"type": "array", "items": {"$ref": "#/components/schemas/ExtendedQueryTag"}},
        "ExtendedQueryTagErrors": {"type": "array", "items": _object(errors, *errors)},
    }


def _tag() -> Schema:
    always: dict[str, Schema] = {
        "path": _PATH,
        "vr": _VR,
        "level": _LEVEL,
        "status": {"enum": list(TagStatus), "description": "Searches can use it once it is Ready."},
        "queryStatus": {**_QUERY_STATUS, "description": "Disabled where an instance could not be indexed."},
    }
    sometimes: dict[str, Schema] = {
        "privateCreator": _CREATOR,
        "errors": _object({"count": {"type": "integer", "minimum": 1}, "href": _URL}, "count", "href"),
        "operation": {"$ref": "#/components/schemas/OperationReference"},
    }
    return _object({**always, **sometimes}, *always)


def _object(properties: Mapping[str, Schema], *required: str) -> Schema:
    """An object with these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}

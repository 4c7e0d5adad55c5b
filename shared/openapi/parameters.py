"""The parameters of requests, in paths, queries and headers, as OpenAPI Parameter Objects."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from shared.archive.operation import OperationStatus, OperationType
from shared.dicom.attributes import SEARCHABLE, Level
from shared.dicom.identifiers import MAX_UID_LENGTH
from shared.search.query import FUZZY
from shared.search.query_tags import PRIVATE_CREATOR
from shared.search.query_values import matched_by
from shared.settings import Settings
from shared.web.api_versions import ApiVersion
from shared.web.change_feed_query import ACTIONS, DEFAULT_LIMIT, MAX_LIMIT, MAX_NUMBER
from shared.web.content_negotiation import Offer
from shared.web.extended_query_tag_request import MAX_LIMIT as MAX_TAGS_LIMIT
from shared.web.extended_query_tag_request import MAX_OFFSET as MAX_TAGS_OFFSET
from shared.web.extended_query_tag_request import PRIVATE_CREATOR as PRIVATE_CREATOR_OF_TAG
from shared.web.media_types import format_media_type
from shared.web.operation_request import COMPLETED
from shared.web.operation_request import DEFAULT_LIMIT as DEFAULT_OPERATIONS
from shared.web.operation_request import MAX_LIMIT as MAX_OPERATIONS
from shared.web.operation_request import MAX_RESULTS_LIMIT as MAX_RESULTS
from shared.web.rendering_parameters import DEFAULT_QUALITY, MAX_VIEWPORT_PIXELS, IccProfile, WindowFunction

Parameter = Mapping[str, Any]

_UID: Final = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)*$", "maxLength": MAX_UID_LENGTH}
_GUID: Final = {"type": "string", "minLength": 32, "maxLength": 38}
_MAX_NUMBER: Final = 999_999_999
_ELEMENT: Final = "[0-9A-Fa-f]{8}"


def path_parameters(settings: Settings) -> dict[str, Parameter]:
    """The parameters of route templates, by name; `path` is that of a bulk value."""
    frames = {"type": "integer", "minimum": 1, "maximum": _MAX_NUMBER}
    return {
        "study": _path("study", "Study Instance UID.", _UID),
        "series": _path("series", "Series Instance UID.", _UID),
        "instance": _path("instance", "SOP Instance UID.", _UID),
        "subscription": _path("subscription", "Id of a subscription.", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
        "tag": _path(
            "tag",
            "An attribute's keyword, or its tag as 8 hexadecimal digits; of one in items, those of the sequences "
            "first, joined by dots.",
            {"type": "string", "minLength": 1},
        ),
        "frames": _path(
            "frames",
            "Frame numbers from 1.",
            {"type": "array", "items": frames, "minItems": 1, "maxItems": settings.max_frames},
        ),
        "operation": _path("operation", "The id of an operation, in any form of a GUID.", _GUID),
        "path": _path(
            "path",
            "What a BulkDataURI of the metadata ends in: a tag, or, in items, a path of tags and item numbers; its "
            "slashes are not encoded.",
            {"type": "string", "pattern": f"^{_ELEMENT}(/[1-9][0-9]{{0,8}}/{_ELEMENT})*$"},
        ),
    }


RESOURCE_PATH: Final[Parameter] = {
    "name": "path",
    "in": "path",
    "required": True,
    "description": "Any path of this document; its slashes are not encoded.",
    "schema": {"type": "string", "minLength": 1},
}

ETAG_HEADERS: Final[tuple[Parameter, ...]] = (
    {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of what the client has: 304 if it is still current.",
        "schema": {"type": "string"},
    },
)

RANGE_HEADERS: Final[tuple[Parameter, ...]] = (
    {
        "name": "Range",
        "in": "header",
        "description": "One range of bytes, where the answer has Accept-Ranges.",
        "schema": {"type": "string", "examples": ["bytes=0-1023"]},
    },
    {
        "name": "If-Range",
        "in": "header",
        "description": "The ETag of what the client has a part of: the whole is sent if it is no longer current.",
        "schema": {"type": "string"},
    },
)


def media_type_of(offer: Offer) -> str:
    """The Content-Type of an answer with this offer, without boundary and transfer syntax."""
    if offer.is_multipart:
        return format_media_type("multipart/related", {"type": offer.media_type})
    return offer.media_type


def representation_parameters(media_types: Iterable[str]) -> list[Parameter]:
    """The parameters that choose among representations (PS3.18 8.3.3)."""
    known = list(media_types)
    return [
        _query(
            "accept",
            "Replaces the Accept header, and is written like it, transfer-syntax and q included.",
            {"anyOf": [{"enum": known}, {"type": "string"}]} if known else {"type": "string"},
        ),
        _query("charset", "Text is sent in UTF-8.", {"enum": ["utf-8", "utf8", "*"]}),
    ]


def search_parameters(level: Level, settings: Settings) -> list[Parameter]:
    """The parameters of a search for resources of a level (PS3.18 8.3.4)."""
    keys = [
        _query(key.keyword, f"{_joined(key.path)}, matched by {', '.join(matched_by(key.vr))}.", {"type": "string"})
        for key in SEARCHABLE
        if key.level <= level
    ]
    limit = {"minimum": 1, "maximum": settings.max_search_limit, "default": settings.default_search_limit}
    return [
        *keys,
        _query(
            "includefield",
            "More attributes to return, by keyword, tag or path; all returns every attribute.",
            {"type": "array", "items": {"type": "string"}},
        ),
        _query("limit", "The most results to return.", {"type": "integer", **limit}),
        _query("offset", "How many results to skip.", {"type": "integer", "minimum": 0, "maximum": _MAX_NUMBER}),
        _query("fuzzymatching", f"{' and '.join(FUZZY)} and tags of names match by words' beginnings.", _boolean()),
        _query("emptyvaluematching", 'The value "" matches what is absent or empty.', _boolean()),
        _query("multiplevaluematching", "Values joined by backslashes all have to match.", _boolean()),
        _query(PRIVATE_CREATOR, "Whose private attributes the query's extended query tags are.", {"type": "string"}),
    ]


def change_feed_parameters(version: ApiVersion) -> list[Parameter]:
    """The parameters of a request for the change feed, in a version of the API."""
    number = {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER}
    limit = {"minimum": 1, "maximum": MAX_LIMIT[version], "default": DEFAULT_LIMIT[version]}
    moment = {"type": "string", "format": "date-time"}
    is_v1 = version == "v1"
    ignored = " Ignored in v1." if is_v1 else ""
    parameters = [
        _query(
            "offset",
            "The sequence number after which to begin." if is_v1 else "How many changes of the window to skip.",
            {**number, "default": 0},
        ),
        _query(
            "limit",
            "How many sequence numbers to look at." if is_v1 else "The most changes to return.",
            {"type": "integer", **limit},
        ),
        _query("startTime", f"The beginning of the window of time, with a time zone.{ignored}", moment),
        _query("endTime", f"The end of the window, which it does not include, with a time zone.{ignored}", moment),
        *latest_change_parameters(),
    ]
    if is_v1:
        return parameters
    return [
        *parameters,
        _query("after", "The sequence number after which to begin: instead of offset and startTime.", number),
        _query("action", "Only changes of this kind; not with offset.", {"enum": list(ACTIONS)}),
        _query("sopClassUid", "Only instances of this SOP class; not with offset.", _UID),
        _query("partitionName", "Only instances of this partition; not with offset.", {"type": "string"}),
    ]


def latest_change_parameters() -> list[Parameter]:
    """The parameter of a request for the latest change."""
    metadata = {"type": "boolean", "default": True}
    return [_query("includeMetadata", "Whether to return the instance's metadata as it is now.", metadata)]


def operations_parameters() -> list[Parameter]:
    """The parameters of a list of operations."""
    words = [*OperationStatus, COMPLETED]
    return [
        _query("type", "Only operations of this type.", {"enum": list(OperationType)}),
        _query("status", "Only those of this status; completed and succeeded are the same.", {"enum": words}),
        _limit("The most operations to return.", MAX_OPERATIONS),
        _query("after", "The id after which to begin, as the Link of the page before has it.", _GUID),
    ]


def operation_results_parameters() -> list[Parameter]:
    """The parameters of what an operation has found."""
    return [
        _limit("The most things to return.", MAX_RESULTS),
        _query("after", "Where to begin, as the Link of the page before has it.", {"type": "string"}),
    ]


def tags_parameters() -> list[Parameter]:
    """The parameters of a list of extended query tags."""
    return [
        _limit("The most to return.", MAX_TAGS_LIMIT),
        _query("offset", "How many to skip.", {"type": "integer", "minimum": 0, "maximum": MAX_TAGS_OFFSET}),
    ]


def tag_parameters() -> list[Parameter]:
    """The parameters of an extended query tag."""
    return [
        _query(PRIVATE_CREATOR_OF_TAG, "Which tag, where several private creators have the path.", {"type": "string"})
    ]


def tag_errors_parameters() -> list[Parameter]:
    """The parameters of an extended query tag's errors."""
    return [*tag_parameters(), *tags_parameters()]


def rendering_parameters() -> list[Parameter]:
    """The parameters of rendered resources (PS3.18 8.3.5.1)."""
    functions = ", ".join(function.lower().replace("_", "-") for function in WindowFunction)
    return [
        _query("quality", "The quality of JPEG.", _quality()),
        _query(
            "viewport",
            "vw,vh or vw,vh,sx,sy,sw,sh: columns and rows that the picture fits in, at most "
            f"{MAX_VIEWPORT_PIXELS} each, and the part of the image that it shows.",
            {"type": "string"},
        ),
        _query("window", f"center,width,function; the function is one of {functions}.", {"type": "string"}),
        _annotation(),
        _query(
            "iccprofile",
            "The color profile of the picture; not every profile is available for every image.",
            {"enum": list(IccProfile), "default": IccProfile.YES},
        ),
    ]


def uri_parameters() -> list[Parameter]:
    """The parameters of the URI Service (PS3.18 9.5), without `accept` and `charset`."""
    side = {"type": "integer", "minimum": 1, "maximum": MAX_VIEWPORT_PIXELS}
    uids = {"studyUID": "Study", "seriesUID": "Series", "objectUID": "SOP"}
    return [
        _required(_query("requestType", "Always WADO.", {"const": "WADO"})),
        *(_required(_query(name, f"{of} Instance UID.", _UID)) for name, of in uids.items()),
        _query("contentType", "The media types that are accepted.", {"type": "string"}),
        _query("transferSyntax", "Of application/dicom; * for the stored one.", {"type": "string"}),
        _query("frameNumber", "From 1.", {"type": "integer", "minimum": 1, "maximum": _MAX_NUMBER}),
        _query("rows", "The most rows of the picture.", side),
        _query("columns", "The most columns of the picture.", side),
        _query("region", "xmin,ymin,xmax,ymax, each from 0 to 1.", {"type": "string"}),
        _query("windowCenter", "With windowWidth.", {"type": "number"}),
        _query("windowWidth", "With windowCenter.", {"type": "number", "minimum": 1}),
        _query("imageQuality", "The quality of JPEG.", _quality()),
        _annotation(),
    ]


def _path(name: str, description: str, schema: Mapping[str, Any]) -> Parameter:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _query(name: str, description: str, schema: Mapping[str, Any]) -> Parameter:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _limit(description: str, most: int) -> Parameter:
    return _query(
        "limit", description, {"type": "integer", "minimum": 1, "maximum": most, "default": DEFAULT_OPERATIONS}
    )


def _required(parameter: Parameter) -> Parameter:
    return {**parameter, "required": True}


def _annotation() -> Parameter:
    allowed = ["patient", "technique", "patient,technique"]
    return _query("annotation", "Accepted; nothing is drawn on the picture.", {"enum": allowed})


def _quality() -> Mapping[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": 100, "default": DEFAULT_QUALITY}


def _boolean() -> Mapping[str, Any]:
    return {"type": "boolean", "default": False}


def _joined(path: Iterable[str]) -> str:
    return ".".join(f"({tag[:4]},{tag[4:]})" for tag in path)

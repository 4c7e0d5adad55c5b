"""Which statuses the transactions answer with, and when; kept in step with the conformance statement.

`shared/openapi/resources.py` leaves out the statuses that a resource of a transaction does not answer with.
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

Statuses = Mapping[HTTPStatus, str]

SIGN_IN: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.UNAUTHORIZED: "there is no token, or it is not accepted; WWW-Authenticate says which, and the "
        "detail why",
        HTTPStatus.FORBIDDEN: "the token does not permit the request; the detail names the roles and scopes that would",
        HTTPStatus.SERVICE_UNAVAILABLE: "the service is not configured, or the keys of the authority cannot be had; "
        "with Retry-After",
    }
)
"""Of every request that needs a token, before anything else."""

STORE: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.OK: "all instances are stored: durable, retrievable and found by searches",
        HTTPStatus.ACCEPTED: "some failed, or some are stored with warnings",
        HTTPStatus.NO_CONTENT: "the request holds no instance",
        HTTPStatus.BAD_REQUEST: "the body is not multipart or not gzip as it says, or is cut short: nothing of the cut "
        "part is stored; or a UID in the path is not valid",
        HTTPStatus.NOT_ACCEPTABLE: "the response is asked for in another form",
        HTTPStatus.REQUEST_TIMEOUT: "the body comes too slowly, or no longer",
        HTTPStatus.CONFLICT: "no instance was stored; the body says why, for each",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body, a part or the number of parts is over its limit",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "the Content-Type or Content-Encoding is missing or not supported, or that "
        "of all parts is not",
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer, or the service is busy with other uploads; with "
        "Retry-After",
    }
)

RANGE_IS_SENT: Final = "the requested range is sent"
SOME_ARE_SENT: Final = "the instances that can be sent as asked, and a Warning says what is left out"

RETRIEVE: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.OK: "the resource is sent",
        HTTPStatus.PARTIAL_CONTENT: f"{RANGE_IS_SENT}; or, of a study or series, {SOME_ARE_SENT}",
        HTTPStatus.NOT_MODIFIED: "the client has it",
        HTTPStatus.BAD_REQUEST: "a UID, a frame list or a parameter is not valid, or a header or the query string is "
        "too long",
        HTTPStatus.NOT_FOUND: "there is no such study, series, instance, frame or bulk value, or nothing to render",
        HTTPStatus.NOT_ACCEPTABLE: "nothing acceptable is available, or the image cannot be transcoded or rendered",
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "the range begins after the end",
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer; with Retry-After",
    }
)

SEARCH: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.OK: "there are results; a Warning says where there may be more",
        HTTPStatus.NO_CONTENT: "there are none",
        HTTPStatus.BAD_REQUEST: "a UID or a parameter is not valid, or not known",
        HTTPStatus.NOT_ACCEPTABLE: "the results are asked for in another form",
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer; with Retry-After",
    }
)

DELETE: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.NO_CONTENT: "it can no longer be found or retrieved",
        HTTPStatus.BAD_REQUEST: "a UID in the path is not valid",
        HTTPStatus.NOT_FOUND: "there is no such study, series or instance",
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer, or not in time: it is deleted later; with "
        "Retry-After",
    }
)

CHANGES: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.OK: "the changes, or none; Link names what follows, and a Warning says where some may be missing",
        HTTPStatus.BAD_REQUEST: "a parameter is not valid, or not known",
        HTTPStatus.NOT_ACCEPTABLE: "the changes are asked for in another form",
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer, or the feed is still being filled with what the "
        "archive held before; with Retry-After",
    }
)

LATEST_CHANGE: Final[Statuses] = MappingProxyType(
    {**CHANGES, HTTPStatus.OK: "the change, or null; a Warning says where there may be a later one"}
)

_SWITCHED_OFF: Final = "subscriptions are switched off"
_NO_SUBSCRIPTION: Final = f"there is no such subscription, or {_SWITCHED_OFF}"
_BUSY_OR_UNFILLED: Final = (
    "storage does not answer, the archive has no queues, or the change feed is still being filled with what it held "
    "before; with Retry-After"
)
_TOO_LONG: Final = "a header or the query string is too long"
_JSON_BODY: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.BAD_REQUEST: "the body is not valid, or the target may not be used, or does not take events; or "
        f"{_TOO_LONG}",
        HTTPStatus.REQUEST_TIMEOUT: "the body comes too slowly, or no longer",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is larger than 65,536 bytes",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "the Content-Type is not application/json, or the Content-Encoding is not "
        "supported",
    }
)

SUBSCRIBED: Final[Statuses] = MappingProxyType(
    {
        **_JSON_BODY,
        HTTPStatus.CREATED: "the subscription, with its secret, and its URL in Location",
        HTTPStatus.NOT_FOUND: _SWITCHED_OFF,
        HTTPStatus.CONFLICT: "there are 100 subscriptions already",
        HTTPStatus.SERVICE_UNAVAILABLE: _BUSY_OR_UNFILLED,
    }
)

SUBSCRIPTIONS: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.OK: "the subscriptions, or none",
        HTTPStatus.BAD_REQUEST: _TOO_LONG,
        HTTPStatus.NOT_FOUND: _SWITCHED_OFF,
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer; with Retry-After",
    }
)

SUBSCRIPTION: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.OK: "what is asked for",
        HTTPStatus.BAD_REQUEST: _TOO_LONG,
        HTTPStatus.NOT_FOUND: _NO_SUBSCRIPTION,
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer; with Retry-After",
    }
)

RESTARTED: Final[Statuses] = MappingProxyType(
    {
        **_JSON_BODY,
        HTTPStatus.OK: "it goes on",
        HTTPStatus.NOT_FOUND: _NO_SUBSCRIPTION,
        HTTPStatus.SERVICE_UNAVAILABLE: _BUSY_OR_UNFILLED,
    }
)

UNSUBSCRIBED: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.NO_CONTENT: "nothing more is sent, but for what is on its way",
        HTTPStatus.BAD_REQUEST: _TOO_LONG,
        HTTPStatus.NOT_FOUND: _NO_SUBSCRIPTION,
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer; with Retry-After",
    }
)

_NO_OPERATION: Final = "there is no such operation, or it has been removed since it ended"

OPERATION_STARTED: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.ACCEPTED: "the operation has started; Location names it",
        HTTPStatus.BAD_REQUEST: "the body is not as its schema says",
        HTTPStatus.REQUEST_TIMEOUT: "the body comes too slowly, or no longer",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body names too much: start several operations",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "the Content-Type or Content-Encoding is missing or not supported",
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer, or the archive has no queues, which the detail says; "
        "with Retry-After",
    }
)

OPERATIONS: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.OK: "the operations, or none; Link names what follows",
        HTTPStatus.BAD_REQUEST: "a parameter is not valid, or not known",
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer; with Retry-After",
    }
)

OPERATION: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.OK: "it has ended",
        HTTPStatus.ACCEPTED: "it has not; Location is where to ask again",
        HTTPStatus.BAD_REQUEST: _TOO_LONG,
        HTTPStatus.NOT_FOUND: _NO_OPERATION,
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer; with Retry-After",
    }
)

OPERATION_RESULTS: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.OK: "what it has found, or nothing; Link names what follows",
        HTTPStatus.BAD_REQUEST: "a parameter is not valid, or not known",
        HTTPStatus.NOT_FOUND: _NO_OPERATION,
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer; with Retry-After",
    }
)

OPERATION_CANCELED: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.OK: "nothing further of it begins, or it had ended: the body says how",
        HTTPStatus.BAD_REQUEST: _TOO_LONG,
        HTTPStatus.NOT_FOUND: _NO_OPERATION,
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer; with Retry-After",
    }
)

_NO_TAG: Final = "there is no such extended query tag"
_TAG_PATH: Final = "the path or a parameter is not valid, or several private creators have the path"
_TAG_BODY: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.REQUEST_TIMEOUT: "the body comes too slowly, or no longer",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is larger than 262,144 bytes",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "the Content-Type is not application/json, or the Content-Encoding is not "
        "supported",
    }
)

TAGS_ADDED: Final[Statuses] = MappingProxyType(
    {
        **_TAG_BODY,
        HTTPStatus.ACCEPTED: "the tags are added; Location is the operation after which searches can use them",
        HTTPStatus.BAD_REQUEST: "the body is not as its schema says, an attribute cannot be a tag, or there would be "
        "more than 128: none is added",
        HTTPStatus.CONFLICT: "one of them is there already; or, as text/plain, others are still being added, by the "
        "operation in Location",
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer, or the archive has no queues; with Retry-After",
    }
)

TAGS: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.OK: "the tags, or none",
        HTTPStatus.BAD_REQUEST: "a parameter is not valid, or not known",
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer; with Retry-After",
    }
)

TAG: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.OK: "what is asked for",
        HTTPStatus.BAD_REQUEST: _TAG_PATH,
        HTTPStatus.NOT_FOUND: _NO_TAG,
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer; with Retry-After",
    }
)

TAG_UPDATED: Final[Statuses] = MappingProxyType(
    {
        **_TAG_BODY,
        **TAG,
        HTTPStatus.OK: "the tag as it is now",
        HTTPStatus.BAD_REQUEST: f"the body is not as its schema says, {_TAG_PATH}",
    }
)

TAG_DELETED: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.NO_CONTENT: "searches can no longer use it",
        HTTPStatus.BAD_REQUEST: _TAG_PATH,
        HTTPStatus.NOT_FOUND: _NO_TAG,
        HTTPStatus.SERVICE_UNAVAILABLE: "storage does not answer, or the archive has no queues; with Retry-After",
    }
)

PREFLIGHT: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.NO_CONTENT: "Allow has the methods",
        HTTPStatus.BAD_REQUEST: _TOO_LONG,
        HTTPStatus.NOT_FOUND: "there is no such resource",
        HTTPStatus.SERVICE_UNAVAILABLE: "the service is not configured",
    }
)

DESCRIPTION: Final[Statuses] = MappingProxyType(
    {
        HTTPStatus.OK: "this document",
        HTTPStatus.BAD_REQUEST: "the Host of the request is not a host name",
        HTTPStatus.SERVICE_UNAVAILABLE: "the service is not configured",
    }
)

HEALTH: Final[Statuses] = MappingProxyType(
    {HTTPStatus.OK: "storage answers", HTTPStatus.SERVICE_UNAVAILABLE: "it does not"}
)

LIVENESS: Final[Statuses] = MappingProxyType({HTTPStatus.OK: "the process answers"})

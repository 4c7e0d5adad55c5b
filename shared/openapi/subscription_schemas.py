"""The schemas of subscriptions: what requests say of them, and what is answered."""

from collections.abc import Mapping
from typing import Any, Final

from shared.web.event_targets import MAX_URL_LENGTH
from shared.web.subscription_request import EVENTS, MAX_EVENTS_PER_BATCH, MAX_FILTER_LENGTH, MAX_NUMBER

Schema = Mapping[str, Any]

_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_AFTER: Final[Schema] = {
    "type": "integer",
    "minimum": 0,
    "maximum": MAX_NUMBER,
    "description": "The sequence number of the change feed after which it begins; without one, where the feed ends.",
}
_STATUS: Final[Schema] = {
    "enum": ["active", "failing", "parked"],
    "description": "Parked: nothing is sent until somebody restarts it.",
}
_ASKED: Final[Mapping[str, Schema]] = {
    "url": {
        "type": "string",
        "maxLength": MAX_URL_LENGTH,
        "description": "Where events go, by POST; https, of a host that SUBSCRIPTION_HOSTS allows.",
    },
    "eventGridTopic": {
        "type": "string",
        "maxLength": MAX_URL_LENGTH,
        "description": "Instead of url, the endpoint of an Event Grid topic: https://….eventgrid.azure.net/api/events.",
    },
    "filter": {
        "type": "string",
        "maxLength": MAX_FILTER_LENGTH,
        "description": "The query string of a search for series, such as Modality=CT: only what matches is told.",
    },
    "events": {"type": "array", "items": {"enum": list(EVENTS)}, "minItems": 1},
    "settle": {
        "type": "string",
        "description": "How long nothing of a study changes before it has settled: ISO 8601, from PT1S to P1D; PT2M.",
    },
    "maxEventsPerBatch": {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS_PER_BATCH},
}
_SECRET: Final[Schema] = {
    "type": "string",
    "description": "What signs events, as Standard Webhooks says: whsec_ and base64. Made where it is missing.",
}
_SUBSCRIPTION: Final[Mapping[str, Schema]] = {
    "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    **_ASKED,
    "status": _STATUS,
    "createdTime": _TIME,
    "deliveredSequence": _COUNT,
}
_SOMETIMES: Final = ("url", "eventGridTopic", "filter", "secret")


def subscription_schemas() -> dict[str, Schema]:
    """The schemas by name."""
    return {
        "SubscriptionRequest": _object({**_ASKED, "secret": _SECRET, "after": _AFTER}, required=()),
        "RestartRequest": _object({"status": {"const": "active"}, "after": _AFTER}, required=("status",)),
        "Subscription": _subscription(_SUBSCRIPTION),
        "NewSubscription": _subscription({**_SUBSCRIPTION, "secret": _SECRET}),
        "Subscriptions": {"type": "array", "items": {"$ref": "#/components/schemas/Subscription"}},
        "Deliveries": _deliveries(),
    }


def _subscription(properties: Mapping[str, Schema]) -> Schema:
    return _object(properties, [name for name in properties if name not in _SOMETIMES])


def _deliveries() -> Schema:
    always: dict[str, Schema] = {
        "status": _STATUS,
        "deliveredSequence": {
            **_COUNT,
            "description": "The last sequence number that has been dealt with.",
        },
        "lastSequence": {**_COUNT, "description": "The last sequence number of the change feed."},
        "lagChanges": _COUNT,
        "lagSeconds": {"type": "number", "minimum": 0},
        "failures": {**_COUNT, "description": "How many tries have failed since the last one that succeeded."},
        "settlingStudyCount": _COUNT,
        "settlingStudies": {
            "type": "array",
            "items": _object(
                {"studyInstanceUid": {"type": "string"}, "dueTime": _TIME}, ("studyInstanceUid", "dueTime")
            ),
        },
    }
    sometimes: dict[str, Schema] = {
        "reason": {"type": "string", "description": "Why the last try failed, or why it is parked."},
        "lastStatusCode": {"type": "integer"},
        "lastTryTime": _TIME,
        "failingSince": _TIME,
        "nextTryTime": _TIME,
    }
    return _object({**always, **sometimes}, list(always))


def _object(properties: Mapping[str, Schema], required: Any) -> Schema:
    schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema

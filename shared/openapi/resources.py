"""What functions answer: with which status and when, in which media types, and to which parameters."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from shared.dicom.attributes import Level
from shared.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, FRAME_MEDIA_TYPES
from shared.openapi import statuses
from shared.openapi.parameters import (
    ETAG_HEADERS,
    RANGE_HEADERS,
    Parameter,
    change_feed_parameters,
    latest_change_parameters,
    media_type_of,
    operation_results_parameters,
    operations_parameters,
    rendering_parameters,
    search_parameters,
    tag_errors_parameters,
    tag_parameters,
    tags_parameters,
    uri_parameters,
)
from shared.openapi.statuses import Statuses
from shared.settings import Settings
from shared.web.api_versions import ApiVersion
from shared.web.content_negotiation import Offer
from shared.web.http_function import Answers
from shared.web.offers import (
    CHANGES,
    DICOM,
    DOCUMENTS,
    METADATA,
    STORE_RESPONSE,
    bulk_value_offers,
    bulk_values_offers,
    instance_offers,
    rendered_offers,
    several_offers,
)

_RANGES: Final = frozenset({HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})
_TAGS: Final = frozenset({HTTPStatus.NOT_MODIFIED})
_SHOWN_AS_THEY_ARE: Final = (*DOCUMENTS.values(), *(name for name in FRAME_MEDIA_TYPES if name.startswith("video/")))


Parameters = Callable[[Settings, ApiVersion], Sequence[Parameter]]


def _no_parameters(_settings: Settings, _version: ApiVersion) -> Sequence[Parameter]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What a function answers: with which status and when, in which media types, and JSON by which schema.

    `request_schema` is that of the JSON that a request brings, if it does. `bodies` are the error statuses that also
    have such a body, `texts` those that may have a text, and then a Location. `parameters` are its own, besides those
    of its path; `is_negotiated`: also those of representations.
    """

    tag: str
    statuses: Statuses
    media_types: tuple[str, ...] = ()
    schema: str = ""
    request_schema: str = ""
    bodies: frozenset[HTTPStatus] = frozenset()
    texts: frozenset[HTTPStatus] = frozenset()
    parameters: Parameters = _no_parameters
    is_negotiated: bool = True

    @property
    def range_statuses(self) -> frozenset[HTTPStatus]:
        """The statuses of ranges, which only GET has (RFC 9110 14.2); none where there are no ranges."""
        return _RANGES if HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE in self.statuses else frozenset()


def _media_types(offers: Iterable[Offer]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(media_type_of, offers)))


def _retrieved(
    offers: Iterable[Offer],
    parameters: Sequence[Parameter] = (),
    *,
    schema: str = "",
    without: frozenset[HTTPStatus] = frozenset(),
    is_negotiated: bool = True,
) -> Resource:
    has_ranges = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE not in without
    headers = (*(() if without >= _TAGS else ETAG_HEADERS), *(RANGE_HEADERS if has_ranges else ()))
    partial = statuses.RANGE_IS_SENT if has_ranges else statuses.SOME_ARE_SENT
    table = {**statuses.RETRIEVE, HTTPStatus.PARTIAL_CONTENT: partial}
    return Resource(
        tag="Retrieve",
        statuses={status: when for status, when in table.items() if status not in without},
        media_types=_media_types(offers),
        schema=schema,
        parameters=lambda _settings, _version: [*parameters, *headers],
        is_negotiated=is_negotiated,
    )


def _searched(level: Level) -> Resource:
    return Resource(
        tag="Search",
        statuses=statuses.SEARCH,
        media_types=_media_types(METADATA),
        schema="DataSets",
        parameters=lambda settings, _version: search_parameters(level, settings),
    )


def _described(media_type: str) -> Resource:
    return Resource(
        tag="Service",
        statuses=statuses.DESCRIPTION,
        media_types=(media_type,),
        is_negotiated=False,
    )


def _operation(
    answers: Statuses, schema: str, parameters: Parameters = _no_parameters, *, request_schema: str = ""
) -> Resource:
    return Resource(
        tag="Operations",
        statuses=answers,
        media_types=("application/json",),
        schema=schema,
        request_schema=request_schema,
        parameters=parameters,
        is_negotiated=False,
    )


def _health(answers: Statuses) -> Resource:
    return Resource(
        tag="Service",
        statuses=answers,
        media_types=("application/json",),
        schema="Health",
        bodies=frozenset(answers),
        is_negotiated=False,
    )


def _subscribed(answers: Statuses, schema: str = "", request_schema: str = "") -> Resource:
    return Resource(
        tag="Subscriptions",
        statuses=answers,
        media_types=("application/json",) if schema else (),
        schema=schema,
        request_schema=request_schema,
        is_negotiated=False,
    )


def _tags(
    answers: Statuses,
    schema: str = "",
    request_schema: str = "",
    parameters: Callable[[], Sequence[Parameter]] = tuple,
    *,
    texts: frozenset[HTTPStatus] = frozenset(),
) -> Resource:
    return Resource(
        tag="Extended query tags",
        statuses=answers,
        media_types=("application/json",) if schema else (),
        schema=schema,
        request_schema=request_schema,
        texts=texts,
        parameters=lambda _settings, _version: parameters(),
        is_negotiated=False,
    )


_STORE: Final = Resource(
    tag="Store",
    statuses=statuses.STORE,
    media_types=_media_types(STORE_RESPONSE),
    schema="StoreInstancesResponse",
    bodies=frozenset({HTTPStatus.CONFLICT}),
)
_STREAMED: Final = _TAGS | {HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
_UNCOMPRESSED: Final = frozenset({EXPLICIT_VR_LITTLE_ENDIAN})
_SEVERAL: Final = _retrieved(several_offers(_UNCOMPRESSED), without=_STREAMED)
_FRAMES: Final = tuple(Offer(name, True) for name in FRAME_MEDIA_TYPES)
_METADATA: Final = _retrieved(METADATA, schema="DataSets", without=_RANGES)
_RENDERED: Final = _retrieved(
    [offer for shown in (None, *_SHOWN_AS_THEY_ARE) for offer in rendered_offers(shown)], rendering_parameters()
)

RESOURCES: Final[Mapping[Answers, Resource]] = MappingProxyType(
    {
        Answers.STORE: _STORE,
        Answers.INSTANCE: _retrieved(instance_offers(EXPLICIT_VR_LITTLE_ENDIAN)),
        Answers.INSTANCES: _SEVERAL,
        Answers.METADATA: _METADATA,
        Answers.FRAMES: _retrieved([offer for name in FRAME_MEDIA_TYPES for offer in bulk_value_offers(name)]),
        # An encapsulated document has the media type that its instance says.
        Answers.BULK_VALUE: _retrieved(
            [offer for name in (*FRAME_MEDIA_TYPES, "*/*") for offer in bulk_value_offers(name)]
        ),
        Answers.BULK_VALUES: _retrieved(bulk_values_offers(_UNCOMPRESSED), without=_STREAMED),
        Answers.INSTANCE_PIXEL_DATA: _retrieved(_FRAMES, without=_TAGS | _RANGES),
        Answers.PIXEL_DATA: _retrieved(_FRAMES, without=_STREAMED),
        Answers.RENDERED: _RENDERED,
        Answers.THUMBNAIL: _retrieved(rendered_offers(None), rendering_parameters()),
        Answers.URI_SERVICE: _retrieved(
            [Offer(DICOM, False), *(Offer(name, False) for name in _RENDERED.media_types if "multipart" not in name)],
            uri_parameters(),
            is_negotiated=False,
        ),
        Answers.STUDIES_FOUND: _searched(Level.STUDY),
        Answers.SERIES_FOUND: _searched(Level.SERIES),
        Answers.INSTANCES_FOUND: _searched(Level.INSTANCE),
        Answers.DELETE: Resource(tag="Delete", statuses=statuses.DELETE, is_negotiated=False),
        Answers.CHANGES: Resource(
            tag="Change feed",
            statuses=statuses.CHANGES,
            media_types=_media_types(CHANGES),
            schema="Changes",
            parameters=lambda _settings, version: change_feed_parameters(version),
        ),
        Answers.LATEST_CHANGE: Resource(
            tag="Change feed",
            statuses=statuses.LATEST_CHANGE,
            media_types=_media_types(CHANGES),
            schema="LatestChange",
            parameters=lambda _settings, _version: latest_change_parameters(),
        ),
        Answers.TAGS_ADDED: _tags(
            statuses.TAGS_ADDED, "OperationReference", "NewExtendedQueryTags", texts=frozenset({HTTPStatus.CONFLICT})
        ),
        Answers.TAGS: _tags(statuses.TAGS, "ExtendedQueryTags", parameters=tags_parameters),
        Answers.TAG: _tags(statuses.TAG, "ExtendedQueryTag", parameters=tag_parameters),
        Answers.TAG_UPDATED: _tags(
            statuses.TAG_UPDATED, "ExtendedQueryTag", "ExtendedQueryTagUpdate", parameters=tag_parameters
        ),
        Answers.TAG_DELETED: _tags(statuses.TAG_DELETED, parameters=tag_parameters),
        Answers.TAG_ERRORS: _tags(statuses.TAG, "ExtendedQueryTagErrors", parameters=tag_errors_parameters),
        Answers.SUBSCRIBED: _subscribed(statuses.SUBSCRIBED, "NewSubscription", "SubscriptionRequest"),
        Answers.SUBSCRIPTIONS: _subscribed(statuses.SUBSCRIPTIONS, "Subscriptions"),
        Answers.SUBSCRIPTION: _subscribed(statuses.SUBSCRIPTION, "Subscription"),
        Answers.RESTARTED: _subscribed(statuses.RESTARTED, "Subscription", "RestartRequest"),
        Answers.UNSUBSCRIBED: _subscribed(statuses.UNSUBSCRIBED),
        Answers.DELIVERIES: _subscribed(statuses.SUBSCRIPTION, "Deliveries"),
        Answers.OPERATION_STARTED: _operation(
            statuses.OPERATION_STARTED, "OperationReference", request_schema="Verify"
        ),
        Answers.OPERATIONS: _operation(
            statuses.OPERATIONS, "Operations", lambda _settings, _version: operations_parameters()
        ),
        Answers.OPERATION: _operation(statuses.OPERATION, "Operation"),
        Answers.OPERATION_RESULTS: _operation(
            statuses.OPERATION_RESULTS, "Differences", lambda _settings, _version: operation_results_parameters()
        ),
        Answers.OPERATION_CANCELED: _operation(statuses.OPERATION_CANCELED, "Operation"),
        Answers.PREFLIGHT: Resource(tag="Service", statuses=statuses.PREFLIGHT, is_negotiated=False),
        Answers.DESCRIPTION_YAML: _described("application/yaml"),
        Answers.DESCRIPTION_JSON: _described("application/json"),
        Answers.HEALTH: _health(statuses.HEALTH),
        Answers.LIVENESS: _health(statuses.LIVENESS),
    }
)
"""What functions answer, by the key in the table of routes."""

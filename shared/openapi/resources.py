"""What each function answers: when with which status, in which media types, and to which parameters."""

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
    media_type_of,
    rendering_parameters,
    search_parameters,
    uri_parameters,
)
from shared.openapi.statuses import Statuses
from shared.settings import Settings
from shared.web.content_negotiation import Offer
from shared.web.representations import (
    DICOM,
    DOCUMENTS,
    METADATA,
    STORE_RESPONSE,
    bulk_value_offers,
    instance_offers,
    rendered_offers,
    several_offers,
)

RANGES: Final = frozenset({HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})
"""The statuses of ranges, which only GET has (RFC 9110 14.2)."""

_TAGS: Final = frozenset({HTTPStatus.NOT_MODIFIED})
_SHOWN_AS_THEY_ARE: Final = (*DOCUMENTS.values(), *(name for name in FRAME_MEDIA_TYPES if name.startswith("video/")))


def _no_parameters(_settings: Settings) -> Sequence[Parameter]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What a function answers: when with which status, and in which media types, JSON of which schema.

    `bodies` are the statuses with such a body that are no successes. `parameters` are those of its own, beside those
    of its path; `is_negotiated`: also those of representations. `needs_sign_in`: unless its method needs none.
    """

    tag: str
    statuses: Statuses
    media_types: tuple[str, ...] = ()
    schema: str = ""
    bodies: frozenset[HTTPStatus] = frozenset()
    parameters: Callable[[Settings], Sequence[Parameter]] = _no_parameters
    is_negotiated: bool = True
    needs_sign_in: bool = True


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
    headers = (*(() if without >= _TAGS else ETAG_HEADERS), *(() if without >= RANGES else RANGE_HEADERS))
    return Resource(
        tag="Retrieve",
        statuses={status: when for status, when in statuses.RETRIEVE.items() if status not in without},
        media_types=_media_types(offers),
        schema=schema,
        parameters=lambda _settings: [*parameters, *headers],
        is_negotiated=is_negotiated,
    )


def _searched(level: Level) -> Resource:
    return Resource(
        tag="Search",
        statuses=statuses.SEARCH,
        media_types=_media_types(METADATA),
        schema="DataSets",
        parameters=lambda settings: search_parameters(level, settings),
    )


def _described(media_type: str) -> Resource:
    return Resource(
        tag="Service",
        statuses=statuses.DESCRIPTION,
        media_types=(media_type,),
        is_negotiated=False,
        needs_sign_in=False,
    )


def _health(answers: Statuses) -> Resource:
    return Resource(
        tag="Service",
        statuses=answers,
        media_types=("application/json",),
        schema="Health",
        bodies=frozenset(answers),
        is_negotiated=False,
        needs_sign_in=False,
    )


_STORE: Final = Resource(
    tag="Store",
    statuses=statuses.STORE,
    media_types=_media_types(STORE_RESPONSE),
    schema="StoreInstancesResponse",
    bodies=frozenset({HTTPStatus.CONFLICT}),
)
_SEVERAL: Final = _retrieved(several_offers(frozenset({EXPLICIT_VR_LITTLE_ENDIAN})), without=_TAGS | RANGES)
_METADATA: Final = _retrieved(METADATA, schema="DataSets", without=RANGES)
_RENDERED: Final = _retrieved(
    [offer for shown in (None, *_SHOWN_AS_THEY_ARE) for offer in rendered_offers(shown)], rendering_parameters()
)
_THUMBNAIL: Final = _retrieved(rendered_offers(None), rendering_parameters())
_DELETE: Final = Resource(tag="Delete", statuses=statuses.DELETE, is_negotiated=False)

RESOURCES: Final[Mapping[str, Resource]] = MappingProxyType(
    {
        "AnswerPreflight": Resource(tag="Service", statuses=statuses.PREFLIGHT, is_negotiated=False),
        "CheckHealth": _health(statuses.HEALTH),
        "CheckLiveness": _health(statuses.LIVENESS),
        "DeleteInstance": _DELETE,
        "DeleteSeries": _DELETE,
        "DeleteStudy": _DELETE,
        "DescribeApi": _described("application/yaml"),
        "DescribeApiAsJson": _described("application/json"),
        # An encapsulated document comes as what its instance says that it is.
        "RetrieveBulkdata": _retrieved(
            [offer for name in (*FRAME_MEDIA_TYPES, "*/*") for offer in bulk_value_offers(name)]
        ),
        "RetrieveByUri": _retrieved(
            [Offer(DICOM, False), *(Offer(name, False) for name in _RENDERED.media_types if "multipart" not in name)],
            uri_parameters(),
            is_negotiated=False,
        ),
        "RetrieveFrames": _retrieved([offer for name in FRAME_MEDIA_TYPES for offer in bulk_value_offers(name)]),
        "RetrieveFrameThumbnail": _THUMBNAIL,
        "RetrieveInstance": _retrieved(instance_offers(EXPLICIT_VR_LITTLE_ENDIAN)),
        "RetrieveInstanceMetadata": _METADATA,
        "RetrieveInstanceThumbnail": _THUMBNAIL,
        "RetrieveRenderedFrames": _RENDERED,
        "RetrieveRenderedInstance": _RENDERED,
        "RetrieveRenderedSeries": _RENDERED,
        "RetrieveRenderedStudy": _RENDERED,
        "RetrieveSeries": _SEVERAL,
        "RetrieveSeriesMetadata": _METADATA,
        "RetrieveSeriesThumbnail": _THUMBNAIL,
        "RetrieveStudy": _SEVERAL,
        "RetrieveStudyMetadata": _METADATA,
        "RetrieveStudyThumbnail": _THUMBNAIL,
        "SearchInstances": _searched(Level.INSTANCE),
        "SearchSeries": _searched(Level.SERIES),
        "SearchSeriesInstances": _searched(Level.INSTANCE),
        "SearchStudies": _searched(Level.STUDY),
        "SearchStudyInstances": _searched(Level.INSTANCE),
        "SearchStudySeries": _searched(Level.SERIES),
        "StoreInstances": _STORE,
        "StoreStudyInstances": _STORE,
    }
)
"""What each function answers, by its name."""

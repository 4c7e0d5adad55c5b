"""Every HTTP function, one row each. A transaction starts here: its handler is in the file of its family next to this.

Registration, sign-in, preflight, the OpenAPI document, telemetry and the test of the conformance statement read this
table. The routes are those of PS3.18 10.1, below the version of the API, which clients of 2021 leave out.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from shared.web.api_versions import API_NAMES, UNVERSIONED
from shared.web.http_function import Answers, HttpFunction
from shared.web.permissions import NOTHING, Permission
from shared.web.route_templates import match

_STUDIES: Final = "{version}/studies"
_STUDY: Final = _STUDIES + "/{study}"
_SERIES: Final = _STUDY + "/series/{series}"
_INSTANCE: Final = _SERIES + "/instances/{instance}"
_FRAMES: Final = _INSTANCE + "/frames/{frames}"
_OPERATIONS: Final = "{version}/operations"
_OPERATION: Final = _OPERATIONS + "/{operation}"
_TAGS: Final = "{version}/extendedquerytags"
_TAG: Final = _TAGS + "/{tag}"
_SUBSCRIPTIONS: Final = "{version}/subscriptions"
_SUBSCRIPTION: Final = _SUBSCRIPTIONS + "/{subscription}"
_ANY_PATH: Final = "{*path}"

_GET: Final = ("GET",)
_READ: Final = ("GET", "HEAD")
_POST: Final = ("POST",)
_PATCH: Final = ("PATCH",)
_DELETE: Final = ("DELETE",)

_ROWS: Final = (
    # PS3.18 10.5, STOW-RS
    HttpFunction("StoreInstances", _STUDIES, _POST, Permission.WRITE, Answers.STORE),
    HttpFunction("StoreStudyInstances", _STUDY, _POST, Permission.WRITE, Answers.STORE),
    # PS3.18 10.4, WADO-RS
    HttpFunction("RetrieveStudy", _STUDY, _READ, Permission.READ, Answers.INSTANCES),
    HttpFunction("RetrieveSeries", _SERIES, _READ, Permission.READ, Answers.INSTANCES),
    HttpFunction("RetrieveInstance", _INSTANCE, _READ, Permission.READ, Answers.INSTANCE),
    HttpFunction("RetrieveStudyMetadata", _STUDY + "/metadata", _READ, Permission.READ, Answers.METADATA),
    HttpFunction("RetrieveSeriesMetadata", _SERIES + "/metadata", _READ, Permission.READ, Answers.METADATA),
    HttpFunction("RetrieveInstanceMetadata", _INSTANCE + "/metadata", _READ, Permission.READ, Answers.METADATA),
    HttpFunction("RetrieveFrames", _FRAMES, _READ, Permission.READ, Answers.FRAMES),
    # Its name is before that of a single value, which would take its path, too.
    HttpFunction("RetrieveAllInstanceBulkdata", _INSTANCE + "/bulkdata", _READ, Permission.READ, Answers.BULK_VALUES),
    HttpFunction("RetrieveAllSeriesBulkdata", _SERIES + "/bulkdata", _READ, Permission.READ, Answers.BULK_VALUES),
    HttpFunction("RetrieveAllStudyBulkdata", _STUDY + "/bulkdata", _READ, Permission.READ, Answers.BULK_VALUES),
    HttpFunction(
        "RetrieveInstancePixelData", _INSTANCE + "/pixeldata", _READ, Permission.READ, Answers.INSTANCE_PIXEL_DATA
    ),
    HttpFunction("RetrieveSeriesPixelData", _SERIES + "/pixeldata", _READ, Permission.READ, Answers.PIXEL_DATA),
    HttpFunction("RetrieveStudyPixelData", _STUDY + "/pixeldata", _READ, Permission.READ, Answers.PIXEL_DATA),
    HttpFunction("RetrieveBulkdata", _INSTANCE + "/bulkdata/{*path}", _READ, Permission.READ, Answers.BULK_VALUE),
    HttpFunction("RetrieveRenderedStudy", _STUDY + "/rendered", _READ, Permission.READ, Answers.RENDERED),
    HttpFunction("RetrieveRenderedSeries", _SERIES + "/rendered", _READ, Permission.READ, Answers.RENDERED),
    HttpFunction("RetrieveRenderedInstance", _INSTANCE + "/rendered", _READ, Permission.READ, Answers.RENDERED),
    HttpFunction("RetrieveRenderedFrames", _FRAMES + "/rendered", _READ, Permission.READ, Answers.RENDERED),
    HttpFunction("RetrieveStudyThumbnail", _STUDY + "/thumbnail", _READ, Permission.READ, Answers.THUMBNAIL),
    HttpFunction("RetrieveSeriesThumbnail", _SERIES + "/thumbnail", _READ, Permission.READ, Answers.THUMBNAIL),
    HttpFunction("RetrieveInstanceThumbnail", _INSTANCE + "/thumbnail", _READ, Permission.READ, Answers.THUMBNAIL),
    HttpFunction("RetrieveFrameThumbnail", _FRAMES + "/thumbnail", _READ, Permission.READ, Answers.THUMBNAIL),
    # PS3.18 9, WADO-URI
    HttpFunction("RetrieveByUri", "{version}/wado", _READ, Permission.READ, Answers.URI_SERVICE),
    # PS3.18 10.6, QIDO-RS
    HttpFunction("SearchStudies", _STUDIES, _GET, Permission.READ, Answers.STUDIES_FOUND),
    HttpFunction("SearchSeries", "{version}/series", _GET, Permission.READ, Answers.SERIES_FOUND),
    HttpFunction("SearchInstances", "{version}/instances", _GET, Permission.READ, Answers.INSTANCES_FOUND),
    HttpFunction("SearchStudySeries", _STUDY + "/series", _GET, Permission.READ, Answers.SERIES_FOUND),
    HttpFunction("SearchStudyInstances", _STUDY + "/instances", _GET, Permission.READ, Answers.INSTANCES_FOUND),
    HttpFunction("SearchSeriesInstances", _SERIES + "/instances", _GET, Permission.READ, Answers.INSTANCES_FOUND),
    # As Microsoft's client asks
    HttpFunction(
        "SearchInstancesOfSeries",
        "{version}/series/{series}/instances",
        _GET,
        Permission.READ,
        Answers.INSTANCES_FOUND,
    ),
    # Delete, as Microsoft's service has it
    HttpFunction("DeleteStudy", _STUDY, _DELETE, Permission.WRITE, Answers.DELETE),
    HttpFunction("DeleteSeries", _SERIES, _DELETE, Permission.WRITE, Answers.DELETE),
    HttpFunction("DeleteInstance", _INSTANCE, _DELETE, Permission.WRITE, Answers.DELETE),
    # The change feed, as Microsoft's service has it
    HttpFunction("GetChangeFeed", "{version}/changefeed", _READ, Permission.READ, Answers.CHANGES),
    HttpFunction("GetLatestChange", "{version}/changefeed/latest", _READ, Permission.READ, Answers.LATEST_CHANGE),
    # Operations: the state as Microsoft's service has it
    HttpFunction("StartOperation", _OPERATIONS, _POST, Permission.WRITE, Answers.OPERATION_STARTED),
    HttpFunction("ListOperations", _OPERATIONS, _GET, Permission.READ, Answers.OPERATIONS),
    HttpFunction("GetOperation", _OPERATION, _READ, Permission.READ, Answers.OPERATION),
    HttpFunction("GetOperationResults", _OPERATION + "/results", _GET, Permission.READ, Answers.OPERATION_RESULTS),
    HttpFunction("CancelOperation", _OPERATION, _DELETE, Permission.WRITE, Answers.OPERATION_CANCELED),
    # Extended query tags, as Microsoft's service has them
    HttpFunction("AddExtendedQueryTags", _TAGS, _POST, Permission.WRITE, Answers.TAGS_ADDED),
    HttpFunction("ListExtendedQueryTags", _TAGS, _READ, Permission.READ, Answers.TAGS),
    HttpFunction("GetExtendedQueryTag", _TAG, _READ, Permission.READ, Answers.TAG),
    HttpFunction("UpdateExtendedQueryTag", _TAG, _PATCH, Permission.WRITE, Answers.TAG_UPDATED),
    HttpFunction("DeleteExtendedQueryTag", _TAG, _DELETE, Permission.WRITE, Answers.TAG_DELETED),
    HttpFunction("GetExtendedQueryTagErrors", _TAG + "/errors", _READ, Permission.READ, Answers.TAG_ERRORS),
    # Subscriptions: whoever makes one has the service tell others, so all of it is the owner's.
    HttpFunction("CreateSubscription", _SUBSCRIPTIONS, _POST, Permission.WRITE, Answers.SUBSCRIBED),
    HttpFunction("ListSubscriptions", _SUBSCRIPTIONS, _READ, Permission.WRITE, Answers.SUBSCRIPTIONS),
    HttpFunction("GetSubscription", _SUBSCRIPTION, _READ, Permission.WRITE, Answers.SUBSCRIPTION),
    HttpFunction("RestartSubscription", _SUBSCRIPTION, _PATCH, Permission.WRITE, Answers.RESTARTED),
    HttpFunction("DeleteSubscription", _SUBSCRIPTION, _DELETE, Permission.WRITE, Answers.UNSUBSCRIBED),
    HttpFunction("GetDeliveries", _SUBSCRIPTION + "/deliveries", _READ, Permission.WRITE, Answers.DELIVERIES),
    # The service itself
    HttpFunction("AnswerPreflight", _ANY_PATH, ("OPTIONS",), NOTHING, Answers.PREFLIGHT),
    HttpFunction("DescribeApi", "{version}/api.yaml", _READ, NOTHING, Answers.DESCRIPTION_YAML),
    HttpFunction("DescribeApiAsJson", "{version}/api.json", _READ, NOTHING, Answers.DESCRIPTION_JSON),
    HttpFunction("CheckHealth", "health", _READ, NOTHING, Answers.HEALTH, is_probe=True),
    HttpFunction("CheckLiveness", "health/live", _READ, NOTHING, Answers.LIVENESS, is_probe=True),
    # The host tries functions by name, and this one last: it gets what no other takes.
    HttpFunction(
        "ZAnswerOtherPaths",
        _ANY_PATH,
        ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
        NOTHING,
        Answers.OTHER_PATHS,
    ),
)

ROUTES: Final[Mapping[str, HttpFunction]] = MappingProxyType({row.name: row for row in _ROWS})
"""The rows by name."""


def functions_of(path: str) -> list[tuple[HttpFunction, Mapping[str, str]]]:
    """The functions that answer a decoded path, each by its own methods, and the path's parameters; none: no resource.

    `path` has no leading slash. The parameter `version` is UNVERSIONED where the path does not begin with one.
    """
    found = [(row, named) for row, named in _fitting(f"/{path}") if named.get("version", "v1").lower() in API_NAMES]
    unversioned = _fitting(f"/v1/{path}")
    return found or [(row, {**named, "version": UNVERSIONED}) for row, named in unversioned]


def methods_of(path: str) -> list[str]:
    """The methods of a decoded path without leading slash, in alphabetical order; none where there is no resource."""
    found = [row.methods for row, _ in functions_of(path)]
    return sorted({"OPTIONS", *(method for methods in found for method in methods)}) if found else []


def _fitting(path: str) -> Iterator[tuple[HttpFunction, Mapping[str, str]]]:
    for row in sorted(_ROWS, key=lambda row: row.name.upper()):  # as the host tries them
        if row.route != _ANY_PATH and (parameters := match(row.route, path)) is not None:
            yield row, parameters

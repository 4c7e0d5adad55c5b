"""The query of a request for the change feed: Microsoft's parameters, and more in v2. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from shared.dicom.identifiers import is_uid
from shared.errors import BadRequest
from shared.web.api_versions import ApiVersion
from shared.web.query_parameters import number_of, parameters_of

ACTIONS: Final = ("create", "delete")
MAX_NUMBER: Final = 2**63 - 1
DEFAULT_LIMIT: Final[Mapping[ApiVersion, int]] = {"v1": 10, "v2": 100}
MAX_LIMIT: Final[Mapping[ApiVersion, int]] = {"v1": 100, "v2": 200}

_METADATA: Final = "includeMetadata"
_WINDOW: Final = ("offset", "limit", "startTime", "endTime", _METADATA)
_FILTERS: Final = ("action", "sopClassUid", "partitionName")
_NAMES: Final[Mapping[ApiVersion, tuple[str, ...]]] = {"v1": _WINDOW, "v2": (*_WINDOW, "after", *_FILTERS)}


@dataclass(frozen=True, slots=True)
class ChangeFeedQuery:
    """Which changes are asked for, at most `limit`.

    Those after the sequence number `after`; or, where that is None, those from the time `since` on, without the first
    `offset`. Always only those before the time `until`, of an action, a SOP class and a partition; None: of any.
    `is_of_numbers`: at most those of the `limit` sequence numbers that follow, unless there are none (v1).
    """

    limit: int
    after: int | None = None
    offset: int = 0
    since: datetime | None = None
    until: datetime | None = None
    action: str | None = None
    sop_class_uid: str | None = None
    partition_name: str | None = None
    has_metadata: bool = True
    is_of_numbers: bool = False

    @property
    def is_filtered(self) -> bool:
        """Whether changes may be skipped."""
        return (self.action, self.sop_class_uid, self.partition_name) != (None, None, None)


@dataclass(frozen=True, slots=True)
class LatestQuery:
    """The latest change is asked for."""

    has_metadata: bool = True


def parse_change_feed(query_string: str, version: ApiVersion) -> ChangeFeedQuery:
    """Parse the query of a request for the feed; names are read without regard to case.

    In v1, `offset` is a sequence number and times are ignored; in v2, it is how many changes of a window of time are
    skipped. Raises BadRequest, naming the parameter and what it may be.
    """
    given = parameters_of(query_string, _NAMES[version])
    offset = number_of(given, "offset", 0, 0, MAX_NUMBER)
    limit = number_of(given, "limit", DEFAULT_LIMIT[version], 1, MAX_LIMIT[version])
    has_metadata = _has_metadata(given)
    if version == "v1":
        return ChangeFeedQuery(limit, after=offset, has_metadata=has_metadata, is_of_numbers=True)
    after = number_of(given, "after", 0, 0, MAX_NUMBER) if "after" in given else None
    query = ChangeFeedQuery(
        limit,
        after,
        offset,
        _moment(given, "startTime"),
        _moment(given, "endTime"),
        _action(given),
        _uid(given, "sopClassUid"),
        given.get("partitionName"),
        has_metadata,
    )
    _check(query, given)
    return query


def parse_latest(query_string: str) -> LatestQuery:
    """Parse the query of a request for the latest change. Raises BadRequest."""
    return LatestQuery(_has_metadata(parameters_of(query_string, (_METADATA,))))


def following_query(query: ChangeFeedQuery, after: int) -> str:
    """The query string of the same request for the changes after a sequence number, where `query` looked last."""
    asked = {
        "after": after,
        "limit": query.limit,
        "endTime": query.until and _text(query.until),
        "action": query.action,
        "sopClassUid": query.sop_class_uid,
        "partitionName": query.partition_name,
        _METADATA: None if query.has_metadata else "false",
    }
    return urlencode({name: value for name, value in asked.items() if value is not None})


def _has_metadata(given: Mapping[str, str]) -> bool:
    text = given.get(_METADATA, "true").lower()
    if text not in ("true", "false"):
        raise BadRequest(f"The parameter {_METADATA} must be true or false.")
    return text == "true"


def _moment(given: Mapping[str, str], name: str) -> datetime | None:
    """A time of day and year with its zone (ISO 8601), in UTC."""
    if name not in given:
        return None
    try:
        # A plus sign that a client has not encoded is a space by now.
        moment = datetime.fromisoformat(given[name].replace(" ", "+"))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadRequest(
        f"The parameter {name} must be a date and time with a time zone (ISO 8601), such as 2026-01-31T09:30:00Z or "
        "2026-01-31T09:30:00.123+01:00."
    )


def _action(given: Mapping[str, str]) -> str | None:
    action = given.get("action", ACTIONS[0]).lower()
    if action not in ACTIONS:
        raise BadRequest(f"The parameter action must be {' or '.join(ACTIONS)}.")
    return action if "action" in given else None


def _uid(given: Mapping[str, str], name: str) -> str | None:
    if name in given and not is_uid(given[name]):
        raise BadRequest(f"The parameter {name} must be a UID.")
    return given.get(name)


def _check(query: ChangeFeedQuery, given: Mapping[str, str]) -> None:
    if query.since is not None and query.until is not None and query.until <= query.since:
        raise BadRequest("The parameter endTime must be later than startTime.")
    if query.after is not None and not given.keys().isdisjoint(("offset", "startTime")):
        raise BadRequest("The parameter after says where to begin: it cannot be given with offset or startTime.")
    if query.offset and query.is_filtered:
        raise BadRequest(f"The parameter offset counts all changes: with {', '.join(_FILTERS)}, use after instead.")


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")

"""Subscriptions: who is told of which changes, and how far that has come. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.archive.change import Action
from shared.dicom.identifiers import StudyKey


class EventKind(StrEnum):
    """What a subscriber can be told of, in the words of a request."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    STUDY_SETTLED = "studySettled"


KIND_OF_ACTION: Final[Mapping[Action, EventKind]] = {
    Action.CREATE: EventKind.CREATED,
    Action.DELETE: EventKind.DELETED,
}


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a subscriber has asked for, as it stays.

    Events go to `url`, or else to the Event Grid topic `event_grid_topic`; the other one is empty. `service_url` is the
    service's as the request that made it knew it, ``scheme://host/version``. `filter` is a query string of a search;
    empty: everything. A study has settled once nothing of it has changed for `settle`. `secret` signs what is sent to a
    URL, in the form of Standard Webhooks, ``whsec_`` and base64.
    """

    id: str
    url: str
    event_grid_topic: str
    service_url: str
    filter: str
    events: frozenset[EventKind]
    settle: timedelta
    secret: str = field(repr=False)
    max_events_per_batch: int
    created: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a subscription has come: the subscriber has taken everything up to the sequence number `delivered`.

    `reason` says why the last try failed, or why it `is_parked`: nothing is sent until somebody restarts it. `failures`
    counts the tries that failed since the last success, the first one at `failing_since`; the next is at `next_try`.
    `last_status` and `last_try` are of the last request. No study settles before `due`, and a message for that comes at
    `planned`. A run is sending, and nobody else may, until `leased_until`, unless it renews that. None: no such time.
    """

    delivered: int
    is_parked: bool = False
    reason: str = ""
    failures: int = 0
    failing_since: datetime | None = None
    next_try: datetime | None = None
    last_status: int | None = None
    last_try: datetime | None = None
    due: datetime | None = None
    planned: datetime | None = None
    leased_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Settling:
    """A study of which a subscriber is told at `due`, unless it changes before; `sequence` is its last change."""

    study: StudyKey
    due: datetime
    sequence: int

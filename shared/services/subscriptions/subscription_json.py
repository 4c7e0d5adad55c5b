"""Subscriptions, and how far they have come, as JSON. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from shared.archive.subscription import EventKind, Progress, Settling, Subscription
from shared.web.subscription_request import duration_text

MAX_SETTLING_STUDIES: Final = 100
"""How many of the studies that may settle are listed, those that do first."""


def subscription_json(subscription: Subscription, progress: Progress, *, has_secret: bool = False) -> Mapping[str, Any]:
    """A subscription; its secret only goes to who has just made it."""
    return _without_none(
        {
            "id": subscription.id,
            "url": subscription.url or None,
            "eventGridTopic": subscription.event_grid_topic or None,
            "filter": subscription.filter or None,
            "events": [kind.value for kind in EventKind if kind in subscription.events],
            "settle": duration_text(subscription.settle),
            "maxEventsPerBatch": subscription.max_events_per_batch,
            "status": _status(progress),
            "createdTime": _time(subscription.created),
            "deliveredSequence": progress.delivered,
            "secret": (subscription.secret or None) if has_secret else None,
        }
    )


def deliveries_json(
    progress: Progress, last: int, lag_seconds: float, settling: Sequence[Settling]
) -> Mapping[str, Any]:
    """How far a subscription has come, of a feed that ends at `last`, and what keeps it.

    The first change that is not delivered has waited for `lag_seconds`; `settling` are the studies that may settle.
    """
    return _without_none(
        {
            "status": _status(progress),
            "reason": progress.reason or None,
            "lastStatusCode": progress.last_status,
            "lastTryTime": _time(progress.last_try),
            "deliveredSequence": progress.delivered,
            "lastSequence": last,
            "lagChanges": max(last - progress.delivered, 0),
            "lagSeconds": lag_seconds,
            "failures": progress.failures,
            "failingSince": _time(progress.failing_since),
            "nextTryTime": _time(progress.next_try),
            "settlingStudyCount": len(settling),
            "settlingStudies": [
                {"studyInstanceUid": one.study.study_instance_uid, "dueTime": _time(one.due)}
                for one in settling[:MAX_SETTLING_STUDIES]
            ],
        }
    )


def _status(progress: Progress) -> str:
    if progress.is_parked:
        return "parked"
    return "failing" if progress.failures else "active"


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z") if moment else None


def _without_none(members: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in members.items() if value is not None}

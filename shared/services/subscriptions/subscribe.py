"""What requests do with subscriptions: make one, restart it, end it, and see how far it has come."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from shared.archive.subscription import EventKind, Progress, Subscription
from shared.errors import BadRequest, Conflict, NotFound, Unavailable
from shared.search.filters import parse_filter
from shared.services.feed.read import drained_head
from shared.services.subscriptions.deliver import Clock, utc_now
from shared.services.subscriptions.sending import shake_hands
from shared.services.subscriptions.subscription_json import deliveries_json, subscription_json
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.subscription_table import Overtaken, SubscriptionRow
from shared.web.event_targets import AllowedTargets
from shared.web.subscription_request import SECRET_PREFIX, RestartRequest, SubscriptionRequest

MAX_SUBSCRIPTIONS: Final = 100

_SECRET_BYTES: Final = 32
_ATTEMPTS: Final = 5


async def subscribe(
    archive: Archive, settings: Settings, asked: SubscriptionRequest, service_url: str, *, clock: Clock = utc_now
) -> Mapping[str, Any]:
    """Make a subscription, if its target takes events; it is told what happens from now on, or from `asked.after` on.

    Returns it with its secret.

    `service_url` is ``scheme://host/version``. Raises BadRequest, Conflict where there are too many, and Unavailable.
    """
    parse_filter(asked.filter, settings)
    made = Subscription(
        secrets.token_hex(16),
        asked.url,
        asked.event_grid_topic,
        service_url,
        asked.filter,
        frozenset(map(EventKind, asked.events)),
        asked.settle,
        "" if asked.event_grid_topic else asked.secret or _new_secret(),
        asked.max_events_per_batch,
        clock(),
    )
    if len(await archive.subscriptions.read_all()) >= MAX_SUBSCRIPTIONS:
        raise Conflict(f"There are {MAX_SUBSCRIPTIONS} subscriptions already.")
    await shake_hands(AllowedTargets.of(settings.subscription_hosts), made)
    delivered = await _start(archive, asked.after)
    await archive.subscriptions.insert(made, Progress(delivered))
    try:
        await archive.wakes.look_through()
    except Exception:  # perhaps there is no such queue, so that nothing would ever be sent
        await archive.subscriptions.remove(made.id)
        raise
    return subscription_json(made, Progress(delivered), has_secret=True)


async def subscriptions(archive: Archive) -> Sequence[Mapping[str, Any]]:
    """All subscriptions, the oldest first."""
    return [subscription_json(row.subscription, row.progress) for row in await archive.subscriptions.read_all()]


async def subscription(archive: Archive, subscription_id: str) -> Mapping[str, Any]:
    """A subscription. Raises NotFound."""
    row = await _found(archive, subscription_id)
    return subscription_json(row.subscription, row.progress)


async def restart(
    archive: Archive, settings: Settings, subscription_id: str, asked: RestartRequest
) -> Mapping[str, Any]:
    """Have a subscription that is parked, or waits for its next try, go on at once, if its target takes events again.

    Raises NotFound, BadRequest, and Unavailable.
    """
    row = await _found(archive, subscription_id)
    await shake_hands(AllowedTargets.of(settings.subscription_hosts), row.subscription)
    after = None if asked.after is None else await _start(archive, asked.after)
    for _ in range(_ATTEMPTS):
        # Whoever delivers now keeps the lease until it notices, so that no two send at once.
        progress = replace(row.progress, is_parked=False, reason="", failures=0, failing_since=None, next_try=None)
        if after is not None:
            progress = replace(progress, delivered=after)
        try:
            row = await archive.subscriptions.save(row, progress)
        except Overtaken:
            row = await _found(archive, subscription_id)
            continue
        await archive.wakes.look_at(subscription_id)
        return subscription_json(row.subscription, row.progress)
    raise Unavailable("Events are being delivered to the subscription; try again.")


async def unsubscribe(archive: Archive, subscription_id: str) -> None:
    """End a subscription: nothing more is sent, but for what is on its way. Raises NotFound."""
    found = await archive.subscriptions.read(subscription_id)
    await archive.subscriptions.remove(subscription_id)  # also what a removal that broke off has left
    if found is None:
        raise NotFound("There is no such subscription.")


async def deliveries(archive: Archive, subscription_id: str, *, clock: Clock = utc_now) -> Mapping[str, Any]:
    """How far a subscription has come. Raises NotFound."""
    row = await _found(archive, subscription_id)
    last = await archive.feed.read_last()
    settling = await archive.subscriptions.read_settling(subscription_id)
    waiting_since = await _first_stamp(archive, row.progress.delivered, last)
    lag_seconds = max((clock() - waiting_since).total_seconds(), 0) if waiting_since else 0
    return deliveries_json(row.progress, last, lag_seconds, settling)


async def _found(archive: Archive, subscription_id: str) -> SubscriptionRow:
    row = await archive.subscriptions.read(subscription_id)
    if row is None:
        raise NotFound("There is no such subscription.")
    return row


async def _start(archive: Archive, after: int | None) -> int:
    """The sequence number after which a subscription begins. Raises BadRequest for one past the feed."""
    head, _ = await drained_head(archive)
    if after is not None and after > head.last:
        raise BadRequest(f"The member after must be at most {head.last}, where the change feed ends.")
    return head.last if after is None else after


async def _first_stamp(archive: Archive, delivered: int, last: int) -> datetime | None:
    async with aclosing(archive.feed.read_blocks(delivered, last, 1)) as blocks:
        async for block in blocks:
            for entry in block.entries():
                if entry.sequence > delivered:
                    return entry.stamp
    return None


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()

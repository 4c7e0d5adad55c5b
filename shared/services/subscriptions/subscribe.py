"""What requests do with subscriptions: make one, restart it, end it, and see how far it has come."""

import base64
import secrets
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from shared.archive.subscription import EventKind, Progress, Settling, Subscription
from shared.errors import BadRequest, Conflict, NotFound, Unavailable
from shared.search.filters import parse_filter
from shared.services.feed.read import drained_head
from shared.services.subscriptions.deliver import Clock, utc_now
from shared.services.subscriptions.sending import shake_hands
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.subscriptions import Overtaken, SubscriptionRow
from shared.web.event_targets import AllowedTargets
from shared.web.subscription_request import SECRET_PREFIX, RestartRequest, SubscriptionRequest

MAX_SUBSCRIPTIONS: Final = 100

_SECRET_BYTES: Final = 32
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Deliveries:
    """How far a subscription has come: up to `row.progress.delivered`, of a feed that ends at `last`.

    `lag` is how long the first change waits that is not delivered, None where all are; `settling` are the studies that
    may settle.
    """

    row: SubscriptionRow
    last: int
    lag_seconds: float | None
    settling: Sequence[Settling]


async def subscribe(
    archive: Archive, settings: Settings, asked: SubscriptionRequest, service_url: str, *, clock: Clock = utc_now
) -> SubscriptionRow:
    """Make a subscription, if its target takes events; it is told what happens from now on, or from `asked.after` on.

    `service_url` is ``scheme://host/version``. Raises BadRequest, Conflict where there are too many, and Unavailable.
    """
    parse_filter(asked.filter, settings)
    subscriptions = archive.subscriptions
    subscription = Subscription(
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
    if len(await subscriptions.read_all()) >= MAX_SUBSCRIPTIONS:
        raise Conflict(f"There are {MAX_SUBSCRIPTIONS} subscriptions already.")
    await shake_hands(AllowedTargets.of(settings.subscription_hosts), subscription)
    delivered = await _start(archive, asked.after)
    await subscriptions.insert(subscription, Progress(delivered))
    try:
        await archive.wakes.look_through()
    except Unavailable:  # there is no such queue: nothing would ever be sent
        await subscriptions.remove(subscription.id)
        raise
    return await find(archive, subscription.id)


async def find(archive: Archive, subscription_id: str) -> SubscriptionRow:
    """A subscription. Raises NotFound."""
    row = await archive.subscriptions.read(subscription_id)
    if row is None:
        raise NotFound("There is no such subscription.")
    return row


async def restart(archive: Archive, settings: Settings, subscription_id: str, asked: RestartRequest) -> SubscriptionRow:
    """Have a subscription that is parked, or waits for its next try, go on at once, if its target takes events again.

    Raises NotFound, BadRequest, and Unavailable.
    """
    row = await find(archive, subscription_id)
    await shake_hands(AllowedTargets.of(settings.subscription_hosts), row.subscription)
    after = None if asked.after is None else await _start(archive, asked.after)
    for _ in range(_ATTEMPTS):
        before = row.progress
        delivered = before.delivered if after is None else after
        # Whoever delivers now keeps the lease until it notices, so that no two send at once.
        progress = replace(
            Progress(delivered, due=before.due, lease=before.lease, leased_until=before.leased_until),
            last_status=before.last_status,
            last_try=before.last_try,
        )
        try:
            row = await archive.subscriptions.save(row, progress)
        except Overtaken:
            row = await find(archive, subscription_id)
            continue
        await archive.wakes.look_at(subscription_id)
        return row
    raise Unavailable("Events are being delivered to the subscription; try again.")


async def unsubscribe(archive: Archive, subscription_id: str) -> None:
    """End a subscription: nothing more is sent, but for what is on its way. Raises NotFound."""
    found = await archive.subscriptions.read(subscription_id)
    await archive.subscriptions.remove(subscription_id)  # also what a removal that broke off has left
    if found is None:
        raise NotFound("There is no such subscription.")


async def deliveries(archive: Archive, subscription_id: str, *, clock: Clock = utc_now) -> Deliveries:
    """How far a subscription has come. Raises NotFound."""
    row = await find(archive, subscription_id)
    last = await archive.feed.read_last()
    settling = await archive.subscriptions.read_settling(subscription_id)
    waiting_since = await _first_stamp(archive, row.progress.delivered, last)
    lag = max((clock() - waiting_since).total_seconds(), 0) if waiting_since else None
    return Deliveries(row, last, lag, settling)


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

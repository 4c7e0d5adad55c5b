"""A wake: drain the outbox, and have a run deliver to each subscriber that is behind, or is to be told of a study.

While wakes find something to do, each plans the next one, 1, 2 and then 4 seconds later; so do they while a
subscription is so young that other processes may not know of it. A wake that comes while another is planned has nothing
to do: that one begins later, and drains everything that this one stands for. So a busy archive drains every four
seconds, however many processes store.

Storage operations: 1 where another wake is planned; else 1, and 1 query, what is drained, and 2 for the next wake.
"""

import secrets
from datetime import datetime, timedelta
from typing import Final

from shared.archive.subscription import Progress
from shared.services.feed.drain import Drained, drain
from shared.services.subscriptions.delivery_run import Clock, utc_now
from shared.storage.archive import Archive
from shared.storage.parallel import in_parallel
from shared.storage.subscription_table import Overtaken, PlannedWake

_DRAIN_SECONDS: Final = 2
_LONGEST_PAUSE: Final = 4
_LOST: Final = timedelta(minutes=2)  # a planned wake that has not come by then is not relied on
_YOUNG: Final = timedelta(minutes=1)


async def wake(archive: Archive, token: str = "", pause: int = 0, *, clock: Clock = utc_now) -> None:
    """Look through all subscriptions. A planned wake has a `token`, and came after a `pause` in seconds."""
    planned, now = await archive.subscriptions.read_wake(), clock()
    if planned.token not in ("", token) and planned.planned is not None and now - planned.planned < _LOST:
        return
    if token or planned.token:
        # What is committed from here on is not sure to be drained now: it needs another wake.
        planned = await _noted(archive, planned, "", now)
    drained = Drained()
    is_drained = await drain(archive, seconds=_DRAIN_SECONDS, drained=drained)
    rows, end = await archive.subscriptions.read_all(), await archive.feed.read_last()
    waiting = [row for row in rows if is_waiting(row.progress, end, now)]
    ready = [row.subscription.id for row in waiting if not _is_leased(row.progress, now)]
    await in_parallel(map(archive.wakes.look_at, ready))
    is_young = any(row.subscription.created > now - _YOUNG for row in rows)
    if waiting or drained.changes or not is_drained or is_young:
        token, pause = secrets.token_hex(8), min(max(1, 2 * pause), _LONGEST_PAUSE)
        # Sent before it is noted: one that is not noted only does what another has done.
        await archive.wakes.look_through(pause, token)
        await _noted(archive, planned, token, clock())


async def wake_if_needed(archive: Archive, *, clock: Clock = utc_now) -> None:
    """Wake where a subscriber is behind, or is to be told of a study, whatever message has been lost."""
    rows, end = await archive.subscriptions.read_all(), await archive.feed.read_last()
    if any(is_waiting(row.progress, end, clock()) for row in rows):
        await archive.wakes.look_through()


async def _noted(archive: Archive, planned: PlannedWake, token: str, now: datetime) -> PlannedWake:
    """Note that a wake is planned, or none is; return what is noted then, by another where that was quicker."""
    try:
        return await archive.subscriptions.write_wake(planned, token, now)
    except Overtaken:
        return await archive.subscriptions.read_wake()


def is_waiting(progress: Progress, end: int, now: datetime) -> bool:
    """Whether there is something to be sent now, given the feed's last sequence number."""
    if progress.is_parked or (progress.next_try is not None and progress.next_try > now):
        return False
    return progress.delivered < end or (progress.due is not None and progress.due <= now)


def _is_leased(progress: Progress, now: datetime) -> bool:
    return progress.leased_until is not None and progress.leased_until > now

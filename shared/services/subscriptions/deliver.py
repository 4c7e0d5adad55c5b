"""Delivering the change feed to a subscriber: in its order, one request after another, at least once.

A run takes the subscription's lease, reads on from its cursor, and saves the cursor behind what the subscriber has
taken. The row's ETag fences it: a run that was overtaken cannot save, and stops. It may die anywhere: the next run
repeats what was sent since the last save, and loses nothing, as the feed keeps everything.

Where the subscriber fails, nothing after that is sent, and a message has it tried again later; for a week, then it is
parked. At the end of the feed, studies of which nothing has changed for a while have settled, which is told as well;
before it, at each save, those that had by the time of the change that the run has come to.

Storage operations of a run that finds nothing: 2. Else 1 more for the lease, 1 for each 50 events or 5 seconds, and 1
for each page of 200 changes; with a filter, 1 for each study on the page.
"""

from datetime import timedelta
from typing import Final

from shared.services.subscriptions.delivery_run import LEASE, Clock, DeliveryRun, utc_now
from shared.services.subscriptions.targets import open_targets
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.subscription_table import Overtaken
from shared.web.event_targets import AllowedTargets

_CLOCKS_DIFFER: Final = timedelta(seconds=5)
_JUST_RENEWED: Final = timedelta(seconds=10)


async def deliver(archive: Archive, settings: Settings, subscription_id: str, *, clock: Clock = utc_now) -> None:
    """Send a subscriber what is due, for about four minutes; then, or later, a message has the next run go on.

    Does nothing where there is no such subscription, where it is parked, where it has come to the feed's end, and where
    its next try, which has a message of its own, is not due.
    """
    row = await archive.subscriptions.read(subscription_id)
    if row is None or row.progress.is_parked:
        return
    progress, now = row.progress, clock()
    if progress.leased_until is not None and progress.leased_until > now:
        # Who has just renewed it is alive, and leaves nothing: of many messages not each has to come again and again.
        if progress.leased_until <= now + LEASE - _JUST_RENEWED:
            await archive.wakes.look_at_when(subscription_id, progress.leased_until, now)
        return
    not_before = progress.next_try
    if (not_before is None or not_before <= now) and progress.delivered >= await archive.feed.read_last():
        if progress.due is None:
            return
        not_before = progress.due
    if not_before is not None and not_before > now:
        if not_before <= now + _CLOCKS_DIFFER:  # this is the message for then, and who sent it was ahead
            await archive.wakes.look_at_when(subscription_id, not_before, now)
        return
    allowed = AllowedTargets.of(settings.subscription_hosts)
    async with open_targets(allowed) as targets:
        run = DeliveryRun(archive, settings, allowed, targets, row, clock)
        try:
            await run.work()
        except Overtaken:
            await run.give_way()

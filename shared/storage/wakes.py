"""Waking the function that tells subscribers of changes, by a message, soon after a commit.

One message stands for all commits that the journal led to before it can be seen: so a process sends at most one a
second, and none while nobody subscribes, which it looks up at most every 30 seconds. A wake that is lost delays events
until the next one, or until maintenance: it never loses any.
"""

import asyncio
import logging
import time
from datetime import datetime
from typing import Any, Final

from azure.data.tables.aio import TableClient

from shared.failures import described
from shared.storage.queues import QueueName, Queues
from shared.storage.subscription_table import Subscriptions

WAKE_SECONDS: Final = 1
"""How long after it is sent a wake can be seen."""

_KNOWN_SECONDS: Final = 30  # how long a process believes that somebody subscribes, or nobody
_SEND_SECONDS: Final = 2  # a request waits no longer for it

_logger = logging.getLogger(__name__)


class Wakes:
    """Sends messages to the queue of deliveries, and keeps what this process knows of them."""

    def __init__(self, table: TableClient, queues: Queues) -> None:
        self.subscriptions = Subscriptions(table)
        self._queues = queues
        self._is_needed = False
        self._known_until = self._sent_until = float("-inf")

    async def send(self) -> None:
        """Wake, unless nobody subscribes or a wake is on its way. Raises nothing: whoever committed has succeeded.

        Storage operations: mostly none; 1 where a second has gone by since the last wake, 1 more every 30 seconds.
        """
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                if await self._somebody_subscribes() and time.monotonic() >= self._sent_until:
                    # Before it is sent: what is committed meanwhile is before it can be seen, too.
                    self._sent_until = time.monotonic() + WAKE_SECONDS
                    await self.look_through()
        except Exception as error:  # noqa: BLE001 -- it is logged, without its message; maintenance wakes, too
            _logger.warning("No subscriber is told yet of what was committed: %s", described(error))

    async def look_through(self, seconds: int = WAKE_SECONDS, token: str = "") -> None:
        """Have a run look through all subscriptions, in so many seconds; `token` is that of a planned wake."""
        await self._deliver({"wake": token, "pause": seconds} if token else {}, seconds)

    async def look_at(self, subscription_id: str, seconds: float = 0) -> None:
        """Have a run look at one subscription, in so many seconds."""
        await self._deliver({"subscription": subscription_id}, seconds)

    async def look_at_when(self, subscription_id: str, when: datetime, now: datetime) -> None:
        """Have a run look at one subscription at a time, or just after it."""
        await self.look_at(subscription_id, max((when - now).total_seconds(), 0) + 1)

    async def _deliver(self, message: dict[str, Any], seconds: float) -> None:
        await self._queues.send(QueueName.DELIVERIES, message, visible_after_seconds=round(seconds))

    async def _somebody_subscribes(self) -> bool:
        if time.monotonic() >= self._known_until:
            self._known_until = time.monotonic() + _KNOWN_SECONDS
            self._is_needed = True  # also where there is no answer
            self._is_needed = await self.subscriptions.has_any()
        return self._is_needed

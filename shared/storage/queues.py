"""The queues of the archive's account: a message makes the platform run a function, soon after it becomes visible.

Delivered at least once, perhaps twice, in no order. Messages hold no names of patients: whoever may read queues sees
them.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.errors import Unavailable

if TYPE_CHECKING:
    from azure.storage.queue.aio import QueueServiceClient

_NEVER_EXPIRES: Final = -1
NO_QUEUES: Final = "The archive has no queues: whoever runs the service has to provision it again."


OpenQueues = Callable[["type[QueueServiceClient]"], "QueueServiceClient"]
"""Makes a client of an account's queues, given the SDK's class of it, which is imported late."""


class QueueName(StrEnum):
    """The queues; each has another with `-poison` behind its name, for messages that failed five times."""

    OPERATIONS = "operations"
    DELIVERIES = "deliveries"


class Queues:
    """Sends messages. The SDK is imported, and the service asked, when the first one is sent."""

    def __init__(self, open_client: OpenQueues | None, create: bool = False) -> None:
        self._open_client = open_client
        self._create = create
        self._client: QueueServiceClient | None = None
        self._existing: set[QueueName] = set()

    @property
    def is_available(self) -> bool:
        """Whether the settings name queues."""
        return self._open_client is not None

    async def send(self, queue: QueueName, message: Mapping[str, Any], *, visible_after_seconds: int = 0) -> None:
        """Send a JSON object of at most 64 KiB, which stays until a function has handled it.

        Raises Unavailable where there is no such queue.
        """
        client = self._opened().get_queue_client(queue)
        if self._create and queue not in self._existing:
            with suppress(ResourceExistsError):
                await client.create_queue()
        try:
            await client.send_message(
                json.dumps(message, separators=(",", ":")),
                visibility_timeout=visible_after_seconds,
                time_to_live=_NEVER_EXPIRES,
            )
        except ResourceNotFoundError:
            raise Unavailable(NO_QUEUES) from None
        self._existing.add(queue)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    def _opened(self) -> "QueueServiceClient":
        if self._open_client is None:
            raise Unavailable(NO_QUEUES)
        if self._client is None:
            from azure.storage.queue.aio import QueueServiceClient  # few requests need it

            self._client = self._open_client(QueueServiceClient)
        return self._client

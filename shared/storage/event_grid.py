"""Event Grid: publishing to an operator's topic, signed in by identity."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import AzureError, HttpResponseError

from shared.storage.transport import WatchedTransport

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.eventgrid.aio import EventGridPublisherClient

# Whoever publishes tries again by itself, hours later if need be.
_CLIENT_OPTIONS: Final[dict[str, Any]] = {"retry_total": 0, "permit_redirects": False}
_TRANSPORT_OPTIONS: Final[dict[str, Any]] = {"connection_timeout": 10, "read_timeout": 20}


@dataclass(frozen=True, slots=True)
class Published:
    """What Event Grid answered: its status, None where there is no answer, and its header Retry-After, if any."""

    status: int | None
    retry_after: str = ""


class EventGrid:
    """The topics that a process publishes to. The SDK is imported, and the identity opened, at the first event."""

    def __init__(self, open_identity: "Callable[[], AsyncTokenCredential]") -> None:
        self._open_identity = open_identity
        self._identity: AsyncTokenCredential | None = None
        self._topics: dict[str, EventGridPublisherClient] = {}

    async def publish(self, topic: str, events: Sequence[Mapping[str, Any]]) -> Published:
        """Publish CloudEvents, all or none, to a topic given by its endpoint."""
        try:
            await self._topic(topic).send([dict(event) for event in events])
        except HttpResponseError as error:
            headers = getattr(error.response, "headers", None) or {}
            return Published(error.status_code, headers.get("Retry-After", ""))
        except AzureError:
            return Published(None)
        return Published(HTTPStatus.OK)

    async def close(self) -> None:
        """Close the connections."""
        for client in self._topics.values():
            await client.close()
        if self._identity is not None:
            await self._identity.close()

    def _topic(self, topic: str) -> "EventGridPublisherClient":
        from azure.eventgrid.aio import EventGridPublisherClient  # few archives have a topic

        if self._identity is None:
            self._identity = self._open_identity()
        if topic not in self._topics:
            transport = WatchedTransport(**_TRANSPORT_OPTIONS)
            options = {"transport": transport, **_CLIENT_OPTIONS}
            self._topics[topic] = EventGridPublisherClient(topic, self._identity, **options)
        return self._topics[topic]

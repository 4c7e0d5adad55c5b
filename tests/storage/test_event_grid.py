"""Publishing to Event Grid, up to the connection."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Self

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.core.pipeline.transport import AsyncHttpTransport

from shared.storage import event_grid
from shared.storage.event_grid import EventGrid, Published

TOPIC = "https://dicom.westeurope-1.eventgrid.azure.net/api/events"
EVENTS = [
    {
        "specversion": "1.0",
        "id": str(number),
        "source": "https://a/v2",
        "type": "t",
        "subject": "s",
        "data": {"n": number},
    }
    for number in range(2)
]


class Identity:
    """Signs in, unless it cannot."""

    def __init__(self, *, can: bool = True) -> None:
        self.is_open, self._can = True, can

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        assert scopes == ("https://eventgrid.azure.net/.default",)
        if not self._can:
            raise ClientAuthenticationError("no")
        return AccessToken("token", 2**40)

    async def close(self) -> None:
        self.is_open = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Transport(AsyncHttpTransport):  # type: ignore[type-arg]
    """Answers each request with a status."""

    def __init__(self, status: int | None, headers: Mapping[str, str]) -> None:
        self.requests: list[Any] = []
        self._answer = SimpleNamespace(status_code=status, headers=headers, reason="", content_type="application/json")

    async def send(self, request: Any, **_: Any) -> Any:
        self.requests.append(request)
        if self._answer.status_code is None:
            raise ServiceRequestError("refused")
        return SimpleNamespace(
            **vars(self._answer), request=request, body=lambda: b"", text=lambda *_: "", internal_response=None
        )

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def sleep(self, duration: float) -> None:
        raise AssertionError("it waits for another try")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "headers", "published"),
    [
        (200, {}, Published(200)),
        (503, {"Retry-After": "30"}, Published(503, "30")),
        (401, {}, Published(401)),
        (302, {"Location": "https://evil.net/"}, Published(302)),
        (None, {}, Published(None)),
    ],
)
async def test_what_it_answers(
    monkeypatch: pytest.MonkeyPatch, status: int | None, headers: dict[str, str], published: Published
) -> None:
    transport, identity = Transport(status, headers), Identity()
    monkeypatch.setattr(event_grid, "WatchedTransport", lambda **_: transport)
    grid = EventGrid(lambda: identity)
    assert await grid.publish(TOPIC, EVENTS) == published
    (request,) = transport.requests
    assert request.url.startswith(TOPIC)
    assert request.headers["Authorization"] == "Bearer token"
    assert request.headers["Content-Type"].startswith("application/cloudevents-batch+json")
    assert json.loads(request.data) == EVENTS
    await grid.close()
    assert not identity.is_open


async def test_who_cannot_sign_in_publishes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = Transport(200, {})
    monkeypatch.setattr(event_grid, "WatchedTransport", lambda **_: transport)
    grid = EventGrid(lambda: Identity(can=False))
    assert (await grid.publish(TOPIC, EVENTS)).status is None
    assert transport.requests == []
    await grid.close()

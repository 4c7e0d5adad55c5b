"""A receiver of events, and deliveries driven by hand: the queue's messages are kept, and handled when asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from shared.services.subscriptions.deliver import deliver
from shared.services.subscriptions.subscribe import subscribe
from shared.services.subscriptions.wake import wake
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.queues import QueueName
from shared.web.subscription_request import parse_subscription
from tests.support.http_server import http_server

SERVICE = "https://dicom.example.org/v2"
TAKEN = 200


@dataclass
class Received:
    """A request that a receiver got."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        read = json.loads(self.body)
        return read if isinstance(read, list) else [read]


@dataclass
class Receiver:
    """A subscriber's server: `requests` are those with events, `answer` says with which status each is answered."""

    url: str = ""
    answer: Callable[[int], int] = lambda _: TAKEN
    headers: dict[str, str] = field(default_factory=dict)
    allows: str | None = "*"
    requests: list[Received] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    pause_seconds: float = 0
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "OPTIONS":
            self.origins.append(request.headers["WebHook-Request-Origin"])
            headers = {"WebHook-Allowed-Origin": self.allows} if self.allows else {}
            return web.Response(status=200 if self.allows else 405, headers=headers)
        received = Received(dict(request.headers), await request.read())
        self.requests.append(received)
        self.is_asked.set()
        if self.pause_seconds:
            await asyncio.sleep(self.pause_seconds)
        status = self.answer(len(self.requests))
        if 200 <= status < 300:
            self.taken += received.events
        return web.Response(status=status, headers=self.headers)

    def sequences(self, kind: str = "DicomImage") -> list[int]:
        """The sequence numbers of the events that were taken, of types that hold `kind`."""
        return [event["data"]["sequenceNumber"] for event in self.taken if kind in event["type"]]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that takes everything, until told otherwise."""
    receiver = Receiver()
    async with http_server("/events", receiver.handle) as url:
        receiver.url = f"{url}/events"
        yield receiver


@dataclass
class Deliveries:
    """What runs for an archive's messages, which it has in the place of the queue; time only passes when told."""

    archive: Archive
    settings: Settings
    waiting: list[tuple[datetime, Mapping[str, Any]]] = field(default_factory=list)
    passed: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.passed

    async def send(self, queue: QueueName, message: Mapping[str, Any], *, visible_after_seconds: int = 0) -> None:
        assert queue is QueueName.DELIVERIES
        assert visible_after_seconds <= timedelta(days=7).total_seconds()
        self.waiting.append((self.now() + timedelta(seconds=visible_after_seconds), message))

    async def run(self, message: Mapping[str, Any], archive: Archive | None = None) -> None:
        archive = archive or self.archive
        if "subscription" in message:
            await deliver(archive, self.settings, message["subscription"], clock=self.now)
        else:
            await wake(archive, message.get("wake", ""), message.get("pause", 0), clock=self.now)

    async def after(self, passed: timedelta) -> None:
        """Let time pass, and handle every message that it brings, each at its own time."""
        until = self.passed + passed
        for _ in range(5000):
            self.waiting.sort(key=lambda one: one[0])
            if not self.waiting or self.waiting[0][0] > datetime.now(UTC) + until:
                self.passed = until
                return
            when, message = self.waiting.pop(0)
            self.passed = max(self.passed, when - datetime.now(UTC))
            await self.run(message)
        raise AssertionError("messages never end")

    async def stamp_from_now(self) -> None:
        """Have later changes be stamped from this time on, although the real one is earlier."""
        await self.archive.feed.raise_floor(await self.archive.feed.read_open_head(), self.now())

    async def wake(self) -> None:
        """What a commit has happen, and all that follows within seconds."""
        self.waiting.append((self.now(), {}))
        await self.after(timedelta(seconds=9))

    async def subscribe(self, receiver: Receiver, **asked: Any) -> str:
        """The id of a new subscription, which is an hour old: its wakes end where there is nothing to do."""
        body = json.dumps({"url": receiver.url, "events": ["created", "deleted"], **asked}).encode()
        made = await subscribe(self.archive, self.settings, parse_subscription(body), SERVICE, clock=self.now)
        row = await self.archive.subscriptions.read(made["id"])
        assert row is not None
        older = replace(row.subscription, created=row.subscription.created - timedelta(hours=1))
        await self.archive.subscriptions.save(replace(row, subscription=older), row.progress)
        return str(made["id"])

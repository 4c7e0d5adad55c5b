"""Storage that a process dies on, or that fails now and then: transports for the SDKs' clients.

An operation is one HTTP request, reads included: a batch of rows or blobs is one. Transports lie
beneath the SDKs' retries, so what is retried meets them again. (The SDKs' `per_retry_policies` do not work here: they
reach neither the blob clients nor the clients of single tables.)
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from enum import Enum
from itertools import count
from random import Random
from typing import Any, Final

import pytest
from aiohttp import web
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline.transport import AioHttpTransport

from shared.settings import Settings
from shared.storage import account
from shared.storage.archive import Archive
from tests.support.http_server import http_server
from tests.support.storage_operations import operation_of

BATCH: Final = "POST catalog"
"""The operation by which instances are entered or removed."""


class Died(BaseException):
    """The process is dead: not even its clean-up happens."""


before_or_after = pytest.mark.parametrize(
    "is_done", [pytest.param(False, marks=pytest.mark.long), True], ids=["before", "after"]
)
"""Ends the process at an operation before it is sent, or after it was carried out.

Where operations follow one another, before one is after the one before it: so the first is left to the night.
"""


class StopAt(AioHttpTransport):  # type: ignore[misc] # the SDK exports it untyped
    """Ends the process at an operation: it is not sent, or is carried out and never answered.

    `operation` is its number, counted from 1, or what it is (see `operation_of`). From then on nothing is sent, and
    nothing that was under way is answered.
    """

    def __init__(self, operation: int | str, *, is_done: bool) -> None:
        super().__init__()
        self.has_died = False
        self._count = 0
        self._operation = operation
        self._is_done = is_done

    async def send(self, request: Any, **options: Any) -> Any:
        self._check_alive()
        self._count += 1
        if self._operation in (self._count, operation_of(request)):
            self.has_died = True
            if self._is_done:
                await super().send(request, **{**options, "stream": False})
        else:
            response = await super().send(request, **options)
            if not self.has_died:
                return response
            response.internal_response.close()
        raise Died

    def _check_alive(self) -> None:
        if self.has_died:
            raise Died


class Fault(Enum):
    """What may happen to an operation: refused with a status, or one of these."""

    TOO_MANY_REQUESTS = 429
    FAILING = 500
    BUSY = 503
    NOT_SENT = "not sent"
    ANSWER_LOST = "carried out, and then the connection was reset"
    TIMED_OUT = "carried out, and answered 500 all the same, as OperationTimedOut may be"
    SLOW = "carried out late"


class Faults(AioHttpTransport):  # type: ignore[misc] # the SDK exports it untyped
    """Does to each operation what `next_fault` says; None: nothing. `seen` are the faults so far.

    `refusing_url` leads to a server from `refusing_server`.
    """

    def __init__(self, next_fault: Callable[[], Fault | None], refusing_url: str, *, delay_seconds: float = 2) -> None:
        super().__init__()
        self.seen: list[Fault] = []
        self._next_fault = next_fault
        self._refusing_url = refusing_url
        self._delay_seconds = delay_seconds

    async def send(self, request: Any, **options: Any) -> Any:
        fault = self._next_fault()
        if fault is None:
            return await super().send(request, **options)
        self.seen.append(fault)
        match fault:
            case Fault.NOT_SENT:
                raise ServiceRequestError("Connection refused")
            case Fault.ANSWER_LOST:
                await super().send(request, **{**options, "stream": False})
                # What the SDK raises for a connection that is reset while it waits.
                raise ServiceRequestError("Connection reset by peer")
            case Fault.TIMED_OUT:
                await super().send(request, **{**options, "stream": False})
                return await self._refuse(500, request, options)
            case Fault.SLOW:
                await asyncio.sleep(self._delay_seconds)
                return await super().send(request, **options)
            case _:
                return await self._refuse(int(fault.value), request, options)

    async def _refuse(self, status: int, request: Any, options: dict[str, Any]) -> Any:
        url = request.url
        request.url = f"{self._refusing_url}/{status}"
        try:
            return await super().send(request, **options)
        finally:
            request.url = url


def some_faults(random: Random, rate: float) -> Callable[[], Fault | None]:
    """A share `rate` of operations fails, in each way equally often."""
    return lambda: random.choice(list(Fault)) if random.random() < rate else None


def fault_at(operation: int, fault: Fault) -> Callable[[], Fault | None]:
    """Only the n-th operation fails, counted from 1."""
    numbers = count(1)
    return lambda: fault if next(numbers) == operation else None


@asynccontextmanager
async def refusing_server() -> AsyncIterator[str]:
    """The URL of a server that answers a request to ``/{status}`` with that status, in the words of Azure's storage."""
    codes = {429: "TooManyRequests", 500: "OperationTimedOut", 503: "ServerBusy"}

    async def refuse(request: web.Request) -> web.Response:
        await request.read()
        status = int(request.match_info["status"])
        code = codes[status]
        if "json" in request.headers.get("Accept", ""):
            problem = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": "Try again."}}}
            return web.json_response(problem, status=status)
        text = f"<?xml version='1.0' encoding='utf-8'?><Error><Code>{code}</Code><Message>Try again.</Message></Error>"
        headers = {"x-ms-error-code": code}
        return web.Response(text=text, status=status, content_type="application/xml", headers=headers)

    async with http_server("/{status}", refuse) as url:
        yield url


@contextmanager
def clients_through(
    transport: AioHttpTransport, monkeypatch: pytest.MonkeyPatch, *, retries: int = 4
) -> Iterator[None]:
    """The operations of clients that are made meanwhile all go through `transport`, retried without waiting."""
    options = {
        "transport": transport,
        "retry_total": retries,
        "initial_backoff": 0,
        "increment_base": 0,
        "random_jitter_range": 0,
        "retry_backoff_factor": 0,
    }
    with monkeypatch.context() as patched:
        for name, value in options.items():
            patched.setitem(account._CLIENT_OPTIONS, name, value)
        yield


@asynccontextmanager
async def archive_through(
    transport: AioHttpTransport, monkeypatch: pytest.MonkeyPatch, settings: Settings, *, retries: int = 4
) -> AsyncIterator[Archive]:
    """A separate archive, whose operations all go through `transport`, retried without waiting."""
    with clients_through(transport, monkeypatch, retries=retries):
        opened = await Archive.open(replace(settings, create_storage=False))
        if opened.queues.is_available:
            opened.queues._opened()  # whose client is else made when the first message is sent
    try:
        yield opened
    finally:
        await opened.close()


async def die_at(
    transport: StopAt,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    request: Callable[[Archive], Awaitable[object]],
) -> bool:
    """Run a request, to the end of all its tasks, in a process that `transport` ends; return whether it died."""
    asyncio.get_running_loop().set_exception_handler(_say_unless_dead)
    before = asyncio.all_tasks()
    async with archive_through(transport, monkeypatch, settings) as mortal:
        with suppress(Died):
            await request(mortal)
        while others := asyncio.all_tasks() - before:
            await asyncio.gather(*others, return_exceptions=True)
    return transport.has_died


def _say_unless_dead(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A dead process says nothing of the tasks that it has not waited for, whenever they are collected."""
    if not isinstance(context.get("exception"), Died):
        loop.default_exception_handler(context)

"""The connections of processes to simulated storage: where a schedule decides what becomes of an operation."""

import asyncio
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict

from shared.storage.transport import WatchedTransport
from tests.simulation.event_loop import SimulatedLoop
from tests.simulation.schedule import CLIENT_TIMEOUT_SECONDS, KILLS, Fault, Schedule
from tests.simulation.storage import SimulatedStorage
from tests.support.storage_messages import Answer, Request, StorageError

_REFUSALS: Final = {
    Fault.TOO_MANY_REQUESTS: StorageError(429, "TooManyRequests"),
    Fault.BUSY: StorageError(503, "ServerBusy"),
    Fault.FAILED: StorageError(500, "InternalError"),
    Fault.FAILED_AFTER: StorageError(500, "OperationTimedOut"),
}
_NOT_CARRIED_OUT: Final = (Fault.TOO_MANY_REQUESTS, Fault.BUSY, Fault.FAILED, Fault.LOST)
_CATALOG_BATCH: Final = b".net/catalog"  # the only operation that is sent without the SDK's retries
_CONNECTION: Final = ConnectionKey("storage", 80, False, True, None, None, None)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all processes of a run share."""

    loop: SimulatedLoop
    schedule: Schedule
    storage: SimulatedStorage


def body_of(data: Any) -> bytes:
    """The body of a request, as the SDKs give it to aiohttp's session."""
    if data is None:
        return b""
    return data.encode() if isinstance(data, str) else bytes(data)


class Connection:
    """What a process sends to storage goes through here: in place of aiohttp's session."""

    auto_decompress = False

    def __init__(self, shared: Surroundings, name: str, die: Callable[[], None]) -> None:
        self._shared = shared
        self._name = name
        self._die = die

    async def __aenter__(self) -> "Connection":
        return self

    async def close(self) -> None:
        """As the session's."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], data: Any = None, **_: Any
    ) -> "Response":
        """Send a request, as the session's; what happens to it, the schedule says."""
        body = body_of(data)
        request = Request.of(method, url, headers, body)
        service = url.split(".")[1]
        schedule, loop = self._shared.schedule, self._shared.loop
        fault = schedule.fault(is_repeated=_CATALOG_BATCH not in body)
        latency = schedule.latency(fault)
        if fault is Fault.NOT_SENT:
            self._note(request, fault.value)
            await asyncio.sleep(latency.there_seconds)
            raise aiohttp.ClientConnectorError(_CONNECTION, ConnectionRefusedError("Connection refused"))
        answered: asyncio.Future[Response] = loop.create_future()

        def arrive() -> None:
            answer = self._carry_out(service, request, fault)
            self._note(request, answer.status, fault.value if fault else "")
            if fault is Fault.KILL_AFTER:
                self._die()
            loop.call_later(latency.back_seconds, _settle, answered, answer, fault, context=Context())

        if fault in KILLS and fault is not Fault.KILL_AFTER:
            self._note(request, fault.value)
            self._die()
        if fault is not Fault.KILL_BEFORE:
            # In no process' context: storage goes on when the process that asked is dead.
            loop.call_later(latency.there_seconds, arrive, context=Context())
        if fault in (Fault.LATE, Fault.ANSWER_LATE):
            loop.call_later(CLIENT_TIMEOUT_SECONDS, _time_out, answered)
        return await answered

    def _carry_out(self, service: str, request: Request, fault: Fault | None) -> Answer:
        """What a service answers; a fault may keep it from carrying out the request."""
        answer = Answer(0) if fault in _NOT_CARRIED_OUT else self._shared.storage.answer(service, request)
        if fault is None or fault not in _REFUSALS:
            return answer
        refusal = _REFUSALS[fault]
        return refusal.as_json() if service == "table" else refusal.as_xml()

    def _note(self, request: Request, *what: object) -> None:
        self._shared.schedule.note(self._shared.loop.time(), self._name, request, *what)


def _settle(answered: "asyncio.Future[Response]", answer: Answer, fault: Fault | None) -> None:
    if answered.done():
        return
    if fault in (Fault.LOST, Fault.ANSWER_LOST):
        answered.set_exception(aiohttp.ServerDisconnectedError())
    else:
        answered.set_result(Response(answer, is_cut=fault is Fault.ANSWER_CUT))


def _time_out(answered: "asyncio.Future[Response]") -> None:
    if not answered.done():
        answered.set_exception(aiohttp.SocketTimeoutError("Timeout on reading data from socket"))


class Response:
    """An answer that arrives, in place of aiohttp's, whole or cut."""

    def __init__(self, answer: Answer, *, is_cut: bool = False) -> None:
        self.status = answer.status
        self.reason = answer.reason
        self.headers = CIMultiDict(answer.headers)
        self.headers.setdefault("Content-Length", str(len(answer.body)))
        self.content = self
        self._left = answer.body[: len(answer.body) // 2] if is_cut else answer.body
        self._is_cut = is_cut and bool(answer.body)

    async def read(self, most: int = -1) -> bytes:
        """The next bytes, at most so many; all that are left by default."""
        if self._is_cut and (most < 0 or not self._left):
            raise aiohttp.ClientPayloadError("Response payload is not completed")
        read = self._left if most < 0 else self._left[:most]
        self._left = self._left[len(read) :]
        return read

    def close(self) -> None:
        """As aiohttp's."""


class SimulatedTransport(WatchedTransport):
    """The transport of the SDKs' clients, over a connection to simulated storage in place of aiohttp's session."""

    def __init__(self, connection: Any, **options: Any) -> None:
        super().__init__(**options)
        self._is_new = False
        self.session = connection

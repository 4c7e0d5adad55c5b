"""What every request is seen by: a line in the log, with what it took, and a span in Application Insights.

Both say which function was asked, not which URL: paths may hold anything, and queries hold patients' names.
"""

import logging
import re
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache, wraps
from http import HTTPStatus
from typing import Final
from uuid import uuid4

import azure.functions as func
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from functions.edge import telemetry
from shared.dicom.identifiers import is_uid
from shared.failures import described
from shared.storage.storage_use import StorageUse

Handler = Callable[[Request], Awaitable[Response]]

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")

_logger = logging.getLogger("dicomweb.request")


class AnswerCut(Exception):
    """An answer failed in its midst: the connection is to be cut, so that nobody takes it for whole."""


@dataclass(frozen=True, slots=True)
class FunctionName:
    """What a function is called, and the template of its route."""

    name: str
    route: str


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """What one request is and takes. `end`: "whole", "left" by its client, or "cut" by a failure of ours.

    `trace_id` and `parent_id` are those of its traceparent (W3C Trace Context); without one, the first is made up.
    """

    function: FunctionName
    method: str
    study_instance_uid: str | None
    trace_id: str
    parent_id: str | None
    storage: StorageUse = field(default_factory=StorageUse)
    started: int = field(default_factory=time.time_ns)
    ticks: int = field(default_factory=time.perf_counter_ns)
    nanoseconds: int = 0
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    end: str = "whole"
    cause: str | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the service failed, not the client."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR or self.end == "cut"

    def log(self) -> None:
        """Write the request's line, as an error where the service failed."""
        self.nanoseconds = time.perf_counter_ns() - self.ticks
        values = {
            "transaction": self.function.name,
            "method": self.method,
            "status": self.status,
            "ms": self.nanoseconds // 1_000_000,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "storage": self.storage.operations.total(),
            "retries": self.storage.retries.total(),
            "trace": self.trace_id,
            "study": self.study_instance_uid,
            "end": self.end,
            "cause": f'"{self.cause}"' if self.cause else None,
        }
        line = " ".join(f"{name}={value}" for name, value in values.items() if value is not None)
        _logger.log(logging.ERROR if self.has_failed else logging.INFO, "%s", line)


def observed(handler: Handler) -> Handler:
    """Wrap a function whose handler answers every error: log each request, and tell Application Insights of it.

    An answer that is in memory is logged when it is handed to the host, which drops what is logged later; one that is
    streamed, when its last byte went out or its client left. What fails while it is streamed goes on as AnswerCut.
    """

    @wraps(handler)
    async def answer(req: Request) -> Response:
        record = _record_of(req, _function_name(handler.__module__, handler.__name__))
        req.scope["trace_id"] = record.trace_id
        with record.storage.watching():
            response = await handler(Request(req.scope, _counted(record, req.receive)))
        record.status = response.status_code
        is_streamed = isinstance(response, StreamingResponse)
        if not is_streamed:
            record.bytes_out = len(response.body)
            record.log()
        return _Observed(response, record, is_streamed)

    return answer


class _Observed(Response):
    """An answer that is counted while it is sent. Its headers are the answer's own, for whoever adds to them."""

    def __init__(self, response: Response, record: RequestRecord, is_streamed: bool) -> None:
        self.status_code = response.status_code
        self.raw_headers = response.raw_headers
        self.background = None
        self._response = response
        self._record = record
        self._is_streamed = is_streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            if self._is_streamed:
                await self._stream(scope, receive, send)
            else:
                await self._response(scope, receive, send)
        finally:
            await telemetry.report_request(self._record)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        record = self._record

        async def counted(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body":
                record.bytes_out += len(message.get("body", b""))
                if not message.get("more_body", False):
                    record.end = "whole"

        record.end = "left"
        try:
            with record.storage.watching():
                await self._response(scope, receive, counted)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 -- it is logged, without its message, and raised as another
            record.end, record.cause = "cut", described(error)
            raise AnswerCut from None
        finally:
            record.log()


def trace_id_of(req: Request) -> str:
    """The trace that a request belongs to, as its line in the log has it."""
    trace_id: str = req.scope["trace_id"]
    return trace_id


@cache
def _function_name(module: str, handler: str) -> FunctionName:
    function = getattr(sys.modules[module], handler).build(func.AuthLevel.ANONYMOUS)
    return FunctionName(function.get_function_name(), function.get_trigger().route)


def _record_of(req: Request, function: FunctionName) -> RequestRecord:
    found = _TRACEPARENT.fullmatch(req.headers.get("traceparent", ""))
    study = req.path_params.get("study", "")
    return RequestRecord(
        function=function,
        method=req.method,
        study_instance_uid=study if is_uid(study) else None,
        trace_id=found[1] if found else uuid4().hex,
        parent_id=found[2] if found else None,
    )


def _counted(record: RequestRecord, receive: Receive) -> Receive:
    async def counting() -> Message:
        message: Message = await receive()
        record.bytes_in += len(message.get("body", b""))
        if message["type"] == "http.disconnect":
            record.end = "left"
        return message

    return counting

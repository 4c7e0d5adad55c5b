"""Watches each request: counts its bytes and storage operations, logs it and reports it to Application Insights."""

from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from functions.edge.app import App
from functions.edge.interpreter import leave_out_what_is_loaded
from functions.edge.request_record import RequestRecord
from functions.edge.steady_sending import ClientStalled, steady
from shared.failures import described
from shared.services.answer_work import AnswerWork
from shared.web.http_function import HttpFunction


class AnswerCut(Exception):
    """An answer failed midway: the connection has to be cut, so that nobody takes the answer for whole."""


async def observed(
    function: HttpFunction, req: Request, app: App, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    """The answer that `answer` gives to the request: counted, logged and reported. `answer` answers every error, too.

    An answer in memory is logged when it is handed to the host, which drops what is logged later; a streamed one when
    its last byte has gone out or its client has left. A failure while it is streamed is raised as AnswerCut.
    """
    record, work = RequestRecord.of(req, function), app.process_work.answer()
    req.scope["trace_id"], req.scope["answer_work"] = record.trace_id, work
    try:
        with record.storage.watching(), app.loop_probe.watching(record.stalls):
            response = await answer(Request(req.scope, _counted(record, req.receive)))
    except BaseException:
        work.end()
        raise
    work.begin()
    record.status = response.status_code
    is_streamed = isinstance(response, StreamingResponse)
    if not is_streamed:
        record.bytes_out = len(response.body)
        record.log()
    return _Observed(response, record, app, work, is_streamed)


class _Observed(Response):
    """An answer that is counted while it is sent. Its headers are the wrapped answer's, so more can be added."""

    def __init__(
        self, response: Response, record: RequestRecord, app: App, work: AnswerWork, is_streamed: bool
    ) -> None:
        self.status_code = response.status_code
        self.raw_headers = response.raw_headers
        self.background = None
        self._response = response
        self._record = record
        self._app = app
        self._work = work
        self._is_streamed = is_streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        send = steady(send, self._app.settings.max_stalled_seconds)
        try:
            if self._is_streamed:
                await self._stream(scope, receive, send)
            else:
                await self._response(scope, receive, send)
        finally:
            self._work.end()
            leave_out_what_is_loaded(self._record.function.name)
            telemetry = await self._app.telemetry()
            if telemetry is not None:
                telemetry.request(self._record)

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
            with record.storage.watching(), self._app.loop_probe.watching(record.stalls):
                await self._response(scope, receive, counted)
        except ClientDisconnect:
            return
        except ClientStalled:
            raise AnswerCut from None
        except Exception as error:  # noqa: BLE001 -- it is logged, without its message, and raised as another
            record.end, record.cause = "cut", described(error)
            raise AnswerCut from None
        finally:
            record.log()


def _counted(record: RequestRecord, receive: Receive) -> Receive:
    async def counting() -> Message:
        message: Message = await receive()
        record.bytes_in += len(message.get("body", b""))
        if message["type"] == "http.disconnect":
            record.end = "left"
        return message

    return counting

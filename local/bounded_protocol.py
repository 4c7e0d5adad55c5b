"""uvicorn's HTTP protocol within bounds that Azure's front end sets, and uvicorn does not.

They are the size of a request's head, the time until it is complete, and the number of connections. As from that front
end, no chunks are sent to a client of HTTP/1.0.
"""

import asyncio
from typing import Any, Final

from starlette.datastructures import Headers
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_MAX_HEAD_BYTES: Final = 64 * 1024
_MAX_HEAD_SECONDS: Final = 30
_MAX_CONNECTIONS: Final = 500  # a process may have 1,024 files open on many systems
_STEP_BYTES: Final = 16 * 1024  # parsed before the size is looked at again

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"  # RFC 6585 5
)


def bounded_protocol(
    max_head_bytes: int = _MAX_HEAD_BYTES,
    max_head_seconds: float = _MAX_HEAD_SECONDS,
    max_connections: int = _MAX_CONNECTIONS,
) -> type[HttpToolsProtocol]:
    """The protocol for uvicorn's setting `http`.

    A head over `max_head_bytes` is answered 431. A connection is closed that has no complete head after
    `max_head_seconds`, or is one more than `max_connections`.
    """

    class BoundedProtocol(HttpToolsProtocol):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._head_bytes = 0
            self._is_in_head = True
            self._give_up: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
            super().connection_made(transport)
            if len(self.connections) > max_connections:
                transport.abort()
            self._wait_for_head()

        def data_received(self, data: bytes) -> None:
            for start in range(0, len(data), _STEP_BYTES):
                step = data[start : start + _STEP_BYTES]
                if self._is_in_head:
                    self._head_bytes += len(step)
                    self._wait_for_head()
                super().data_received(step)
                if self._is_in_head and self._head_bytes > max_head_bytes and not self.transport.is_closing():
                    self.transport.write(_TOO_LARGE)
                    self.transport.close()
                if self.transport.is_closing():
                    return

        def on_headers_complete(self) -> None:
            self._is_in_head, self._head_bytes = False, 0
            self._stop_waiting()
            super().on_headers_complete()
            if self.scope["http_version"] == "1.0":
                _send_no_chunks(self.cycle)

        def on_message_complete(self) -> None:
            self._is_in_head = True
            super().on_message_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait_for_head(self) -> None:
            if self._give_up is None:
                self._give_up = self.loop.call_later(max_head_seconds, self.transport.close)

        def _stop_waiting(self) -> None:
            if self._give_up is not None:
                self._give_up.cancel()
                self._give_up = None

    return BoundedProtocol


def _send_no_chunks(cycle: RequestResponseCycle) -> None:
    """A body without Content-Length ends with the connection, which uvicorn closes: HTTP/1.0 knows no chunks."""
    send = cycle.send
    has_length = True

    async def send_without_chunks(message: Any) -> None:
        nonlocal has_length
        if message["type"] == "http.response.start":
            has_length = "content-length" in Headers(raw=list(message["headers"]))
            if not has_length:
                cycle.chunked_encoding = False
        elif not has_length:
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    cycle.send = send_without_chunks  # type: ignore[method-assign]

"""How the host passes a request on to the worker's own HTTP server, and its answer back, both as they arrive."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import quote

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, TCPConnector, web
from aiohttp.client_exceptions import ClientConnectorError
from multidict import CIMultiDict
from yarl import URL

from local.routing import decoded
from tests.support.functions_host.worker_process import HostError

ACTIVITY_SECONDS: Final = 240
"""How long the worker may send nothing."""

TOO_LARGE: Final = "The body exceeds FUNCTIONS_REQUEST_BODY_SIZE_LIMIT."

# Only a connection that failed is tried again.
_ATTEMPTS: Final = 10
_PAUSE_SECONDS: Final = 0.1

_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_ESCAPE: Final = re.compile("(%[0-9A-Fa-f]{2})")
_UNESCAPED: Final = "/:@!$&'()*+,;=-._~"  # in a path

_logger = logging.getLogger("functions_host")


class Forwarder:
    """Forwards requests to one worker. Made and closed in the event loop that it is used in."""

    def __init__(self, http_uri: str, max_body_bytes: int, custom_headers: Mapping[str, str]) -> None:
        self._http_uri = http_uri
        self._max_body_bytes = max_body_bytes
        self._custom_headers = custom_headers
        self._session = ClientSession(
            connector=TCPConnector(limit=0),
            auto_decompress=False,
            timeout=ClientTimeout(total=None, sock_read=ACTIVITY_SECONDS),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def close(self) -> None:
        """Close the connections to the worker."""
        await self._session.close()

    async def forward(self, request: web.BaseRequest, invocation_id: str) -> web.StreamResponse:
        """Send the request to the worker, and its answer to the client. Raises HostError before any of it is sent.

        Where the worker breaks off its answer, so is the client's connection.
        """
        received = await self._send(request, _headers_to_worker(request, invocation_id))
        try:
            response = self._head(request, received)
            await response.prepare(request)
            if request.method != "HEAD":
                async for chunk in received.content.iter_any():
                    await response.write(chunk)
            await response.write_eof()
        except (ClientError, TimeoutError) as error:
            _logger.error("The worker broke off its answer: %r", error)
            if request.transport:
                request.transport.abort()
        finally:
            received.close()
        return response

    async def _send(self, request: web.BaseRequest, headers: CIMultiDict[str]) -> ClientResponse:
        raw_path, mark, query = request.raw_path.partition("?")
        url = URL(self._http_uri + _encoded(decoded(raw_path)) + mark + query, encoded=True)
        body = _Body(request, self._max_body_bytes) if request.can_read_body else None
        for _ in range(_ATTEMPTS):
            try:
                return await self._session.request(
                    request.method, url, headers=headers, data=body and body.chunks(), allow_redirects=False
                )
            except ClientConnectorError:
                await asyncio.sleep(_PAUSE_SECONDS)
            except (ClientError, TimeoutError) as error:
                if body and body.is_too_large:
                    raise HostError(TOO_LARGE) from error
                raise HostError(f"The request could not be forwarded: {error!r}") from error
        raise HostError("The worker's HTTP server takes no connection.")

    def _head(self, request: web.BaseRequest, received: ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=received.status, reason=received.reason)
        for name, value in received.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                response.headers.add(name, value)
        response.headers.update(self._custom_headers)
        has_body = request.method != "HEAD" and received.status not in (204, 304)
        if has_body and "Content-Length" not in response.headers:
            if request.version >= (1, 1):
                response.enable_chunked_encoding()
            else:  # the body ends with the connection
                response.force_close()
        return response


class _Body:
    """A request's body on its way to the worker: over the limit it breaks off."""

    def __init__(self, request: web.BaseRequest, max_bytes: int) -> None:
        self._content = request.content
        self._max_bytes = max_bytes
        self.is_too_large = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks as they arrive, after an empty one, with which aiohttp sends the head at once."""
        yield b""
        received = 0
        async for chunk in self._content.iter_any():
            received += len(chunk)
            if received > self._max_bytes:
                self.is_too_large = True
                raise ConnectionError
            yield chunk


def _headers_to_worker(request: web.BaseRequest, invocation_id: str) -> CIMultiDict[str]:
    connection = ",".join(request.headers.getall("Connection", []))
    dropped = _HOP_BY_HOP | {name.strip().lower() for name in connection.split(",")}
    headers = CIMultiDict((name, value) for name, value in request.headers.items() if name.lower() not in dropped)
    headers["x-ms-invocation-id"] = invocation_id
    headers["X-Forwarded-For"] = request.remote or ""
    headers["X-Forwarded-Host"] = request.headers.get("Host", "")
    headers.setdefault("X-Forwarded-Proto", request.scheme)
    return headers


def _encoded(path: str) -> str:
    return "".join(
        piece if _ESCAPE.fullmatch(piece) else quote(piece, safe=_UNESCAPED) for piece in _ESCAPE.split(path)
    )

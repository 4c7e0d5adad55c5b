"""The transport of the storage SDKs' clients, which notes every operation for whoever watches."""

import re
import time
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies
from weakref import WeakSet

from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from azure.core.pipeline.transport import AioHttpTransport

from shared.storage.storage_use import Operation, watcher

# Storage closes idle connections; a batch that is sent at that moment may or may not have been received, and is not
# sent again. Azurite closes them after 5 seconds.
_KEEP_ALIVE_SECONDS: Final = 4

_STORE: Final = re.compile(
    r"/(dicom|catalog|terms|journal|feed|operations|tags|subscriptions|deliveries|\$batch)(?=[/(?]|$)"
)


class WatchedTransport(AioHttpTransport):  # type: ignore[misc] # the SDK exports it untyped
    """Sends requests, beneath the SDKs' retries, and notes them for whoever watches."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._sent: WeakSet[Any] = WeakSet()
        self._is_new = True

    async def open(self) -> None:
        """Open the session when it is first needed: the SDK's own except for the options given here."""
        if self._is_new:
            self._is_new = False
            self.session = ClientSession(
                connector=TCPConnector(keepalive_timeout=_KEEP_ALIVE_SECONDS),
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                # Looking for a proxy takes a thread for each request, a quarter of a small request's CPU time.
                trust_env=bool(getproxies()),
            )
        await super().open()

    async def send(self, request: Any, **options: Any) -> Any:
        """Send a request of an SDK, and note it."""
        use = watcher()
        if use is None:
            return await super().send(request, **options)
        is_retry = request in self._sent
        self._sent.add(request)
        started, ticks = time.time_ns(), time.perf_counter_ns()
        status = received = 0
        try:
            response = await super().send(request, **options)
            status = response.status_code
            received = 0 if request.method == "HEAD" else _length(response.headers)
        finally:
            url = urlsplit(request.url)
            found = _STORE.search(url.path)
            store = found[1] if found else ""
            nanoseconds = time.perf_counter_ns() - ticks
            sent = _length(request.headers)
            use.note(
                Operation(
                    name=f"{request.method} {store or 'account'}",
                    url=f"{url.scheme}://{url.netloc}/{store}",
                    started=started,
                    nanoseconds=nanoseconds,
                    status=status,
                    sent_bytes=sent,
                    received_bytes=received,
                    is_retry=is_retry,
                )
            )
        return response


def _length(headers: Any) -> int:
    return int(headers.get("Content-Length") or 0)

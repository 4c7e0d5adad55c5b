"""Requests to a DICOMweb server: sign-in, and retries when it is busy or the connection breaks."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import httpx

from dicomweb_cli.sign_in import NO_CREDENTIALS, Credentials, how_to_get_a_token, how_to_sign_in
from dicomweb_cli.terminal import plain, sentence

DICOM_JSON: Final = "application/dicom+json"

_ATTEMPTS: Final = 6
_FIRST_WAIT_SECONDS: Final = 0.5  # then twice as long each time
_LONGEST_WAIT_SECONDS: Final = 120
# A large store is slow; front ends give up after about 4 minutes.
_TIMEOUT: Final = httpx.Timeout(60, connect=20, read=300, pool=None)
_GATEWAY: Final = frozenset({502, 504})  # from a proxy; the server behind it may have carried out the request
_BUSY: Final = frozenset({429, 503}) | _GATEWAY
_SHOWN_CHARACTERS: Final = 1000

Body = Callable[[], AsyncIterator[bytes]]


class CannotGoOn(Exception):
    """The run cannot continue: there is no connection, or no sign-in.

    `is_open` is whether the request may still have been carried out.
    """

    def __init__(self, message: str, *, is_open: bool = False) -> None:
        super().__init__(message)
        self.is_open = is_open


class Unavailable(CannotGoOn):
    """There is no connection at the moment, or the server stays busy: later it may answer."""


class NoService(CannotGoOn):
    """What answers at the URL is not DICOMweb."""


class Refused(Exception):
    """The server answered a request with an error, which the message gives in the server's words."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class Connection:
    """A server, reached by `send`. `url` is that of its DICOMweb service, without a final slash."""

    def __init__(self, client: httpx.AsyncClient, url: str, credentials: Credentials = NO_CREDENTIALS) -> None:
        self.url = url
        self.credentials = credentials
        self._client = client
        self._has_answered = False

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        query: Sequence[tuple[str, str]] = (),
        body: Body | None = None,
        stop: asyncio.Event | None = None,
        is_streamed: bool = False,
    ) -> httpx.Response:
        """Send a request and return its answer, whatever its status; a busy server (429, 502 to 504) is asked again.

        `body` makes a new request body for each attempt. After `stop` there are no further attempts. The caller reads
        and closes a streamed answer. Raises CannotGoOn (Unavailable where the server is busy, or has answered before),
        and what `body` raises.
        """
        is_open = False
        for attempt in range(_ATTEMPTS):
            wait = min(_FIRST_WAIT_SECONDS * 2**attempt, _LONGEST_WAIT_SECONDS) * random.uniform(0.8, 1.2)  # noqa: S311
            content = body() if body else None
            request = self._client.build_request(
                method, f"{self.url}/{path}", headers=headers, params=list(query) or None, content=content
            )
            try:
                response = await self._client.send(request, stream=True)
                if not is_streamed or response.is_error:
                    await response.aread()
            except httpx.TransportError as error:
                trouble = f"The connection to {self.url} failed: {error or type(error).__name__}"
                is_unconnected = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                if is_unconnected and not self._has_answered:
                    raise CannotGoOn(trouble) from None
                is_open |= not is_unconnected
            else:
                self._has_answered = True
                if response.status_code not in _BUSY:
                    await self._check(response)
                    return response
                trouble = f"The server is busy: {response.status_code} {reason_of(response)}"
                asked = _retry_after(response)
                wait = wait if asked is None else asked
                is_open |= response.status_code in _GATEWAY
            if attempt + 1 < _ATTEMPTS and await _is_over(stop, wait):
                break
        raise Unavailable(f"{trouble} (given up at attempt {attempt + 1} of {_ATTEMPTS})", is_open=is_open)

    async def probe(self, url: str, *, method: str = "GET", is_signed: bool = True) -> httpx.Response:
        """The answer to a single request, whatever its status; `url` is any of the server's.

        Raises CannotGoOn where there is none, or no token to ask with.
        """
        auth = httpx.USE_CLIENT_DEFAULT if is_signed else None
        try:
            return await self._client.request(method, url, headers={"Accept": DICOM_JSON}, auth=auth)
        except httpx.TransportError as error:
            raise CannotGoOn(f"The connection to {self.url} failed: {error or type(error).__name__}") from None

    async def _check(self, response: httpx.Response) -> None:
        """Raise CannotGoOn where no other request would succeed."""
        trouble = None
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            challenge = response.headers.get("WWW-Authenticate", "")
            is_refused = "Authorization" in response.request.headers
            said = f"refuses the sign-in: {sentence(reason_of(response))}" if is_refused else "requires a sign-in."
            trouble = f"The server {said} {how_to_sign_in(self.url, self.credentials, challenge)}"
        elif response.status_code == HTTPStatus.FORBIDDEN:
            trouble = f"The signed-in user may not do this: {reason_of(response)}"
        elif response.is_redirect:
            elsewhere = plain(response.headers.get("Location", ""))
            trouble = f"The server redirects to {elsewhere}: give --url of the DICOMweb service there."
        if trouble:
            await response.aclose()
            raise CannotGoOn(trouble)


@asynccontextmanager
async def connected(url: str, token: str | None, scope: str | None) -> AsyncIterator[Connection]:
    """A connection to the DICOMweb service at `url`.

    Signed in by a bearer token, by azure-identity, by the name and password in the URL, or not at all.
    """
    auth: httpx.Auth | None = None
    address = httpx.URL(url.rstrip("/"))
    if address.userinfo:
        auth = httpx.BasicAuth(address.username, address.password)
        address = address.copy_with(userinfo=b"")  # so that it is printed without the password
    if token:
        auth = _Bearer(lambda: token)
    elif scope:
        auth = _Bearer(_azure_token(scope))
    async with httpx.AsyncClient(timeout=_TIMEOUT, auth=auth, limits=httpx.Limits(max_connections=None)) as client:
        yield Connection(client, str(address), Credentials(token, scope))


def expect(response: httpx.Response, *statuses: int) -> httpx.Response:
    """Return the answer. Raises Refused where its status is none of these."""
    if response.status_code not in statuses:
        raise Refused(response.status_code, reason_of(response))
    return response


def reason_of(response: httpx.Response) -> str:
    """What an error answer says in readable text: its detail or message, else what the status means."""
    kind = response.headers.get("Content-Type", "")
    text = ""
    if "json" in kind:
        try:
            document = response.json()
        except ValueError:
            document = None
        if isinstance(document, dict):
            words = [document.get(name) for name in ("detail", "errorMessage", "Details", "Message", "title")]
            text = next((word for word in words if isinstance(word, str) and word), "")
    elif kind.startswith("text/plain"):
        text = response.text
    return plain(text.strip()[:_SHOWN_CHARACTERS]) or response.reason_phrase or "no reason given"


class _Bearer(httpx.Auth):
    """Bearer tokens (RFC 6750): `token_of` returns one that is valid now, perhaps slowly."""

    def __init__(self, token_of: Callable[[], str]) -> None:
        self._token_of = token_of

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        request.headers["Authorization"] = f"Bearer {await asyncio.to_thread(self._token_of)}"
        yield request


def _azure_token(scope: str) -> Callable[[], str]:
    from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseError
    from azure.identity import DefaultAzureCredential, get_bearer_token_provider

    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)  # it would repeat each error
    provider = get_bearer_token_provider(DefaultAzureCredential(), scope)

    def token() -> str:
        try:
            return provider()
        except ClientAuthenticationError as error:
            lines = [plain(line).strip() for line in error.message.splitlines()] or [""]
            of_azure_cli = (line.partition(": ")[2] for line in lines if line.startswith("AzureCliCredential: "))
            why = sentence(next(of_azure_cli, lines[0]))
            raise CannotGoOn(f"There is no sign-in for {scope}: {why} {how_to_get_a_token(scope, why)}") from None
        except (ServiceRequestError, ServiceResponseError) as error:
            raise Unavailable(f"What signs in for {scope} cannot be reached: {plain(error.message)}") from None

    return token


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait by the Retry-After of an answer (RFC 9110 10.2.3); None where it has no valid one."""
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return min(float(text), _LONGEST_WAIT_SECONDS)
    try:
        seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):  # no date, or one without a zone
        return None
    return min(max(seconds, 0.1), _LONGEST_WAIT_SECONDS)


async def _is_over(stop: asyncio.Event | None, seconds: float) -> bool:
    """Wait, and return whether the run is stopped before the time is up."""
    if stop is None:
        await asyncio.sleep(seconds)
        return False
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True

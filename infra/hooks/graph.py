"""Microsoft Graph v1.0 over HTTP: who is signed in, what to send again, and what a refusal means."""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx

Json = dict[str, Any]

_TRIES: Final = 9
_FIRST_WAIT_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 16.0
_LONGEST_THROTTLE_SECONDS: Final = 120.0
_BUSY: Final = (429, 500, 502, 503, 504)
# What Graph says of an object that it made a moment ago, and that has not reached all of its servers.
_NOT_THERE_YET: Final = (
    "does not exist or one of its queried reference-property objects are not present",
    "does not reference a valid application object",
    "must in the local tenant",
    "Permission being assigned was not found",
    "a Permission Id that cannot be found",
)
_TO_REGISTER: Final = (
    "It needs the Entra role Application Developer, Application Administrator or Cloud Application Administrator; an "
    "app needs the permission Application.ReadWrite.OwnedBy of Microsoft Graph."
)
_TO_ASSIGN: Final = (
    "It needs an owner of the registration, or the Entra role Application Administrator or Cloud Application "
    "Administrator; an app needs the permissions AppRoleAssignment.ReadWrite.All and Application.Read.All of "
    "Microsoft Graph."
)
_SIGN_IN_AGAIN: Final = "Sign in again: azd auth login."


class GraphError(Exception):
    """Microsoft Graph does not do what is asked; the message says what, why, and what helps."""


class AlreadyThere(GraphError):
    """What is to be made is there."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is signed in: the object ID, a name for people, the tenant, and whether it is an app rather than a user."""

    id: str
    name: str
    tenant: str
    is_app: bool


def principal_of(token: str) -> Principal:
    """Whom a token of Entra is for, by its claims."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        is_app = claims.get("idtyp", "user" if "scp" in claims else "app") == "app"
        names = (claims.get(name) for name in ("upn", "unique_name", "app_displayname"))
        return Principal(claims["oid"], next(filter(None, names), claims["oid"]), claims["tid"], is_app)
    except (ValueError, LookupError, AttributeError, TypeError):
        raise GraphError(f"The token for Microsoft Graph does not say whose it is. {_SIGN_IN_AGAIN}") from None


class Graph:
    """Requests to Microsoft Graph, by a client that has its base URL and sends the token.

    A request is sent again where Graph is busy, or does not know yet what it was just told to make. So whatever is
    sent has to be right twice.
    """

    def __init__(self, client: httpx.Client, wait: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._wait = wait

    def find(self, path: str, *, is_expected: bool = False) -> Json | None:
        """An object; None where there is none, one that is expected only after several tries."""
        response = self._sent("GET", path, absent_after_tries=_TRIES if is_expected else 1)
        return None if response.status_code == httpx.codes.NOT_FOUND else _content(response)

    def get(self, path: str) -> Json:
        """An object that is there."""
        return _content(self._sent("GET", path))

    def all(self, path: str) -> Iterator[Json]:
        """The members of a collection, however many pages it has."""
        page = self.get(path)
        yield from page["value"]
        while following := page.get("@odata.nextLink"):
            if httpx.URL(following).host != self._client.base_url.host:
                raise GraphError(f"The next page of {path} is on another host, which is not given the token.")
            page = self.get(following)
            yield from page["value"]

    def write(self, method: str, path: str, body: Json, *, create_if_missing: bool = False) -> Json | None:
        """Write; return the new object, None where there is none in the answer.

        Raises AlreadyThere where Graph refuses to make a thing twice.
        """
        headers = {"Prefer": "create-if-missing"} if create_if_missing else {}
        response = self._sent(method, path, body, headers)
        return _content(response) if response.status_code == httpx.codes.CREATED else None

    def _sent(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        headers: dict[str, str] | None = None,
        *,
        absent_after_tries: int = _TRIES + 1,
    ) -> httpx.Response:
        for tries in range(1, _TRIES + 1):
            wait = min(_FIRST_WAIT_SECONDS * 2 ** (tries - 1), _LONGEST_WAIT_SECONDS)
            try:
                response = self._client.request(method, path, json=body, headers=headers)
            except httpx.TransportError as error:
                failure = GraphError(f"Microsoft Graph does not answer at {self._client.base_url}: {error}")
            else:
                is_absent = response.status_code == httpx.codes.NOT_FOUND and tries >= absent_after_tries
                if response.is_success or is_absent:
                    return response
                failure = _refusal(response)
                if response.status_code in _BUSY:
                    wait = _throttled_seconds(response, wait)
                elif not any(words in str(failure) for words in _NOT_THERE_YET):
                    raise failure
            if tries < _TRIES:
                self._wait(wait)
        raise GraphError(f"{failure} It was tried {_TRIES} times; run this again, which goes on from here.")


def _content(response: httpx.Response) -> Json:
    content: Json = response.json()
    return content


def _throttled_seconds(response: httpx.Response, otherwise: float) -> float:
    """How long Graph wants to be left alone."""
    asked = response.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_THROTTLE_SECONDS) if asked.isdecimal() else otherwise


def _refusal(response: httpx.Response) -> GraphError:
    """What an answer that is no success means."""
    try:
        error = response.json()["error"]
        reason = f"{error['code']}: {error['message']}"
    except (ValueError, LookupError, TypeError):
        reason = response.reason_phrase
    request = response.request
    path = request.url.path.removeprefix("/v1.0/")
    what = f"Microsoft Graph refuses {request.method} {path}: {response.status_code} {reason.rstrip('.')}."
    if response.status_code == httpx.codes.UNAUTHORIZED:
        if "claims=" in response.headers.get("WWW-Authenticate", ""):
            return GraphError(
                f"{what} Conditional access asks for a new sign-in before it lets this pass. {_SIGN_IN_AGAIN}"
            )
        return GraphError(f"{what} {_SIGN_IN_AGAIN}")
    if response.status_code == httpx.codes.FORBIDDEN:
        return GraphError(f"{what} {_TO_ASSIGN if path.endswith('/appRoleAssignedTo') else _TO_REGISTER}")
    # An application that was deleted keeps its unique name for 30 days.
    if "property uniqueName already exists" in reason:
        return GraphError(
            f"{what} The app registration of that name was deleted: in the Microsoft Entra admin center, App "
            "registrations, Deleted applications, restore it or delete it permanently."
        )
    # A role that is assigned already: "Permission being assigned already exists on the object", or "EntitlementGrant
    # entry already exists", with 400 or 409.
    return (AlreadyThere if "already exists" in reason else GraphError)(what)

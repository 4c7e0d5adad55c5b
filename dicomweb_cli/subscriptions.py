"""Subscriptions of this service."""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import httpx

from dicomweb_cli.connection import Connection, NoService, expect
from dicomweb_cli.terminal import ERR, OUT, plain

Subscription = Mapping[str, Any]
"""A subscription, or how far it has come, as the server describes it."""

EVENT_GRID: Final = ".eventgrid.azure.net/api/events"
"""How the endpoint of an Event Grid topic ends."""

_ID: Final = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
_LISTED: Final = ("id", "status", "deliveredSequence")
_ACCEPTS: Final = {"Accept": "application/json"}


def checked_id(text: str) -> str:
    """A subscription's id as a user gives it. Raises ValueError, with a message for the user."""
    if not _ID.fullmatch(text):
        raise ValueError(f"{text!r} is no id of a subscription: 32 hexadecimal digits.")
    return text.lower()


async def listed(connection: Connection) -> Sequence[Subscription]:
    """All subscriptions, the oldest first. Raises Refused and CannotGoOn."""
    response = await connection.send("GET", "subscriptions", headers=_ACCEPTS)
    found: Sequence[Subscription] = _document(connection, response, HTTPStatus.OK)
    return found


async def create(connection: Connection, asked: Mapping[str, Any]) -> Subscription:
    """Make a subscription; return it with its secret. Raises Refused and CannotGoOn."""
    response = await _send_json(connection, "POST", "subscriptions", asked)
    return _one(connection, response, HTTPStatus.CREATED)


async def read(connection: Connection, path: str) -> Subscription:
    """A subscription by its id, or what is below that. Raises Refused and CannotGoOn."""
    response = await connection.send("GET", f"subscriptions/{path}", headers=_ACCEPTS)
    return _one(connection, response, HTTPStatus.OK)


async def restart(connection: Connection, subscription_id: str, after: int | None) -> Subscription:
    """Have a subscription go on. Raises Refused and CannotGoOn."""
    asked = {"status": "active", **({} if after is None else {"after": after})}
    response = await _send_json(connection, "PATCH", f"subscriptions/{subscription_id}", asked)
    return _one(connection, response, HTTPStatus.OK)


async def delete(connection: Connection, subscription_id: str) -> None:
    """End a subscription. Raises Refused and CannotGoOn."""
    response = await connection.send("DELETE", f"subscriptions/{subscription_id}", headers=_ACCEPTS)
    expect(response, HTTPStatus.NO_CONTENT)


def print_list(subscriptions: Sequence[Subscription], *, as_json: bool) -> None:
    """Print subscriptions: a line for each, or the JSON of each in a line."""
    for one in subscriptions:
        target = one.get("url") or one.get("eventGridTopic") or ""
        words = json.dumps(one) if as_json else "  ".join([*(str(one.get(name, "")) for name in _LISTED), target])
        OUT.print(plain(words), soft_wrap=True)
    if not as_json:
        ERR.print(f"Subscriptions: {len(subscriptions)}")


async def _send_json(connection: Connection, method: str, path: str, asked: Mapping[str, Any]) -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        yield json.dumps(asked).encode()

    headers = {**_ACCEPTS, "Content-Type": "application/json"}
    return await connection.send(method, path, headers=headers, body=body)


def _one(connection: Connection, response: httpx.Response, status: HTTPStatus) -> Subscription:
    document = _document(connection, response, status)
    if not isinstance(document, dict):
        raise NoService(f"{connection.url} does not answer as a service with subscriptions.")
    return document


def _document(connection: Connection, response: httpx.Response, status: HTTPStatus) -> Any:
    if response.status_code in (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
        raise NoService(f"{connection.url} has no subscriptions.")
    try:
        return expect(response, status).json()
    except ValueError:
        raise NoService(f"{connection.url} does not answer as a service with subscriptions.") from None

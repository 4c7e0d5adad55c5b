"""Subscriptions of this service."""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from dicomweb_cli.connection import Connection, expect
from dicomweb_cli.json_requests import ACCEPTS_JSON, document_of, object_of, send_json
from dicomweb_cli.terminal import ERR, OUT, plain

Subscription = Mapping[str, Any]
"""A subscription, or how far it has come, as the server describes it."""

EVENT_GRID: Final = ".eventgrid.azure.net/api/events"
"""How the endpoint of an Event Grid topic ends."""

_ID: Final = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
_LISTED: Final = ("id", "status", "deliveredSequence")
_WHAT: Final = "subscriptions"


def checked_id(text: str) -> str:
    """A subscription's id as a user gives it. Raises ValueError, with a message for the user."""
    if not _ID.fullmatch(text):
        raise ValueError(f"{text!r} is no id of a subscription: 32 hexadecimal digits.")
    return text.lower()


async def listed(connection: Connection) -> Sequence[Subscription]:
    """All subscriptions, the oldest first. Raises Refused and CannotGoOn."""
    response = await connection.send("GET", "subscriptions", headers=ACCEPTS_JSON)
    found: Sequence[Subscription] = document_of(connection, response, _WHAT, HTTPStatus.OK)
    return found


async def create(connection: Connection, asked: Mapping[str, Any]) -> Subscription:
    """Make a subscription; return it with its secret. Raises Refused and CannotGoOn."""
    response = await send_json(connection, "POST", "subscriptions", asked)
    return object_of(connection, response, _WHAT, HTTPStatus.CREATED)


async def read(connection: Connection, path: str) -> Subscription:
    """A subscription by its id, or what is below that. Raises Refused and CannotGoOn."""
    response = await connection.send("GET", f"subscriptions/{path}", headers=ACCEPTS_JSON)
    return object_of(connection, response, _WHAT, HTTPStatus.OK)


async def restart(connection: Connection, subscription_id: str, after: int | None) -> Subscription:
    """Have a subscription go on. Raises Refused and CannotGoOn."""
    asked = {"status": "active", **({} if after is None else {"after": after})}
    response = await send_json(connection, "PATCH", f"subscriptions/{subscription_id}", asked)
    return object_of(connection, response, _WHAT, HTTPStatus.OK)


async def delete(connection: Connection, subscription_id: str) -> None:
    """End a subscription. Raises Refused and CannotGoOn."""
    response = await connection.send("DELETE", f"subscriptions/{subscription_id}", headers=ACCEPTS_JSON)
    expect(response, HTTPStatus.NO_CONTENT)


def print_list(subscriptions: Sequence[Subscription], *, as_json: bool) -> None:
    """Print subscriptions: a line for each, or the JSON of each in a line."""
    for one in subscriptions:
        target = one.get("url") or one.get("eventGridTopic") or ""
        words = json.dumps(one) if as_json else "  ".join([*(str(one.get(name, "")) for name in _LISTED), target])
        OUT.print(plain(words), soft_wrap=True)
    if not as_json:
        ERR.print(f"Subscriptions: {len(subscriptions)}")

"""Long-running operations of a server: this service's, and for their state also Microsoft's."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import httpx

from dicomweb_cli.changes import once_available
from dicomweb_cli.connection import Connection, NoService
from dicomweb_cli.json_requests import ACCEPTS_JSON, document_of, send_json
from dicomweb_cli.terminal import ERR, OUT, plain, progress

State = Mapping[str, Any]
"""An operation as the server describes it."""

_ENDED: Final = ("succeeded", "completed", "failed", "canceled")
_SUCCEEDED: Final = ("succeeded", "completed")
_ID: Final = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)
_PAGE: Final = 200
_RESULTS_PAGE: Final = 1000
_LISTED: Final = ("operationId", "type", "status", "createdTime", "lastUpdatedTime")
_WHAT: Final = "operations"


def checked_id(text: str) -> str:
    """An operation's id without dashes, as a user gives it. Raises ValueError, with a message for the user."""
    if not _ID.fullmatch(text):
        raise ValueError(f"{text!r} is no id of an operation: 32 hexadecimal digits.")
    return text.replace("-", "").lower()


async def start_verify(connection: Connection, studies: Sequence[str], *, has_digests: bool) -> str:
    """Start an operation that examines the archive, or some studies; return its id. Raises Refused and CannotGoOn."""
    asked = {"type": "verify", "digests": has_digests, **({"studies": list(studies)} if studies else {})}
    response = await send_json(connection, "POST", "operations", asked)
    return str(document_of(connection, response, _WHAT, HTTPStatus.ACCEPTED)["id"])


async def read_state(connection: Connection, operation_id: str) -> State:
    """The state of an operation. Raises Refused and CannotGoOn."""
    response = await connection.send("GET", f"operations/{operation_id}", headers=ACCEPTS_JSON)
    return _state(connection, response)


async def cancel(connection: Connection, operation_id: str) -> State:
    """Cancel an operation; return its state, as it is where it has ended before. Raises Refused and CannotGoOn."""
    response = await connection.send("DELETE", f"operations/{operation_id}", headers=ACCEPTS_JSON)
    return _state(connection, response)


async def wait(connection: Connection, operation_id: str, every: float) -> State:
    """The state of an operation once it has ended; shows how far it is. Raises Refused and CannotGoOn.

    A server that is away for a while is waited for, but not for the first answer.
    """
    state = await read_state(connection, operation_id)
    with progress(plain(f"{state.get('type', 'operation')} {operation_id}"), 100) as show:
        while state["status"] not in _ENDED:
            show(int(state.get("percentComplete", 0)))
            await asyncio.sleep(every)
            state = await once_available(partial(read_state, connection, operation_id))
    return state


async def listed(connection: Connection, filters: Mapping[str, str], wanted: int) -> list[State]:
    """Operations, newest first, at most so many. Raises Refused and CannotGoOn."""
    found: list[State] = []
    query = [*filters.items(), ("limit", str(min(wanted, _PAGE)))]
    while len(found) < wanted:
        response = await connection.send("GET", "operations", headers=ACCEPTS_JSON, query=query)
        page = document_of(connection, response, _WHAT, HTTPStatus.OK)
        found += page
        if not page or "next" not in response.links:
            break
        query = _query(response)
    return found[:wanted]


async def print_end(connection: Connection, state: State, *, as_json: bool) -> bool:
    """Print what an operation came to: whether it succeeded, and found nothing that differs."""
    results = state.get("results") or {}
    if as_json:
        OUT.print(json.dumps(state), soft_wrap=True)
    elif differences := results.get("differences"):
        shown = len(differences)
        if shown < results.get("differenceCount", shown):
            differences = [one async for one in _differences(connection, str(state["operationId"]))]
        for one in differences:
            study = f"study {one['study']}: " if "study" in one else ""
            OUT.print(plain(f"{one['kind']}: {study}{one['concerns']}: {one['sentence']}"), soft_wrap=True)
    if not as_json:
        counts = [f"{name} {count}" for name, count in results.items() if isinstance(count, int)]
        ERR.print(plain(f"{state['status']}: {', '.join(counts)}" if counts else str(state["status"])), soft_wrap=True)
        for failure in results.get("failures", ()):
            ERR.print(plain(f"A part of it failed: {failure}"), soft_wrap=True)
    return state["status"] in _SUCCEEDED and not results.get("differenceCount")


def print_list(states: Sequence[State], *, as_json: bool) -> None:
    """Print operations: a line for each, or the JSON of each in a line."""
    for state in states:
        words = json.dumps(state) if as_json else "  ".join(str(state.get(name, "")) for name in _LISTED)
        OUT.print(plain(words), soft_wrap=True)
    if not as_json:
        ERR.print(f"Operations: {len(states)}")


async def _differences(connection: Connection, operation_id: str) -> AsyncIterator[Mapping[str, Any]]:
    query = [("limit", str(_RESULTS_PAGE))]
    while True:
        response = await connection.send("GET", f"operations/{operation_id}/results", headers=ACCEPTS_JSON, query=query)
        for one in document_of(connection, response, _WHAT, HTTPStatus.OK):
            yield one
        if "next" not in response.links:
            return
        query = _query(response)


def _query(response: httpx.Response) -> list[tuple[str, str]]:
    """The query of the next page."""
    return list(httpx.URL(response.links["next"]["url"]).params.multi_items())


def _state(connection: Connection, response: httpx.Response) -> State:
    document = document_of(connection, response, _WHAT, HTTPStatus.OK, HTTPStatus.ACCEPTED)
    if not isinstance(document, dict) or not isinstance(document.get("status"), str):
        raise NoService(f"{connection.url} does not answer with the state of an operation.")
    return {**document, "status": document["status"].lower()} if document["status"].lower() in _ENDED else document

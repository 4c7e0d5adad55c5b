"""Requests to what only some servers have beside DICOMweb, with JSON in and out."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import httpx

from dicomweb_cli.connection import Connection, NoService, expect, reason_of

ACCEPTS_JSON: Final = {"Accept": "application/json"}

_NOT_THERE: Final = (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)


async def send_json(
    connection: Connection, method: str, path: str, asked: Any, query: Sequence[tuple[str, str]] = ()
) -> httpx.Response:
    """Send JSON, and return the answer, as `Connection.send` does."""

    async def body() -> AsyncIterator[bytes]:
        yield json.dumps(asked).encode()

    headers = {**ACCEPTS_JSON, "Content-Type": "application/json"}
    return await connection.send(method, path, headers=headers, query=query, body=body)


def document_of(connection: Connection, response: httpx.Response, what: str, *statuses: int) -> Any:
    """The JSON of an answer. Raises Refused for another status, NoService where there is nothing of the kind `what`."""
    if response.status_code in _NOT_THERE:
        raise NoService(f"{connection.url} has no {what}: {response.status_code} {reason_of(response)}")
    try:
        return expect(response, *statuses).json()
    except ValueError:
        raise NoService(f"{connection.url} does not answer as a service with {what}.") from None


def object_of(connection: Connection, response: httpx.Response, what: str, *statuses: int) -> Mapping[str, Any]:
    """The JSON object of an answer. Raises as `document_of` does, NoService also for other JSON."""
    document = document_of(connection, response, what, *statuses)
    if not isinstance(document, dict):
        raise NoService(f"{connection.url} does not answer as a service with {what}.")
    return document

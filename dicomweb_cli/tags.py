"""Extended query tags: this service's, and Microsoft's."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from dicomweb_cli.connection import Connection, expect
from dicomweb_cli.json_requests import ACCEPTS_JSON, document_of, object_of, send_json
from dicomweb_cli.operations import print_end, wait
from dicomweb_cli.terminal import ERR, OUT, plain

Tag = Mapping[str, Any]
"""A tag as the server describes it."""

_WHAT: Final = "extended query tags"
_TAGS: Final = "extendedquerytags"
_PAGE: Final = 200
_LISTED: Final = ("path", "vr", "level", "status", "queryStatus", "privateCreator")
_OF_ERROR: Final = ("createdTime", "studyInstanceUid", "seriesInstanceUid", "sopInstanceUid", "errorMessage")


async def add(connection: Connection, asked: Sequence[Mapping[str, str]]) -> str:
    """Add tags; return the id of the operation after which searches can use them. Raises Refused and CannotGoOn."""
    response = await send_json(connection, "POST", _TAGS, asked)
    return str(object_of(connection, response, _WHAT, HTTPStatus.ACCEPTED)["id"])


async def wait_until_ready(
    connection: Connection, operation_id: str, asked: Sequence[Mapping[str, str]], every: float
) -> bool:
    """Wait until the operation that makes tags ready has ended; print how, and which of the tags searches cannot use.

    Returns whether they can use all. Raises Refused and CannotGoOn.
    """
    is_done = await print_end(connection, await wait(connection, operation_id, every), as_json=False)
    tags = [await read(connection, one["path"], one.get("privateCreator")) for one in asked]
    disabled = [tag for tag in tags if tag.get("queryStatus") == "Disabled"]
    for tag in disabled:
        count = (tag.get("errors") or {}).get("count", 0)
        ERR.print(plain(f"{tag['path']} is disabled: it could not be indexed in {count} instances."), soft_wrap=True)
    return is_done and not disabled


async def listed(connection: Connection) -> Sequence[Tag]:
    """All tags, in the order in which they were added. Raises Refused and CannotGoOn."""
    found: list[Tag] = []
    while True:
        page = await _page(connection, _TAGS, None, len(found))
        found += page
        if len(page) < _PAGE:
            return found


async def read(connection: Connection, name: str, creator: str | None) -> Tag:
    """A tag by its path; `creator` chooses where several private creators have it. Raises Refused and CannotGoOn."""
    response = await connection.send("GET", _path(name), headers=ACCEPTS_JSON, query=_query(creator))
    return object_of(connection, response, _WHAT, HTTPStatus.OK)


async def read_errors(connection: Connection, name: str, creator: str | None) -> Sequence[Mapping[str, Any]]:
    """In which instances a tag could not be indexed, the earliest first. Raises Refused and CannotGoOn."""
    tag = await read(connection, name, creator)
    count = (tag.get("errors") or {}).get("count", 0)  # pages may be short: those of deleted instances are left out
    pages = [await _page(connection, f"{_path(name)}/errors", creator, offset) for offset in range(0, count, _PAGE)]
    return [error for page in pages for error in page]


async def set_status(connection: Connection, name: str, creator: str | None, status: str) -> Tag:
    """Let searches use a tag, or not; return it. Raises Refused and CannotGoOn."""
    response = await send_json(connection, "PATCH", _path(name), {"queryStatus": status}, _query(creator))
    return object_of(connection, response, _WHAT, HTTPStatus.OK)


async def remove(connection: Connection, name: str, creator: str | None) -> None:
    """Remove a tag. Raises Refused and CannotGoOn."""
    response = await connection.send("DELETE", _path(name), headers=ACCEPTS_JSON, query=_query(creator))
    expect(response, HTTPStatus.NO_CONTENT)


def print_tags(tags: Sequence[Tag], *, as_json: bool) -> None:
    """Print tags: a line for each, or the JSON of each in a line."""
    _print_lines(tags, _LISTED, as_json=as_json)
    if not as_json:
        ERR.print(f"Tags: {len(tags)}")


def print_errors(errors: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print errors: a line for each, or the JSON of each in a line."""
    _print_lines(errors, _OF_ERROR, as_json=as_json)
    if not as_json:
        ERR.print(f"Errors: {len(errors)}")


def _print_lines(items: Sequence[Mapping[str, Any]], names: Sequence[str], *, as_json: bool) -> None:
    for item in items:
        words = json.dumps(item) if as_json else "  ".join(str(item[name]) for name in names if name in item)
        OUT.print(plain(words), soft_wrap=True)


async def _page(connection: Connection, path: str, creator: str | None, offset: int) -> list[Mapping[str, Any]]:
    query = [*_query(creator), ("limit", str(_PAGE)), ("offset", str(offset))]
    response = await connection.send("GET", path, headers=ACCEPTS_JSON, query=query)
    page: list[Mapping[str, Any]] = document_of(connection, response, _WHAT, HTTPStatus.OK)
    return page


def _path(name: str) -> str:
    return f"{_TAGS}/{quote(name, safe='')}"


def _query(creator: str | None) -> list[tuple[str, str]]:
    return [("privateCreator", creator)] if creator else []

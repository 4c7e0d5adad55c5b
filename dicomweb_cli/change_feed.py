"""The change feed of a server, by sequence numbers: that of Microsoft's /v1, or that of this service's /v2."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import httpx

from dicomweb_cli.connection import CannotGoOn, Connection, NoService, expect, reason_of
from dicomweb_cli.terminal import plain

Entry = Mapping[str, Any]
"""What happened to an instance, as the server sent it."""

_V1_LIMIT: Final = 100
_V2_LIMIT: Final = 200
_VERSION: Final = re.compile(r"/v(\d)[^/]*$")
_NO_FEED: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which changes are wanted; None means all."""

    action: str | None = None
    sop_class: str | None = None


@dataclass(frozen=True, slots=True)
class Latest:
    """The greatest sequence number, 0 for an empty feed, and the server's warning that it may be too small, or ""."""

    sequence: int
    warning: str


@dataclass(frozen=True, slots=True)
class Page:
    """The wanted entries that follow a position, in order, and the position up to which there are no others."""

    entries: list[Entry]
    position: int


class ChangeFeed:
    """The feed at a connection's URL. A position is a sequence number: what follows it is still to be read.

    No entry ever appears at or below the greatest sequence number that was seen. At /v1 a page is a window of sequence
    numbers, which may be empty although more follows; at /v2 it is a number of entries.
    """

    def __init__(self, connection: Connection, *, is_v1: bool, filters: Filters) -> None:
        self._connection = connection
        self._is_v1 = is_v1
        self._filters = filters

    async def latest(self) -> Latest:
        """Up to where the feed goes. Raises Refused and CannotGoOn."""
        response = await self._get("changefeed/latest")
        entry = _document(response) if response.content else None
        sequence = 0 if entry is None else sequence_of(_entries(response, [entry])[0])
        return Latest(sequence, plain(response.headers.get("Warning", "")))

    async def page(self, position: int, latest: int) -> Page:
        """The next page. `latest` was the greatest sequence number before, beyond `position`.

        Raises CannotGoOn, also where the server cannot go on from a position, and Refused.
        """
        if self._is_v1:
            query = [("offset", str(position)), ("limit", str(_V1_LIMIT))]
        else:
            query = [("after", str(position)), ("limit", str(_V2_LIMIT)), *self._filter_query()]
        response = await self._get("changefeed", query)
        entries = _entries(response, _document(response))
        last = position
        for entry in entries:
            if sequence_of(entry) <= last:
                advice = "" if self._is_v1 else ": give the service's address that ends in /v1"
                raise CannotGoOn(
                    f"{self._connection.url} does not go on after a sequence number (after {last} it sends "
                    f"{sequence_of(entry)}){advice}."
                )
            last = sequence_of(entry)
        end = self._end(response, position, last, latest, is_full=len(entries) >= _V2_LIMIT)
        return Page([entry for entry in entries if self._is_wanted(entry)], end)

    async def position_before(self, time: datetime, latest: int) -> int:
        """The position from which on entries are of this time or later. Raises Refused and CannotGoOn.

        At /v1, which knows no times, this reads the feed from its beginning.
        """
        if not self._is_v1:
            response = await self._get("changefeed", [("startTime", time.isoformat()), ("limit", "1")])
            entries = _entries(response, _document(response))
            return sequence_of(entries[0]) - 1 if entries else latest
        position, everything = 0, ChangeFeed(self._connection, is_v1=True, filters=Filters())
        while position < latest:
            page = await everything.page(position, latest)
            for entry in page.entries:
                if (entry_time := time_of(entry)) is not None and entry_time >= time:
                    return sequence_of(entry) - 1
            position = page.position
        return position

    def _end(self, response: httpx.Response, position: int, last: int, latest: int, *, is_full: bool) -> int:
        """The position after a page whose last entry, wanted or not, is `last`."""
        if self._is_v1:
            return max(last, min(position + _V1_LIMIT, latest))
        following = httpx.URL(response.links.get("next", {}).get("url", "")).params.get("after", "")
        if following.isdecimal():  # the server left out entries up to there
            return max(last, int(following), position + 1)
        return last if is_full else max(last, latest)

    def _filter_query(self) -> list[tuple[str, str]]:
        filters = {"action": self._filters.action, "sopClassUid": self._filters.sop_class}
        return [(name, value) for name, value in filters.items() if value]

    def _is_wanted(self, entry: Entry) -> bool:
        """Whether an entry passes the filters, which servers may ignore. Raises CannotGoOn where it does not say."""
        action, sop_class = self._filters.action, self._filters.sop_class
        if sop_class and "sopClassUid" not in entry:
            raise CannotGoOn(f"{self._connection.url} does not say of which SOP class changes are: omit --sop-class.")
        return (not action or action == action_of(entry)) and (not sop_class or sop_class == entry["sopClassUid"])

    async def _get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> httpx.Response:
        return _feed_answer(self._connection, await _asked(self._connection, path, query))


async def change_feed(connection: Connection, filters: Filters) -> ChangeFeed:
    """The feed of the API version that ends the connection's URL, or that the server is found to have there.

    Raises Refused and CannotGoOn.
    """
    if version := _VERSION.search(connection.url):
        return ChangeFeed(connection, is_v1=version[1] == "1", filters=filters)
    # More than /v1 allows.
    response = await _asked(connection, "changefeed", [("limit", str(_V1_LIMIT + 1))])
    is_v1 = response.status_code == HTTPStatus.BAD_REQUEST
    if not is_v1:
        _feed_answer(connection, response)
    return ChangeFeed(connection, is_v1=is_v1, filters=filters)


def sequence_of(entry: Entry) -> int:
    """The sequence number, which every entry has."""
    return int(entry["sequence"])


def action_of(entry: Entry) -> str:
    """The action in lower case, which not all servers write it in."""
    return str(entry.get("action", "")).lower()


def time_of(entry: Entry) -> datetime | None:
    """When the change was made, in UTC; None where the entry does not say."""
    try:
        return datetime.fromisoformat(entry.get("timestamp", "")).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


async def _asked(connection: Connection, path: str, query: Sequence[tuple[str, str]]) -> httpx.Response:
    asked = [*query, ("includeMetadata", "false")]
    return await connection.send("GET", path, headers={"Accept": "application/json"}, query=asked)


def _feed_answer(connection: Connection, response: httpx.Response) -> httpx.Response:
    if response.status_code in _NO_FEED:
        raise NoService(f"{connection.url} has no change feed: {response.status_code} {reason_of(response)}")
    return expect(response, HTTPStatus.OK, HTTPStatus.NO_CONTENT)


def _document(response: httpx.Response) -> Any:
    """The JSON of an answer, an empty one being an empty list. Raises NoService where it holds something else."""
    try:
        return response.json() if response.content else []
    except ValueError:
        raise _not_a_feed(response) from None


def _entries(response: httpx.Response, document: Any) -> list[Entry]:
    """The entries in an answer. Raises NoService where it holds something else."""
    if not isinstance(document, list) or not all(map(_is_entry, document)):
        raise _not_a_feed(response)
    return document


def _is_entry(item: object) -> bool:
    if not isinstance(item, dict):
        return False
    sequence = item.get("sequence")
    return isinstance(sequence, int) and not isinstance(sequence, bool) and sequence > 0


def _not_a_feed(response: httpx.Response) -> NoService:
    kind = plain(response.headers.get("Content-Type", "an unnamed type"))
    return NoService(f"{response.url.copy_with(query=None)} does not answer as a change feed: it sends {kind}.")

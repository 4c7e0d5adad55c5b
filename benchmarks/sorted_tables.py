"""Stands in for the table service where Azurite cannot: for archives too large for it to hold, or to search in time.

It keeps the row keys of each partition sorted and answers, over HTTP, what searches ask for: a row by its keys, and the
rows of a partition between two keys, a page at a time. It sends whole entities, whatever is selected; nothing can be
written. A test compares the counts on it with those on Azurite.
"""

import base64
import json
import re
from bisect import bisect_left
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from aiohttp import web
from azure.data.tables import EdmType, EntityProperty

from benchmarks.archive_of_studies import Entity
from local.azurite import ACCOUNT, KEY
from tests.support.http_server import http_server

_MOST_ROWS: Final = 1000  # of a page
_QUOTED: Final = "'((?:[^']|'')*)'"
_RANGE: Final = re.compile(rf"PartitionKey eq {_QUOTED} and RowKey ge {_QUOTED} and RowKey lt {_QUOTED}")
_KEYS: Final = re.compile(rf"PartitionKey={_QUOTED},RowKey={_QUOTED}")
_KEY_NAMES: Final = frozenset({"PartitionKey", "RowKey"})


class SortedTable:
    """The rows of a table: entities are added, then the table is sorted, then read."""

    def __init__(self) -> None:
        self.rows: dict[str, list[str]] = {}
        self._properties: dict[tuple[str, str], bytes] = {}

    def add(self, entity: Entity) -> None:
        """Take an entity that is not there yet."""
        keys = entity["PartitionKey"], entity["RowKey"]
        self.rows.setdefault(keys[0], []).append(keys[1])
        if len(entity) > len(_KEY_NAMES):
            properties = {name: value for name, value in entity.items() if name not in _KEY_NAMES}
            self._properties[keys] = json.dumps(_encoded(properties)).encode()

    def sort(self) -> None:
        """Prepare for reading."""
        for rows in self.rows.values():
            rows.sort()

    def page(self, partition: str, first: str, end: str, most: int) -> tuple[list[str], str | None]:
        """At most `most` row keys from `first` up to but not including `end`, and the next one, if any."""
        rows = self.rows.get(partition, [])
        start, stop = bisect_left(rows, first), bisect_left(rows, end)
        return rows[start : min(start + most, stop)], rows[start + most] if start + most < stop else None

    def entity(self, partition: str, row: str) -> Entity | None:
        """An entity in the form that the service sends."""
        found, _ = self.page(partition, row, f"{row}\0", 1)
        if not found:
            return None
        keys = {"odata.etag": 'W/"made"', "PartitionKey": partition, "RowKey": row}
        return {**keys, **json.loads(self._properties.get((partition, row), b"{}"))}


def _encoded(properties: Entity) -> Entity:
    """Properties in the JSON of OData, as the SDK reads them."""
    encoded: Entity = {}
    for name, value in properties.items():
        match value:
            case bytes():
                encoded[f"{name}@odata.type"] = EdmType.BINARY.value
                encoded[name] = base64.b64encode(value).decode()
            case datetime():
                encoded[f"{name}@odata.type"] = EdmType.DATETIME.value
                encoded[name] = f"{value:%Y-%m-%dT%H:%M:%S.%f}Z"
            case EntityProperty():
                encoded[f"{name}@odata.type"] = EdmType(value.edm_type).value
                encoded[name] = str(value.value)
            case _:
                encoded[name] = value
    return encoded


@asynccontextmanager
async def serving(tables: dict[str, SortedTable]) -> AsyncIterator[str]:
    """Serve tables to this machine; yields the connection string, which has no blobs."""

    async def answer(request: web.Request) -> web.Response:
        name, _, keys = request.match_info["what"].removesuffix(")").partition("(")
        table = tables[name]
        if keys:
            return _one(table, keys)
        return _several(table, request.query)

    async with http_server(f"/{ACCOUNT}/{{what}}", answer, "GET") as url:
        endpoint = f"{url}/{ACCOUNT}"
        yield f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};TableEndpoint={endpoint};"


def _one(table: SortedTable, keys: str) -> web.Response:
    found = _KEYS.fullmatch(keys)
    if found is None:
        return web.Response(status=501)
    entity = table.entity(*map(_unquoted, found.groups()))
    if entity is None:
        error = {"code": "ResourceNotFound", "message": {"lang": "en-US", "value": "There is no such entity."}}
        return web.json_response({"odata.error": error}, status=404)
    return web.json_response(entity)


def _several(table: SortedTable, query: Any) -> web.Response:
    found = _RANGE.fullmatch(query["$filter"])
    if found is None:
        return web.Response(status=501)
    partition, first, end = map(_unquoted, found.groups())
    rows, following = table.page(
        partition, query.get("NextRowKey", first), end, min(int(query.get("$top", _MOST_ROWS)), _MOST_ROWS)
    )
    headers = {}
    if following is not None:
        headers = {"x-ms-continuation-NextPartitionKey": partition, "x-ms-continuation-NextRowKey": following}
    return web.json_response({"value": [table.entity(partition, row) for row in rows]}, headers=headers)


def _unquoted(text: str) -> str:
    return text.replace("''", "'")

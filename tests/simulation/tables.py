"""Table Storage, in memory: rows in table partitions, changed one by one or by batches that are all or nothing."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

from tests.simulation.odata_filter import filter_of
from tests.simulation.table_values import Properties, check_row, entity_of, formatted_time, plain_value, properties_of
from tests.support.storage_messages import Answer, Request, StorageError, batch_answer, batched_requests

MAX_PAGE_ROWS: Final = 1000
_MAX_BATCH_ROWS: Final = 100
_MAX_BATCH_BYTES: Final = 4 * 1024**2
_JSON: Final = {"Content-Type": "application/json;odata=minimalmetadata"}
_KEY: Final = r"'((?:[^']|'')*)'"
_ROW: Final = re.compile(rf"(\w+)\(PartitionKey={_KEY},RowKey={_KEY}\)")
_CONTINUATION: Final = ("NextPartitionKey", "NextRowKey")


@dataclass(frozen=True, slots=True)
class Row:
    """A row as one operation left it, at `written` in ticks."""

    properties: Properties
    written: int

    @property
    def etag(self) -> str:
        return f"W/\"datetime'{quote(formatted_time(self.written), safe='')}'\""

    def entity(self, selected: str | None) -> dict[str, Any]:
        """The row in JSON, or those of its properties that a query selects."""
        found = {"odata.etag": self.etag, **dict(entity_of(self.properties))}
        found["Timestamp"] = formatted_time(self.written)
        if selected is None:
            return found
        names = selected.split(",")
        return {name: found[name] for name in found if name.partition("@")[0] in names or name == "odata.etag"}


Partition = dict[str, Row]


class TableService:
    """The table service of an account.

    `now` is the time in ticks, `page_rows` chooses how many rows, of at most so many, a query returns at once.
    """

    def __init__(self, now: Callable[[], int], page_rows: Callable[[int], int]) -> None:
        self._now = now
        self._page_rows = page_rows
        self._last_written = 0
        self._tables: dict[str, dict[str, Partition]] = {}

    def answer(self, request: Request) -> Answer:
        """Carry out a request."""
        try:
            return self._answer(request)
        except StorageError as error:
            return error.as_json()

    def _answer(self, request: Request) -> Answer:
        path = unquote(request.path)
        if path == "Tables":
            return self._create_table(json.loads(request.body)["TableName"])
        if path == "$batch":
            return self._batch(request)
        if request.method == "GET" and path.endswith("()"):
            return self._query(self._table(path.removesuffix("()")), request.query)
        operation = _operation_of(request)
        partitions = self._table(operation.table)
        partition = dict(partitions.get(operation.partition_key, {}))
        answer = self._apply(partition, operation)
        partitions[operation.partition_key] = partition
        return answer

    def _create_table(self, name: str) -> Answer:
        if name in self._tables:
            raise StorageError(409, "TableAlreadyExists", "The table specified already exists.")
        self._tables[name] = {}
        return Answer(201, _JSON, json.dumps({"TableName": name}).encode())

    def _table(self, name: str) -> dict[str, Partition]:
        if name not in self._tables:
            raise StorageError(404, "TableNotFound", "The table specified does not exist.")
        return self._tables[name]

    def _batch(self, request: Request) -> Answer:
        if len(request.body) > _MAX_BATCH_BYTES:
            raise StorageError(413, "RequestBodyTooLarge")
        operations = [_operation_of(one) for one in batched_requests(request)]
        partitions = self._table(operations[0].table)
        partition = dict(partitions.get(operations[0].partition_key, {}))
        seen: set[str] = set()
        answers: list[Answer] = []
        for index, operation in enumerate(operations):
            try:
                if index == _MAX_BATCH_ROWS:
                    raise StorageError(400, "InvalidInput", "The batch request operation exceeds 100 changes.")
                if operation.partition_key != operations[0].partition_key:
                    raise StorageError(400, "CommandsInBatchActOnDifferentPartitions")
                if operation.row_key in seen:
                    raise StorageError(400, "InvalidDuplicateRow")
                seen.add(operation.row_key)
                answers.append(self._apply(partition, operation))
            except StorageError as error:
                return batch_answer([error.as_json(index)], is_change_set=True)
        partitions[operations[0].partition_key] = partition
        return batch_answer(answers, is_change_set=True)

    def _apply(self, partition: Partition, operation: "_Operation") -> Answer:
        """Carry out an operation on the rows of its partition."""
        before = partition.get(operation.row_key)
        if operation.method == "GET":
            if before is None:
                raise _not_found()
            return Answer(200, {**_JSON, "ETag": before.etag}, json.dumps(before.entity(operation.selected)).encode())
        if operation.method == "POST":
            if before is not None:
                raise StorageError(409, "EntityAlreadyExists", "The specified entity already exists.")
        elif operation.if_match is not None:
            if before is None:
                raise _not_found()
            if operation.if_match not in ("*", before.etag):
                raise StorageError(412, "UpdateConditionNotSatisfied", "The condition was not satisfied.")
        if operation.method == "DELETE":
            del partition[operation.row_key]
            return Answer(204)
        properties = dict(operation.properties)
        if operation.method == "PATCH" and before is not None:
            properties = {**before.properties, **properties}
        check_row(properties)
        self._last_written = max(self._now(), self._last_written + 1)
        row = partition[operation.row_key] = Row(properties, self._last_written)
        if operation.method == "POST":
            return Answer(201, {**_JSON, "ETag": row.etag}, json.dumps(row.entity(None)).encode())
        return Answer(204, {"ETag": row.etag})

    def _query(self, partitions: Mapping[str, Partition], query: Mapping[str, str]) -> Answer:
        most = min(int(query.get("$top", MAX_PAGE_ROWS)), MAX_PAGE_ROWS)
        selected = query.get("$select")
        is_wanted = filter_of(query.get("$filter", ""))
        start = tuple(_decoded(query.get(name, "")) for name in _CONTINUATION)
        found = (
            (partition_key, row_key, row)
            for partition_key in sorted(partitions)
            for row_key, row in sorted(partitions[partition_key].items())
            if (partition_key, row_key) >= start and is_wanted(row.properties)
        )
        rows: list[dict[str, Any]] = []
        headers = dict(_JSON)
        page_rows = self._page_rows(most)
        for partition_key, row_key, row in found:
            if len(rows) == page_rows:
                continuation = (_encoded(partition_key), _encoded(row_key))
                headers |= {
                    f"x-ms-continuation-{name}": key for name, key in zip(_CONTINUATION, continuation, strict=True)
                }
                break
            rows.append(row.entity(selected))
        return Answer(200, headers, json.dumps({"value": rows}).encode())


@dataclass(frozen=True, slots=True)
class _Operation:
    """An operation on one row: POST inserts, PUT replaces, PATCH merges."""

    method: str
    table: str
    partition_key: str
    row_key: str
    properties: Properties
    if_match: str | None
    selected: str | None


def _operation_of(request: Request) -> _Operation:
    entity = json.loads(request.body) if request.body else {}
    path = unquote(request.path)
    if request.method == "POST":
        if not {"PartitionKey", "RowKey"} <= entity.keys():
            raise StorageError(400, "PropertiesNeedValue", "The values are not specified for all properties.")
        table, keys = path, (entity["PartitionKey"], entity["RowKey"])
    else:
        found = _ROW.fullmatch(path)
        if found is None:
            raise StorageError(400, "InvalidInput", f"No row has the path {path}.")
        table, keys = found[1], (found[2].replace("''", "'"), found[3].replace("''", "'"))
    properties = {**_keys(*keys), **properties_of(entity)}
    if_match, selected = request.headers.get("If-Match"), request.query.get("$select")
    return _Operation(request.method, table, *keys, properties, if_match, selected)


def _keys(partition_key: str, row_key: str) -> Properties:
    return {"PartitionKey": plain_value(partition_key), "RowKey": plain_value(row_key)}


def _not_found() -> StorageError:
    return StorageError(404, "ResourceNotFound", "The specified resource does not exist.")


def _encoded(key: str) -> str:
    return urlsafe_b64encode(key.encode()).decode()


def _decoded(text: str) -> str:
    return urlsafe_b64decode(text).decode()

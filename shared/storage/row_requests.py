"""The HTTP requests that write rows of tables, in the form of OData 3 that table storage takes. Pure."""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from azure.core import MatchConditions
from azure.data.tables import EdmType, EntityProperty, UpdateMode

from shared.storage.row_reads import time_text

_METHODS: Final = {UpdateMode.REPLACE: "PUT", UpdateMode.MERGE: "PATCH"}
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False)
_HEADERS: Final = {"Accept": "application/json;odata=nometadata", "DataServiceVersion": "3.0"}


@dataclass(frozen=True, slots=True)
class RowRequest:
    """A request on a row: `url` is absolute, `content` the row as JSON, if there is any."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes


def row_request(
    table_url: str, kind: str, row: Mapping[str, Any], options: Mapping[str, Any] | None = None
) -> RowRequest:
    """The request for an operation as the SDK takes it: "create", "upsert", "update" or "delete", the row, and options.

    `table_url` is absolute, and ends with the table's name. Raises TypeError for a value that no property can hold,
    ValueError for an operation or option that there is not.
    """
    left = dict(options or {})
    url = row_url(table_url, row["PartitionKey"], row["RowKey"])
    headers = dict(_HEADERS)
    if kind in ("update", "delete"):
        headers["If-Match"] = _condition(left.pop("etag", None), left.pop("match_condition", None))
    match kind:
        case "create":
            method, url, headers["Prefer"] = "POST", table_url, "return-no-content"
        case "upsert" | "update":
            method = _METHODS[left.pop("mode", UpdateMode.MERGE)]
        case "delete":
            method = "DELETE"
        case _:
            raise ValueError(f"There is no operation {kind!r}.")
    if left:
        raise ValueError(f"The operation {kind!r} has no option {min(left)!r}.")
    if method == "DELETE":
        return RowRequest(method, url, headers, b"")
    headers["Content-Type"] = "application/json"
    return RowRequest(method, url, headers, _json(row))


def row_url(table_url: str, partition_key: str, row_key: str) -> str:
    """The URL of a row."""
    partition, name = (quote(key.replace("'", "''"), safe="") for key in (partition_key, row_key))
    return f"{table_url}(PartitionKey='{partition}',RowKey='{name}')"


def _condition(etag: str | None, match_condition: MatchConditions | None) -> str:
    if match_condition is None and etag is None:
        return "*"
    if match_condition is not MatchConditions.IfNotModified or not etag:
        raise ValueError("A condition is an ETag that must not have changed.")
    return etag


def _json(row: Mapping[str, Any]) -> bytes:
    """A row with the types that JSON does not tell; properties that are None are left out."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if value is not None:
            edm_type, found[name] = _typed(name, value)
            if edm_type is not None:
                found[f"{name}@odata.type"] = edm_type
    return _ENCODER.encode(found).encode()


def _typed(name: str, value: Any) -> tuple[EdmType | None, Any]:
    match value:
        case str() | bool():
            return None, value
        case int() if -(2**31) <= value < 2**31:
            return None, value
        case bytes():
            return EdmType.BINARY, b64encode(value).decode()
        case datetime():
            return EdmType.DATETIME, time_text(value)
        case EntityProperty(value=int(number), edm_type=EdmType.INT64) if -(2**63) <= number < 2**63:
            return EdmType.INT64, str(number)
        case _:
            raise TypeError(f"The property {name} has a value that a row does not hold.")

"""Calls of a client of a table, of ours and of the SDK's alike, and what their errors say."""

from collections.abc import Awaitable, Callable
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.storage.transport import WatchedTransport

Call = Callable[[TableClient], Awaitable[Any]]


def options(**changed: Any) -> dict[str, Any]:
    """The options of a client that does not retry, but for those that are changed."""
    return {"transport": WatchedTransport(), "retry_total": 0, "retry_backoff_factor": 0.01, **changed}


def row(key: str, **properties: Any) -> dict[str, Any]:
    """A row of the partition p."""
    return {"PartitionKey": "p", "RowKey": key, **properties}


BATCH: Call = lambda table: table.submit_transaction([("upsert", row("x"))])  # noqa: E731
INSERT: Call = lambda table: table.create_entity(row("x"))  # noqa: E731
UPSERT: Call = lambda table: table.upsert_entity(row("x"), mode=UpdateMode.REPLACE)  # noqa: E731
GET: Call = lambda table: table.get_entity("p", "x")  # noqa: E731


async def said(table: TableClient, call: Call) -> tuple[Any, ...] | None:
    """What the error of a call says: its class, status, code, and index in a batch; None where there is none."""
    try:
        await call(table)
    except HttpResponseError as error:
        code = getattr(error, "error_code", None)
        return type(error), error.status_code, getattr(code, "value", code), getattr(error, "index", None)
    return None

"""Rows of operations as table entities, and their keys. Pure.

A table partition, whose key is the operation's id, holds all of an operation. The units that are not done sort before
the operation's own row, and those that failed after it: so one range says whether it has ended, and how.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from shared.archive.operation import LISTER, Operation, OperationStatus, OperationType, Results, Unit
from shared.errors import PayloadTooLarge
from shared.storage.properties import packed, unpacked

OPERATION_ROW: Final = "operation"
OPEN_ROWS: Final = ("open:", "open;")
FAILED_ROWS: Final = ("problem:", "problem;")
RESULT_ROWS: Final = ("result:", "result;")
ITEM_ROWS: Final = ("item:", "item;")
"""First row key and the first one past the end of a kind of rows."""

OPERATION: Final = [
    "PartitionKey", "RowKey", "Timestamp", "type", "status", "created", "last_updated", "units", "is_listed", "totals",
]  # fmt: skip
"""The properties of an operation's row without its specification."""

ROW_ITEMS: Final = 250
"""The most items of a row: of the longest, which name a blob by 1,024 characters of any script, half a MiB."""

_MAX_ITEM_ROWS: Final = 97  # of the 100 of a batch
_MAX_ITEM_BYTES: Final = 2_700_000  # deflated: 3.4 MiB as sent, of the 4 of a batch
_MAX_SPECIFICATION_BYTES: Final = 700 * 1024  # deflated, of the 1 MiB of a row


def operation_entity(operation: Operation) -> dict[str, Any]:
    """An operation's row without its specification."""
    return {
        "PartitionKey": operation.id,
        "RowKey": OPERATION_ROW,
        "type": operation.type.value,
        "status": operation.status.value,
        "created": operation.created,
        "last_updated": operation.last_updated,
        "units": operation.unit_count,
        "is_listed": operation.is_listed,
        "totals": _text(operation.totals),
    }


def operation_of(entity: Any) -> Operation:
    """The operation whose row this is, as it was read from the table."""
    return Operation(
        entity["PartitionKey"],
        OperationType(entity["type"]),
        OperationStatus(entity["status"]),
        entity["created"],
        entity["last_updated"],
        entity["units"],
        entity["is_listed"],
        json.loads(entity["totals"]),
        str(entity.metadata["etag"]),
    )


def packed_specification(specification: Any) -> dict[str, bytes]:
    """The properties of a specification, JSON. Raises PayloadTooLarge for one that does not fit a row."""
    properties = packed("specification", specification)
    size = sum(map(len, properties.values()))
    if size > _MAX_SPECIFICATION_BYTES:
        raise PayloadTooLarge(
            f"What the operation is to work on is too long: deflated, it takes {size} bytes, and at most "
            f"{_MAX_SPECIFICATION_BYTES} are kept, which is about 20,000 UIDs. Start several operations."
        )
    return properties


def specification_of(entity: Mapping[str, Any]) -> Any:
    """The specification in an operation's row."""
    return unpacked(entity, "specification")


def unit_row(number: int) -> str:
    """Row key of a unit that is not done."""
    return f"{OPEN_ROWS[0]}{number:08x}"


def number_of_unit_row(row_key: str) -> int:
    """The number of the unit whose row key this is."""
    return int(row_key.partition(":")[2], 16)


def unit_entity(unit: Unit) -> dict[str, Any]:
    """The row of a unit that is not done."""
    return {
        **unit_key(unit),
        "generation": unit.generation,
        "step": unit.step,
        "cursor": _text(unit.cursor),
        **packed("work", unit.work),
    }


def unit_key(unit: Unit) -> dict[str, str]:
    """The keys of a unit's row."""
    return {"PartitionKey": unit.operation_id, "RowKey": unit_row(unit.number)}


def lister_of(operation_id: str) -> Unit:
    """The lister of an operation that begins."""
    return Unit(operation_id, LISTER, generation=0, cursor=None, work=None, step=0)


def unit_of(entity: Any) -> Unit:
    """The unit whose row this is, as it was read from the table."""
    return Unit(
        entity["PartitionKey"],
        number_of_unit_row(entity["RowKey"]),
        entity["generation"],
        json.loads(entity["cursor"]),
        unpacked(entity, "work"),
        entity["step"],
        str(entity.metadata["etag"]),
    )


def progress_of(unit: Unit, cursor: Any) -> dict[str, Any]:
    """What a run leaves in the row of a unit that is not done."""
    return {**unit_key(unit), "generation": unit.generation + 1, "cursor": _text(cursor)}


def failure_entity(unit: Unit, reason: str) -> dict[str, Any]:
    """The row of a unit that failed."""
    row_key = f"{FAILED_ROWS[0]}{unit.number:08x}"
    return {"PartitionKey": unit.operation_id, "RowKey": row_key, "reason": reason, **packed("work", unit.work)}


def result_entities(unit: Unit, results: Results) -> Iterator[dict[str, Any]]:
    """The rows of what the run of a unit's generation has found; of its items, the first ones, as many as fit a batch.

    These are some 20,000 that name an instance each, and at most 24,250.
    """
    place = f"{unit.number:08x}:{unit.generation:08x}"
    if results.counts:
        row_key = f"{RESULT_ROWS[0]}{place}"
        yield {"PartitionKey": unit.operation_id, "RowKey": row_key, "counts": _text(results.counts)}
    size = 0
    for start in range(0, len(results.items), ROW_ITEMS)[:_MAX_ITEM_ROWS]:
        items = packed("items", list(results.items[start : start + ROW_ITEMS]))
        size += sum(map(len, items.values()))
        if size > _MAX_ITEM_BYTES:
            return
        yield {"PartitionKey": unit.operation_id, "RowKey": f"{ITEM_ROWS[0]}{place}:{start:08x}", **items}


def counts_of_row(entity: Mapping[str, Any]) -> Mapping[str, int]:
    """The counts in a row of results."""
    counts: Mapping[str, int] = json.loads(entity["counts"])
    return counts


def items_of_row(entity: Mapping[str, Any]) -> list[Any]:
    """The items in a row of results."""
    items: list[Any] = unpacked(entity, "items")
    return items


def place_of_items(row_key: str) -> str:
    """Which items of an operation a row holds, in a form that sorts."""
    return row_key.removeprefix(ITEM_ROWS[0])


def row_of_items(place: str) -> str:
    """The row key of the items in such a place."""
    return f"{ITEM_ROWS[0]}{place}"


def _text(value: Any) -> str:
    return json.dumps(dict(value) if isinstance(value, Mapping) else value, separators=(",", ":"))

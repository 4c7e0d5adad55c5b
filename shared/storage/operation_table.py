"""The operations: what each is to do, its units that are not done, and its results, all in a table partition each.

What is done with a unit is written by one batch, under the ETag of the unit's row: of two runs of a unit only one is
noted. The row goes with the batch that notes its results, and rows of units are only written by the lister's batch,
which is under the ETag of the operation's row, too: once no unit is left, none comes.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from shared.archive.operation import LISTER, Operation, OperationStatus, Results, Unit
from shared.errors import Unavailable
from shared.storage.conditions import MOVED, under
from shared.storage.operation_rows import (
    FAILED_ROWS,
    ITEM_ROWS,
    OPEN_ROWS,
    OPERATION,
    OPERATION_ROW,
    RESULT_ROWS,
    counts_of_row,
    failure_entity,
    items_of_row,
    lister_of,
    number_of_unit_row,
    operation_entity,
    operation_of,
    packed_specification,
    place_of_items,
    progress_of,
    result_entities,
    row_of_items,
    specification_of,
    unit_entity,
    unit_key,
    unit_of,
    unit_row,
)
from shared.storage.properties import PAGE_ROWS
from shared.storage.removal import remove_rows

MAX_LISTED_UNITS: Final = 98
"""The most units that are added at once: of the 100 rows of a batch, one is the lister's and one the operation's."""

_NO_TABLE: Final = "The archive has no table for operations: whoever runs the service has to provision it again."
_ITEM_ROWS_OF_A_PAGE: Final = 40


class OperationMoved(Exception):
    """A row has changed or gone since it was read, or this has been done already: read again. Nothing else was done."""


@dataclass(frozen=True, slots=True)
class OpenUnit:
    """A unit that is not done: its number and generation, and when its row last changed."""

    number: int
    generation: int
    moved: datetime
    etag: str


@dataclass(frozen=True, slots=True)
class OperationRows:
    """An operation and its units that are not done."""

    operation: Operation
    open_units: Sequence[OpenUnit]


class Operations:
    """The table of operations."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def create(self, operation: Operation, specification: Any) -> Unit:
        """Write a new operation and its lister, which is returned, in one batch.

        Raises PayloadTooLarge where the specification is too long, Unavailable where there is no table.
        """
        lister = lister_of(operation.id)
        await self._create(operation, specification, unit_entity(lister))
        return lister

    async def create_ended(self, operation: Operation, specification: Any) -> None:
        """Write an operation that has ended already. Raises as `create` does."""
        await self._create(operation, specification)

    async def read(self, operation_id: str) -> Operation | None:
        """An operation; None where there is none of this id."""
        try:
            return operation_of(await self._table.get_entity(operation_id, OPERATION_ROW, select=OPERATION))
        except ResourceNotFoundError:
            return None

    async def read_specification(self, operation_id: str) -> Any:
        """What an operation that is there works on."""
        return specification_of(await self._table.get_entity(operation_id, OPERATION_ROW))

    async def read_all(self, after: str = "") -> AsyncIterator[Operation]:
        """The operations whose ids are greater than `after`, newest first.

        Raises Unavailable where there is no table. Storage looks through all rows: 1,000 an operation.
        """
        query, parameters = "RowKey eq @row and PartitionKey gt @after", {"row": OPERATION_ROW, "after": after}
        try:
            async for entity in self._table.query_entities(query, parameters=parameters, select=OPERATION):
                yield operation_of(entity)
        except ResourceNotFoundError:
            raise Unavailable(_NO_TABLE) from None

    async def read_open(self) -> AsyncIterator[OperationRows]:
        """Every operation with its units that are not done. As `read_all`."""
        units: list[OpenUnit] = []
        try:
            async for entity in self._table.query_entities(
                "RowKey ge @first and RowKey le @last",
                parameters={"first": OPEN_ROWS[0], "last": OPERATION_ROW},
                select=[*OPERATION, "generation"],
            ):
                if entity["RowKey"] == OPERATION_ROW:
                    yield OperationRows(operation_of(entity), units)
                    units = []
                else:
                    units.append(_open_unit(entity))
        except ResourceNotFoundError:
            raise Unavailable(_NO_TABLE) from None

    async def read_unit(self, operation_id: str, number: int) -> Unit | None:
        """A unit that is not done; None where there is none."""
        try:
            return unit_of(await self._table.get_entity(operation_id, unit_row(number)))
        except ResourceNotFoundError:
            return None

    async def read_listed(self, operation_id: str, step: int) -> list[tuple[int, int]]:
        """Number and generation of the units that one step of the lister listed and of which no run is noted."""
        rows = self._rows(operation_id, OPEN_ROWS, ["RowKey", "generation", "step"])
        return [
            (number_of_unit_row(row["RowKey"]), row["generation"])
            async for row in rows
            if row["step"] == step and row["generation"] == 0 and number_of_unit_row(row["RowKey"])
        ]

    async def count_open(self, operation_id: str) -> int:
        """How many units are not done, 1,000 an operation."""
        return len([None async for _ in self._rows(operation_id, OPEN_ROWS, ["RowKey"])])

    async def read_first_open(self, operation_id: str) -> Unit | None:
        """The first unit that is not done, the lister where it alone is left, None where none is. One operation."""
        first = None
        async for entity in self._rows(operation_id, OPEN_ROWS, page_rows=2):
            first = unit_of(entity)
            if first.number != LISTER:
                break
        return first

    async def read_end(self, operation_id: str) -> tuple[Operation, bool] | None:
        """The operation, and whether a unit failed, where no unit is left; else None. One operation."""
        operation = None
        async for entity in self._rows(operation_id, (OPEN_ROWS[0], FAILED_ROWS[1]), OPERATION, page_rows=2):
            if operation is not None:
                return operation, True
            if entity["RowKey"] != OPERATION_ROW:
                return None
            operation = operation_of(entity)
        return (operation, False) if operation is not None else None

    async def list_units(
        self, operation: Operation, lister: Unit, work: Sequence[Any], cursor: Any, now: datetime
    ) -> list[Unit]:
        """Add units, at most MAX_LISTED_UNITS, and note how far the lister has come, in one batch; return the units.

        With `cursor` None the lister is done. Raises OperationMoved.
        """
        first = operation.unit_count + 1
        units = [
            Unit(operation.id, first + index, generation=0, cursor=None, work=one, step=lister.generation)
            for index, one in enumerate(work)
        ]
        listed = replace(
            operation,
            status=OperationStatus.RUNNING,
            last_updated=now,
            unit_count=operation.unit_count + len(units),
            is_listed=cursor is None,
        )
        await self._submit(
            [
                _noted(lister, cursor),
                ("update", operation_entity(listed), {"mode": UpdateMode.MERGE, **under(operation.etag)}),
                *(("create", unit_entity(unit)) for unit in units),
            ]
        )
        return units

    async def note_run(self, unit: Unit, results: Results, cursor: Any) -> None:
        """Note what a run has found, and that the unit is done, or with a cursor how far, in one batch.

        Raises OperationMoved.
        """
        await self._submit([_noted(unit, cursor), *(("create", row) for row in result_entities(unit, results))])

    async def note_failure(self, unit: Unit, reason: str) -> None:
        """Note that a unit has failed, in one batch. Raises OperationMoved."""
        await self._submit([_noted(unit, None), ("create", failure_entity(unit, reason))])

    async def touch(self, operation_id: str, unit: OpenUnit) -> None:
        """Note that a unit was looked after: its row has changed just now. Raises OperationMoved."""
        entity = {"PartitionKey": operation_id, "RowKey": unit_row(unit.number)}
        await self._update(entity, unit.etag)

    async def change_status(self, operation: Operation) -> None:
        """Write an operation's status and totals, under its ETag. Raises OperationMoved."""
        await self._update(operation_entity(operation), operation.etag)

    async def read_totals(self, operation_id: str) -> dict[str, int]:
        """The sums of the counts of all results so far, 1,000 runs an operation."""
        totals: dict[str, int] = {}
        async for entity in self._rows(operation_id, RESULT_ROWS, ["counts"]):
            for name, count in counts_of_row(entity).items():
                totals[name] = totals.get(name, 0) + count
        return totals

    async def read_items(self, operation_id: str, place: str = "") -> AsyncIterator[tuple[str, list[Any]]]:
        """The items of the results from a place on, by unit, row by row, with its place; 40 rows an operation."""
        between = (row_of_items(place), ITEM_ROWS[1])
        async for entity in self._rows(operation_id, between, page_rows=_ITEM_ROWS_OF_A_PAGE):
            yield place_of_items(entity["RowKey"]), items_of_row(entity)

    async def read_failures(self, operation_id: str, most: int) -> list[str]:
        """Why units failed, of the first ones."""
        reasons: list[str] = []
        async for entity in self._rows(operation_id, FAILED_ROWS, ["reason"], page_rows=most):
            reasons.append(str(entity["reason"]))
            if len(reasons) == most:
                break
        return reasons

    async def remove_open(self, operation_id: str, numbers: Sequence[int]) -> None:
        """Remove units that are not done, wherever they still are."""
        await remove_rows(self._table, ((operation_id, unit_row(number)) for number in numbers))

    async def remove(self, operation_id: str) -> None:
        """Remove all of an operation, its own row last: as long as it is there, maintenance knows of the others."""
        rows = self._table.query_entities(
            "PartitionKey eq @partition", parameters={"partition": operation_id}, select=["PartitionKey", "RowKey"]
        )
        keys = [(operation_id, str(row["RowKey"])) async for row in rows]
        await remove_rows(self._table, (key for key in keys if key[1] != OPERATION_ROW))
        await self._table.delete_entity(operation_id, OPERATION_ROW)

    async def _create(self, operation: Operation, specification: Any, *units: dict[str, Any]) -> None:
        rows = ({**operation_entity(operation), **packed_specification(specification)}, *units)
        try:
            await self._table.submit_transaction([("create", row) for row in rows])
        except TableTransactionError as error:
            if error.status_code == HTTPStatus.NOT_FOUND:
                raise Unavailable(_NO_TABLE) from None
            if error.status_code != HTTPStatus.CONFLICT:  # the answer to a first attempt was lost
                raise

    async def _submit(self, operations: Sequence[Any]) -> None:
        try:
            await self._table.submit_transaction(operations)
        except TableTransactionError as error:
            if error.status_code in MOVED:
                raise OperationMoved from error
            raise

    async def _update(self, entity: dict[str, Any], etag: str) -> None:
        try:
            await self._table.update_entity(entity, mode=UpdateMode.MERGE, **under(etag))
        except HttpResponseError as error:
            if error.status_code in MOVED:
                raise OperationMoved from error
            raise

    def _rows(
        self,
        operation_id: str,
        between: tuple[str, str],
        select: list[str] | None = None,
        *,
        page_rows: int = PAGE_ROWS,
    ) -> AsyncIterator[Any]:
        first, end = between
        return self._table.query_entities(
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @end",
            parameters={"partition": operation_id, "first": first, "end": end},
            select=select,
            results_per_page=page_rows,
        )


def _noted(unit: Unit, cursor: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """What becomes of a unit's row: it goes, or has the cursor."""
    if cursor is None:
        return "delete", unit_key(unit), under(unit.etag)
    return "update", progress_of(unit, cursor), {"mode": UpdateMode.MERGE, **under(unit.etag)}


def _open_unit(entity: Any) -> OpenUnit:
    number = number_of_unit_row(entity["RowKey"])
    return OpenUnit(number, entity["generation"], entity.metadata["timestamp"], str(entity.metadata["etag"]))

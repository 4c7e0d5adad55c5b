"""How an operation ends: once no unit of it is left."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from shared.archive.operation import Operation, OperationStatus, OperationType
from shared.services.operations.operation_types import WORK, Work
from shared.storage.archive import Archive
from shared.storage.operation_table import OperationMoved


async def settle(archive: Archive, operation_id: str, *, work: Mapping[OperationType, Work] = WORK) -> None:
    """End an operation that is under way and has no unit left, as failed if one failed.

    1 storage operation where it does not end; else 1 for each 1,000 runs and 1 more, and those of what its type does at
    the end. Several at once do no harm: the first one wins.
    """
    while True:
        found = await archive.operations.read_end(operation_id)
        if found is None or found[0].status.has_ended:
            return
        operation, has_failed = found
        if not has_failed and (at_end := work[operation.type].at_end) is not None:
            await at_end(archive, operation_id)
        try:
            totals = await archive.operations.read_totals(operation_id)
            await end(archive, operation, OperationStatus.FAILED if has_failed else OperationStatus.SUCCEEDED, totals)
        except OperationMoved:
            continue
        return


async def end(
    archive: Archive, operation: Operation, status: OperationStatus, totals: Mapping[str, int] | None = None
) -> Operation:
    """End an operation with a status, and with the sums of what was found. Raises OperationMoved."""
    ended = replace(operation, status=status, last_updated=datetime.now(UTC), totals=totals or {})
    await archive.operations.change_status(ended)
    return ended

"""What maintenance does for operations: nothing of them is lost without a message, and ended ones do not stay."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.archive.extended_tags import RemovedTag
from shared.archive.operation import OperationType, new_operation_id
from shared.services.operations.engine import send, start
from shared.services.operations.settlement import settle
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.operation_table import OpenUnit, OperationMoved, OperationRows
from shared.storage.parallel import in_parallel
from shared.storage.tag_table import UNSEEN_SECONDS, TagsChanged

_UNMOVED_FOR: Final = timedelta(minutes=45)


async def look_after_operations(archive: Archive, settings: Settings, *, now: datetime | None = None) -> int:
    """Send again, settle and remove what is due; return how many messages were sent.

    Nothing where the archive has no queues. 1 storage operation for the tags, and 1 for each 1,000 operations and open
    units; for a message 1 and itself.
    """
    if not archive.queues.is_available:
        return 0
    now = now or datetime.now(UTC)
    for removed in (await archive.tags.read()).tags.removed:
        await _clean_up_after(archive, removed, now)
    return sum([await _look_after(archive, settings, rows, now) async for rows in archive.operations.read_open()])


async def _look_after(archive: Archive, settings: Settings, rows: OperationRows, now: datetime) -> int:
    operation = rows.operation
    if operation.status.has_ended:
        if operation.last_updated < now - timedelta(days=settings.operation_retention_days):
            await archive.operations.remove(operation.id)
        elif rows.open_units:
            await archive.operations.remove_open(operation.id, [unit.number for unit in rows.open_units])
        return 0
    if not rows.open_units:
        await settle(archive, operation.id)
    unmoved = [unit for unit in rows.open_units if unit.moved < now - _UNMOVED_FOR]
    return sum(await in_parallel(_send(archive, operation.id, unit) for unit in unmoved))


async def _clean_up_after(archive: Archive, removed: RemovedTag, now: datetime) -> None:
    """Start the clean-up after a tag, unless it is under way: whoever removed the tag died, or it failed."""
    operation = await archive.operations.read(removed.operation_id) if removed.operation_id else None
    if operation is not None and not operation.status.has_ended:
        return
    before, operation_id = await archive.tags.read(), new_operation_id(now)
    if removed not in before.tags.removed:
        return
    with suppress(TagsChanged):  # the next run starts it
        await archive.tags.replace(before, before.tags.with_clean_up(removed.number, operation_id))
        await start_clean_up(archive, replace(removed, operation_id=operation_id))


async def start_clean_up(archive: Archive, removed: RemovedTag) -> None:
    """Start the operation that cleans up after a tag, which the set names already. Raises as `start` does."""
    await start(
        archive,
        OperationType.DATA_CLEANUP,
        {"generation": removed.generation, "name": removed.name, "number": removed.number},
        operation_id=removed.operation_id,
        visible_after_seconds=UNSEEN_SECONDS,
    )


async def _send(archive: Archive, operation_id: str, unit: OpenUnit) -> bool:
    """Send a unit's message again, unless its row has moved by now; whether it was sent."""
    try:
        # Where many wait in the queue, each of them is sent again only after the same time.
        await archive.operations.touch(operation_id, unit)
    except OperationMoved:
        return False
    await send(archive, operation_id, unit.number, unit.generation)
    return True

"""A feed that is not as it was appended is reported, with the place; one that grows is not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from azure.data.tables import UpdateMode

from shared.services.feed import drain as draining
from shared.services.feed.drain import drain
from shared.services.repair.consistency import examine
from shared.services.repair.differences import Kind
from shared.services.repair.feed_order import broken_places
from shared.settings import Settings
from shared.storage import feed_keys
from shared.storage.archive import Archive
from shared.storage.feed_rows import block_entity, block_of
from shared.storage.properties import int64, packed
from tests.support.default_partition import study_key
from tests.support.feeds import archive_apart, commit_of, leave
from tests.support.served_instances import new_uid

Entity = dict[str, Any]
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest_asyncio.fixture
async def archive(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Archive]:
    """An archive whose feed has three blocks in one partition, hours apart, and one in the next."""
    monkeypatch.setattr(feed_keys, "PARTITION_BITS", 7)
    study = study_key(new_uid())
    async with archive_apart(settings, monkeypatch) as opened:
        for hour in range(4):

            class Clock(datetime):
                @classmethod
                def now(cls, tz: object = None, hour: int = hour) -> datetime:  # type: ignore[override]
                    return NOON + timedelta(hours=hour)

            monkeypatch.setattr(draining, "datetime", Clock)
            await leave(opened, commit_of(study, hour + 1, 40))
            assert await drain(opened, seconds=30)
        yield opened


async def rows(archive: Archive, partition: int = 0) -> tuple[Entity, list[Entity], list[Entity]]:
    """The head, the marks, newest first, and the blocks of a partition."""
    found = [dict(entity) async for entity in archive.feed.read_rows(partition)]
    marks = [row for row in found if row["RowKey"].startswith("hour")]
    return found[0], marks, found[1 + len(marks) :]


async def places(archive: Archive) -> list[str]:
    return [place.removeprefix("change feed, ") async for place in broken_places(archive)]


async def test_a_feed_as_it_was_appended(archive: Archive, settings: Settings) -> None:
    _, marks, blocks = await rows(archive)
    assert (len(marks), len(blocks)) == (3, 3)
    assert await places(archive) == []
    assert [one async for one in examine(archive, settings) if one.kind is Kind.BROKEN_FEED] == []


async def test_an_empty_feed(archive: Archive) -> None:
    async for entity in archive.feed._table.list_entities():
        await archive.feed._table.delete_entity(entity)
    assert await places(archive) == []


async def test_a_feed_that_grows_and_rolls_over(archive: Archive) -> None:
    study = study_key(new_uid())

    async def grow() -> None:
        for revision in range(1, 20):
            await leave(archive, commit_of(study, revision, 30))
            assert await drain(archive, seconds=30)

    growing = asyncio.create_task(grow())
    while not growing.done():
        assert await places(archive) == []
    await growing
    assert await places(archive) == []


async def without_a_block(archive: Archive) -> str:
    _, _, blocks = await rows(archive)
    await archive.feed._table.delete_entity(blocks[1])
    return "sequence number 41: changes are missing, or there twice"


async def without_the_last_block(archive: Archive) -> str:
    _, _, blocks = await rows(archive)
    await archive.feed._table.delete_entity(blocks[2])
    return "sequence number 81: the head says otherwise"


async def without_a_head(archive: Archive) -> str:
    head, _, _ = await rows(archive)
    await archive.feed._table.delete_entity(head)
    return "sequence number 121: the head is missing"


async def a_block_twice(archive: Archive) -> str:
    _, _, blocks = await rows(archive)
    again = {**blocks[1], "RowKey": feed_keys.block_row(85)}
    await archive.feed._table.upsert_entity(again)
    return "sequence number 81: changes are missing, or there twice"


async def a_commit_twice(archive: Archive) -> str:
    _, _, blocks = await rows(archive)
    one, other = (block_of(blocks[index]) for index in (0, 1))
    again = block_entity(type(other)(other.first, other.first_stamp, one.commits))
    await archive.feed._table.upsert_entity(again, mode=UpdateMode.REPLACE)
    return "sequence number 41: a commit is there twice, or out of order"


async def change_head(archive: Archive, **properties: Any) -> None:
    """Change the head of the second partition."""
    head, _, _ = await rows(archive, 1)
    key = {name: head[name] for name in ("PartitionKey", "RowKey")}
    await archive.feed._table.update_entity({**key, **properties}, mode=UpdateMode.MERGE)


async def a_head_behind(archive: Archive) -> str:
    await change_head(archive, last=int64(7))
    return "sequence number 168: the head says otherwise"


async def a_stamp_too_early(archive: Archive) -> str:
    _, _, blocks = await rows(archive)
    early = block_of(blocks[2])
    await archive.feed._table.upsert_entity(block_entity(type(early)(early.first, NOON, early.commits)))
    return "sequence number 81: times do not rise"


async def a_floor_too_early(archive: Archive) -> str:
    await change_head(archive, floor=NOON)
    return "sequence number 168: the head's time is too early"


async def a_partition_that_begins_too_late(archive: Archive) -> str:
    await change_head(archive, first_floor=NOON)
    return "sequence number 128: the partition begins at another time"


async def without_a_mark(archive: Archive) -> str:
    _, marks, _ = await rows(archive)
    await archive.feed._table.delete_entity(marks[0])
    return "sequence number 121: the mark of an hour is wrong"


async def unreadable_changes(archive: Archive) -> str:
    _, _, blocks = await rows(archive)
    await archive.feed._table.upsert_entity({**blocks[1], **packed("commits", [["a"]])})
    return "sequence number 41: a row cannot be read"


@pytest.mark.parametrize(
    "damage",
    [
        without_a_block,
        without_the_last_block,
        without_a_head,
        a_block_twice,
        a_commit_twice,
        a_head_behind,
        a_stamp_too_early,
        a_floor_too_early,
        a_partition_that_begins_too_late,
        without_a_mark,
        unreadable_changes,
    ],
    ids=lambda damage: damage.__name__,
)
async def test_a_damaged_feed(
    archive: Archive, settings: Settings, damage: Callable[[Archive], Awaitable[str]]
) -> None:
    expected = await damage(archive)
    assert await places(archive) == [expected]
    (found,) = [one async for one in examine(archive, settings) if one.kind is Kind.BROKEN_FEED]
    assert (found.study, found.concerns) == (None, f"change feed, {expected}")

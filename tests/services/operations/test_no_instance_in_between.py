"""No instance is in between: whatever a process stores while a tag is added is indexed by it, or read by the reindex.

Several processes store, each of which may go for a while by a set of tags that others have changed. Where one of the
things that keep instances from being overlooked is left out, one is.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio

from shared.archive.extended_tags import TagStatus
from shared.archive.operation import OperationStatus
from shared.errors import NotFound
from shared.services.indexing.index_study import _Indexing
from shared.services.operations import cleanup, engine, reindex
from shared.services.write.delete import delete
from shared.services.write.intent import Intent
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage import tag_table
from shared.storage.archive import Archive
from tests.support.default_partition import resource_of
from tests.support.invariants import check_archive
from tests.support.operation_messages import Messages, now
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.stores import store
from tests.support.tags import OF_EACH_LEVEL, add_tags, check_tags, remove_tag

Hook = Callable[[], Awaitable[Any]]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listers that wait come back at once."""
    monkeypatch.setattr(engine, "_WAITING_SECONDS", 0)


@pytest_asyncio.fixture
async def other(archive: Archive, settings: Settings) -> AsyncIterator[Archive]:
    """The archive as another process has opened it, which knows the tags."""
    opened = await Archive.open(settings)
    await opened.tags.read()
    yield opened
    await opened.close()


def file_of(study: str, number: int = 1) -> bytes:
    values = {"InstitutionName": f"Hospital {number}", "BodyPartExamined": "HEAD", "AcquisitionNumber": number}
    return part10(dataset(StudyInstanceUID=study, **values))


def forget_tags(archive: Archive) -> None:
    """Let time pass, so that a process does not go by the set that it has read."""
    archive.tags._known_since = float("-inf")


def before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, hook: Hook) -> None:
    """Have something happen before the first call of a method."""
    real = getattr(owner, name)

    async def hooked(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, real)
        await hook()
        return await real(*arguments, **options)

    monkeypatch.setattr(owner, name, hooked)


async def _nothing(*_: Any) -> None:
    """In place of what is left out."""


async def _nobody(*_: Any) -> bool:
    """As if nobody were at work."""
    return False


@pytest.mark.parametrize("is_broken", [False, True], ids=["whole", "without a look after the entry"])
async def test_a_store_whose_entry_comes_late_goes_by_the_new_tags(
    archive: Archive, other: Archive, settings: Settings, messages: Messages, monkeypatch: pytest.MonkeyPatch,
    is_broken: bool,
) -> None:  # fmt: skip
    study = new_uid()

    async def tags_come() -> None:
        await add_tags(archive, *OF_EACH_LEVEL)
        assert await messages.deliver_all(archive, settings) == []
        forget_tags(other)

    if is_broken:
        monkeypatch.setattr(Intent, "_look_at_tags", _nothing)
    before(monkeypatch, other.journal, "insert", tags_come)
    await store(StoreService(other, settings), file_of(study))
    assert [tag.status for tag in (await archive.tags.read()).tags.tags] == [TagStatus.READY] * 3
    await check(archive, settings, is_broken=is_broken)


@pytest.mark.parametrize("is_broken", [False, True], ids=["whole", "without waiting"])
async def test_a_store_under_way_is_waited_for(
    archive: Archive, other: Archive, settings: Settings, messages: Messages, monkeypatch: pytest.MonkeyPatch,
    is_broken: bool,
) -> None:  # fmt: skip
    study, statuses = new_uid(), list[OperationStatus]()

    async def tags_come() -> None:
        operation = await add_tags(archive, *OF_EACH_LEVEL)
        for _ in range(8):
            messages.pending += await messages.take()
            if messages.pending:
                await engine.run_unit(archive, settings, messages.pending.pop(0).message, 1)
        statuses.append((await now(archive, operation)).status)

    if is_broken:
        monkeypatch.setattr(reindex, "is_indexed_before", _nobody)
    before(monkeypatch, other.catalog, "commit", tags_come)
    await store(StoreService(other, settings), file_of(study))
    assert statuses == [OperationStatus.SUCCEEDED if is_broken else OperationStatus.RUNNING]
    await messages.deliver_all(archive, settings)
    await check(archive, settings, is_broken=is_broken)


async def test_without_the_pause_a_store_may_go_by_earlier_tags(
    archive: Archive, other: Archive, settings: Settings, messages: Messages
) -> None:
    await add_tags(archive, *OF_EACH_LEVEL)
    await messages.deliver_all(archive, settings)  # at once
    await store(StoreService(other, settings), file_of(new_uid()))
    await check(archive, settings, is_broken=True)


@pytest.mark.parametrize("is_broken", [False, True], ids=["whole", "without waiting"])
async def test_a_reindex_under_way_is_waited_for_before_what_is_left_of_a_tag_is_cleared_away(
    archive: Archive, other: Archive, settings: Settings, messages: Messages, monkeypatch: pytest.MonkeyPatch,
    is_broken: bool,
) -> None:  # fmt: skip
    study = new_uid()
    await store(StoreService(archive, settings), file_of(study))
    await add_tags(archive, *OF_EACH_LEVEL)

    async def tags_go() -> None:
        pending, messages.pending = messages.pending, []
        for number in (1, 2, 3):
            await remove_tag(archive, number)
        for _ in range(12):
            messages.pending += await messages.take()
            if messages.pending:
                await engine.run_unit(archive, settings, messages.pending.pop(0).message, 1)
        messages.pending = pending + messages.pending

    if is_broken:
        monkeypatch.setattr(cleanup, "is_indexed_before", _nobody)
    before(monkeypatch, other.catalog, "commit", tags_go)
    await messages.deliver_all(other, settings)
    await messages.deliver_all(archive, settings)
    assert (await archive.tags.read()).tags.removed == ()
    await check(archive, settings, is_broken=is_broken)


@pytest.mark.parametrize("is_broken", [False, True], ids=["whole", "without an entry"])
async def test_a_reindex_whose_entry_comes_late_leaves_out_what_was_removed(
    archive: Archive, other: Archive, settings: Settings, messages: Messages, monkeypatch: pytest.MonkeyPatch,
    is_broken: bool,
) -> None:  # fmt: skip
    study = new_uid()
    await store(StoreService(archive, settings), file_of(study))
    await add_tags(archive, *OF_EACH_LEVEL)

    async def tags_go() -> None:
        pending, messages.pending = messages.pending, []
        for number in (1, 2, 3):
            await remove_tag(archive, number)
        await messages.deliver_all(archive, settings)
        messages.pending = pending + messages.pending
        forget_tags(other)

    if is_broken:
        monkeypatch.setattr(_Indexing, "_declare", _nothing)
        before(monkeypatch, other.postings, "add", tags_go)
    else:
        before(monkeypatch, other.journal, "insert", tags_go)
    await messages.deliver_all(other, settings)
    await check(archive, settings, is_broken=is_broken)


@pytest.mark.parametrize("is_late", [False, True], ids=["before its rows", "after its rows"])
async def test_a_delete_takes_away_what_a_reindex_has_brought_in_meanwhile(
    archive: Archive, other: Archive, settings: Settings, messages: Messages, monkeypatch: pytest.MonkeyPatch,
    is_late: bool,
) -> None:  # fmt: skip
    study = new_uid()
    await store(StoreService(archive, settings), file_of(study), file_of(study, 2))
    await add_tags(archive, *OF_EACH_LEVEL)

    async def reindexed() -> None:
        await messages.deliver_all(archive, settings)

    owner, name = (other.postings, "mark") if is_late else (other.journal, "insert")
    before(monkeypatch, owner, name, reindexed)
    rows = [row async for row in archive.catalog.read_instances(resource_of(study).study)]
    uids = rows[0].identifiers
    await delete(other, resource_of(study, uids.series_instance_uid, uids.sop_instance_uid))
    await check(archive, settings, is_broken=False)


async def check(archive: Archive, settings: Settings, *, is_broken: bool) -> None:
    if is_broken:
        with pytest.raises(AssertionError):
            await check_archive(archive, settings)
    else:
        await check_archive(archive, settings)


@pytest.mark.long
async def test_several_processes_store_and_delete_while_tags_come_and_go(
    archive: Archive, settings: Settings, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_table, "TAG_CACHE_SECONDS", 0.4)
    opened = [await Archive.open(settings) for _ in range(3)]
    studies = [new_uid() for _ in range(3)]
    clients_are_done = asyncio.Event()

    async def client(number: int) -> None:
        process, stores = opened[number], StoreService(opened[number], settings)
        for count in range(25):
            study = studies[(number + count) % 3]
            if number == 2 and count % 10 == 9:
                with suppress(NotFound):
                    await delete(process, resource_of(study))
            else:
                await store(stores, file_of(study, count), file_of(studies[count % 3], count))

    async def tagger() -> None:
        await add_tags(archive, *OF_EACH_LEVEL, after_seconds=1)
        for _ in range(3):
            await asyncio.sleep(2)
            first, *_, last = (await archive.tags.read()).tags.tags
            for number in (first.number, last.number):
                await remove_tag(archive, number, after_seconds=1)
            keys = {tag.key for tag in (await archive.tags.read()).tags.tags}
            await add_tags(archive, *(tag for tag in OF_EACH_LEVEL if tag.key not in keys), after_seconds=1)

    async def host() -> None:
        while not clients_are_done.is_set() or await is_under_way():
            await messages.deliver_all(archive, settings)
            await asyncio.sleep(0.05)

    async def is_under_way() -> bool:
        tags = (await archive.tags.read()).tags
        return bool(tags.removed) or any(tag.status is TagStatus.ADDING for tag in tags.tags)

    hosting = asyncio.create_task(host())
    await asyncio.gather(*(client(number) for number in range(3)), tagger())
    clients_are_done.set()
    await asyncio.wait_for(hosting, 60)
    assert len((await archive.tags.read()).tags.tags) > 0
    await check_archive(archive, settings)
    await check_tags(archive)
    for process in opened:
        await process.close()

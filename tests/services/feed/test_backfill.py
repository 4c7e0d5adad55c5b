"""The first filling: what an archive held before there was a feed is in it before anybody reads it, once."""

import asyncio
from collections import Counter
from typing import Any

import pytest
import pytest_asyncio

from shared.archive.change import Action
from shared.dicom.identifiers import StudyKey
from shared.errors import Unavailable
from shared.services.feed import backfill
from shared.services.feed.backfill import prepare
from shared.services.feed.drain import drain
from shared.services.feed.read import read_page
from shared.services.repair.consistency import examine
from shared.services.write.announce import announce
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage import feed_keys
from shared.storage.archive import Archive
from shared.storage.feed import HeadMoved
from shared.web.change_feed_query import ChangeFeedQuery
from tests.support.default_partition import resource_of, study_key
from tests.support.feeds import commit_of, feed_of, leave
from tests.support.old_format import as_before_the_feed
from tests.support.served_instances import new_uid
from tests.support.stored_instances import KnownInstance, known_instances
from tests.support.stores import store

ALL = ChangeFeedQuery(200, after=0)


@pytest_asyncio.fixture
async def old(archive: Archive, settings: Settings) -> list[KnownInstance]:
    """Three studies of two instances each, as an older release has left them."""
    instances: list[KnownInstance] = []
    stores = StoreService(archive, settings)
    for _ in range(3):
        study = new_uid()
        instances += known_instances(study, new_uid(), 2)
        await store(stores, *(one.file for one in instances[-2:]))
        await as_before_the_feed(archive, study_key(study))
    return instances


async def told(archive: Archive) -> Counter[str]:
    """How often the feed says that an instance was created."""
    entries = await feed_of(archive)
    return Counter(
        entry.change.identifiers.sop_instance_uid for entry in entries if entry.change.action is Action.CREATE
    )


async def test_an_archive_without_the_table_of_the_feed(
    archive: Archive, old: list[KnownInstance], settings: Settings
) -> None:
    """Stores and deletes go on; who needs the feed is told, and finds everything once the table is there."""
    await archive.feed._table.delete_table()
    stores = StoreService(archive, settings)
    study = new_uid()
    (new,) = known_instances(study, new_uid(), 1)
    await store(stores, new.file)
    await delete(archive, resource_of(old[0].identifiers.study_instance_uid))
    assert not await prepare(archive, seconds=30)
    with pytest.raises(Unavailable, match="provision"):
        await drain(archive, seconds=30)
    with pytest.raises(Unavailable, match="provision"):
        await read_page(archive, ALL)
    with pytest.raises(Unavailable, match="provision"):
        _ = [one async for one in examine(archive, settings)]
    await archive.feed._table.create_table()
    await read_page(archive, ALL)
    assert await told(archive) == Counter(one.identifiers.sop_instance_uid for one in [*old, new])


async def test_an_empty_archive_is_whole_at_once(archive: Archive) -> None:
    assert await prepare(archive, seconds=30)
    head = await archive.feed.read_head()
    assert head is not None
    assert head.is_whole
    assert await archive.feed.read_cursor() == ""


async def test_the_first_reader_fills_the_feed(archive: Archive, old: list[KnownInstance]) -> None:
    page = await read_page(archive, ALL)
    assert page.is_complete
    assert Counter(entry.change.identifiers for entry in page.entries) == Counter(one.identifiers for one in old)
    # and nobody does again
    await delete(archive, resource_of(old[0].identifiers.study_instance_uid))
    assert len((await read_page(archive, ALL)).entries) == 8
    assert await told(archive) == Counter(one.identifiers.sop_instance_uid for one in old)


async def test_readers_wait_until_the_feed_is_whole(
    archive: Archive, old: list[KnownInstance], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(*_: Any) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(backfill, "announce", wait)
        patch.setattr("shared.services.feed.read._DRAIN_SECONDS", 0.1)
        with pytest.raises(Unavailable, match="still being filled"):
            await read_page(archive, ALL)
    # drains go on meanwhile
    await leave(archive, commit_of())
    assert await drain(archive, seconds=30)
    assert len(await feed_of(archive)) == 1
    assert len((await read_page(archive, ALL)).entries) == 7
    assert set((await told(archive)).values()) == {1}
    assert set(await told(archive)) > {one.identifiers.sop_instance_uid for one in old}


async def test_several_fill_it_at_once_and_where_one_ended_others_go_on(
    archive: Archive, old: list[KnownInstance], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = archive.catalog.read_unannounced_page
    asked: list[str] = []

    async def read_one(after: str) -> tuple[list[StudyKey], str | None]:
        """One study a page, the last one fails at first."""
        asked.append(after)
        studies, _ = await pages(after)
        if len(asked) == 3:
            raise ConnectionError
        return studies[:1], studies[0].study_instance_uid if len(studies) > 1 else None

    with monkeypatch.context() as patch:
        patch.setattr(type(archive.catalog), "read_unannounced_page", lambda _, after: read_one(after))
        assert not await prepare(archive, seconds=30)
        assert await archive.feed.read_cursor() == asked[2] > asked[1] > asked[0]
        assert await prepare(archive, seconds=30)
        assert asked[3] == asked[2]
    assert await archive.feed.read_cursor() == ""
    assert await prepare(archive, seconds=30)
    assert await drain(archive, seconds=30)
    assert await told(archive) == Counter(one.identifiers.sop_instance_uid for one in old)


async def test_preparing_beside_drains_that_move_the_head(
    archive: Archive, old: list[KnownInstance], monkeypatch: pytest.MonkeyPatch
) -> None:
    note, failures = archive.feed.note_whole, [HeadMoved(), HeadMoved()]

    async def fail_first(head: Any) -> None:
        if failures:
            raise failures.pop()
        await note(head)

    monkeypatch.setattr(type(archive.feed), "note_whole", lambda _, head: fail_first(head))
    assert await prepare(archive, seconds=30)
    assert failures == []
    assert await drain(archive, seconds=30)
    assert len(await feed_of(archive)) == len(old)


async def test_a_study_that_cannot_be_read_is_left_out(
    archive: Archive, old: list[KnownInstance], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = old[0].identifiers.study

    async def announce_others(_: Archive, study: StudyKey) -> None:
        if study == damaged:
            raise KeyError("posted")
        await announce(archive, study)

    monkeypatch.setattr(backfill, "announce", announce_others)
    assert len((await read_page(archive, ALL)).entries) == 4
    assert f"Study {damaged.study_instance_uid} is missing from the change feed" in caplog.text


async def test_wholeness_is_kept_by_later_partitions(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_keys, "PARTITION_BITS", 7)
    assert await prepare(archive, seconds=30)
    for _ in range(3):
        await leave(archive, commit_of(count=60))
    assert await drain(archive, seconds=30)
    head = await archive.feed.read_head()
    assert head is not None
    assert (head.partition, head.is_whole) == (1, True)

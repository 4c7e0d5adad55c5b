"""Draining that dies, or fails, at each of its storage operations: the next drain finishes it, once."""

from itertools import count

import pytest

from shared.archive.change import StudyChanges
from shared.services.feed.backfill import prepare
from shared.services.feed.drain import drain
from shared.services.feed.read import read_page
from shared.settings import Settings
from shared.storage import feed_keys
from shared.storage.archive import Archive
from shared.web.change_feed_query import ChangeFeedQuery
from tests.support.default_partition import study_key
from tests.support.feeds import check_feed, commit_of, feed_of, leave, ready, waiting
from tests.support.served_instances import new_uid
from tests.support.storage_policies import StopAt, before_or_after, die_at


async def left_over(archive: Archive) -> list[StudyChanges]:
    """Commits of two requests of one study, and of another study: more than what is left of a partition."""
    study = study_key(new_uid())
    commits = [commit_of(study, 1, 50), commit_of(study, 2, 60), commit_of(count=40)]
    await leave(archive, commits[0])
    await leave(archive, commits[1])
    await leave(archive, commits[2])
    return commits


@before_or_after
async def test_a_drain_that_dies_anywhere(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    monkeypatch.setattr(feed_keys, "PARTITION_BITS", 7)
    await prepare(archive, seconds=30)
    commits: list[StudyChanges] = []
    for operation in count(1):
        commits += await left_over(archive)
        stop = StopAt(operation, is_done=is_done)
        await die_at(stop, monkeypatch, settings, lambda mortal: drain(mortal, seconds=30))
        # What is there at this moment is never taken back, whoever drains then.
        seen = await feed_of(archive)
        page = await read_page(archive, ChangeFeedQuery(200, after=seen[-1].sequence if seen else 0))
        assert page.is_complete
        entries = await feed_of(archive)
        assert entries[: len(seen)] == seen
        check_feed(entries, commits)
        assert await ready(archive) == []
        assert [await waiting(archive, commit.study) for commit in commits[-3:]] == [[], [], []]
        if not stop.has_died:
            break
    assert operation > 12

"""An archive with a feed of its own, and commits as requests leave them to whoever drains."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from secrets import token_hex

import pytest

from shared.archive.change import Action, Change, StudyChanges
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey
from shared.settings import Settings
from shared.storage import archive as opening
from shared.storage.archive import Archive
from shared.storage.feed_rows import FeedEntry
from shared.storage.journal import JournalEntry
from shared.storage.outbox import change_entity
from tests.support.default_partition import study_key
from tests.support.served_instances import new_uid

CT = "1.2.840.10008.5.1.4.1.1.2"


@asynccontextmanager
async def archive_apart(settings: Settings, patch: pytest.MonkeyPatch) -> AsyncIterator[Archive]:
    """An archive in tables and a container of its own, on the same account; all that are opened later share them."""
    mark = token_hex(4)
    patch.setattr(opening, "_TABLES", tuple(f"{name}{mark}" for name in opening._TABLES))
    patch.setattr(opening, "_CONTAINER", f"dicom{mark}")
    archive = await Archive.open(settings)
    yield archive
    await archive.close()


def commit_of(study: StudyKey | None = None, revision: int = 1, count: int = 1) -> StudyChanges:
    """A commit of new instances, all of whose UIDs are random and as long as they may be."""
    study = study or study_key(new_uid())
    series = new_uid()
    changes = (
        Change(Action.CREATE, InstanceIdentifiers(study, series, new_uid()), token_hex(16), CT, "CT")
        for _ in range(count)
    )
    return StudyChanges(study, revision, tuple(changes))


async def leave(archive: Archive, *commits: StudyChanges, is_done: bool = True) -> JournalEntry:
    """Have commits of one study wait in the outbox, as a request leaves them that is done, or goes on."""
    for commit in commits:
        await archive.outbox._table.upsert_entity(change_entity(commit))
    entry = JournalEntry(token_hex(16), "store", datetime.now(UTC), commits[0].study.path)
    await archive.journal.insert(entry)
    await (archive.journal.mark_done(entry) if is_done else archive.journal.mark_changed(entry))
    return entry


async def feed_of(archive: Archive) -> list[FeedEntry]:
    """All that is in the feed."""
    head = await archive.feed.read_head()
    last = head.last if head else 0
    return [entry async for block in archive.feed.read_blocks(0, last, 1000) for entry in block.entries()]


async def ready(archive: Archive) -> list[str]:
    """The requests that still lead to something to be drained."""
    return [entry.request_id async for entry in archive.journal.read_ready()]


async def waiting(archive: Archive, study: StudyKey) -> list[int]:
    """The revisions of a study that are still in the outbox."""
    return [commit.revision async for commit in archive.outbox.read(study)]


def check_feed(entries: Sequence[FeedEntry], commits: Sequence[StudyChanges]) -> None:
    """Each change is there once, those of a commit in a row, those of a study in order; numbers and stamps rise."""
    expected = {(change.identifiers, change.blob_version) for commit in commits for change in commit.changes}
    found = [(entry.change.identifiers, entry.change.blob_version) for entry in entries]
    assert len(found) == len(set(found)) == len(expected)
    assert set(found) == expected
    places = {one: index for index, one in enumerate(found)}
    ends: dict[StudyKey, int] = {}
    for commit in sorted(commits, key=lambda commit: commit.revision):
        first = places[commit.changes[0].identifiers, commit.changes[0].blob_version]
        assert found[first : first + len(commit.changes)] == [
            (change.identifiers, change.blob_version) for change in commit.changes
        ]
        assert first >= ends.get(commit.study, 0)
        ends[commit.study] = first + len(commit.changes)
    for one, other in pairwise(entries):
        assert one.sequence < other.sequence
        assert one.stamp < other.stamp

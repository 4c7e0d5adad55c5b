from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import ResourceNotFoundError

from shared.archive.terms import Term
from shared.storage import keys
from shared.storage.archive import Archive
from shared.storage.journal import JournalEntry, ReadyEntry
from tests.support.instance_rows import new_uid
from tests.support.raw_archive import RawArchive

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
REQUEST_ID = "0123456789abcdef" * 2


def new_entry() -> JournalEntry:
    return JournalEntry(REQUEST_ID, "store", STARTED, f"studies/{new_uid()}")


async def noted(archive: Archive, *entries: JournalEntry) -> list[JournalEntry]:
    """What the journal has of entries that are not done."""
    resources = [entry.resource for entry in entries]
    found = [entry async for entry in archive.journal.read() if entry.resource in resources]
    return sorted(found, key=lambda entry: resources.index(entry.resource))


async def ready(archive: Archive, entry: JournalEntry) -> ReadyEntry | None:
    found = [one async for one in archive.journal.read_ready() if one.resource == entry.resource]
    return found[0] if found else None


async def test_an_entry_is_open_until_it_is_done_and_stays_until_it_is_removed(archive: Archive) -> None:
    one, other = new_entry(), replace(new_entry(), transaction="delete", resource=f"studies/{new_uid()}/series/2")
    for entry in (one, other):
        await archive.journal.insert(entry)
        await archive.journal.insert(entry)  # as the SDK does when it has no answer
    assert await noted(archive, one, other) == [one, other]
    assert await ready(archive, one) is None
    await archive.journal.mark_done(one)
    assert await noted(archive, one, other) == [other]
    done = await ready(archive, one)
    assert done
    assert (done.request_id, done.resource, done.is_done) == (REQUEST_ID, one.resource, True)
    assert abs(datetime.now(UTC) - done.written) < timedelta(seconds=5)
    assert {one.resource, other.resource} <= {resource async for resource in archive.journal.read_resources()}
    await archive.journal.remove([done])
    await archive.journal.remove([done])
    assert await ready(archive, one) is None
    assert one.resource not in [resource async for resource in archive.journal.read_resources()]
    await archive.journal.mark_done(other)


async def test_what_an_entry_says_changes_and_its_marks_stay(archive: Archive) -> None:
    entry = new_entry()
    await archive.journal.insert(entry)
    await archive.journal.mark_changed(entry)
    entry = replace(entry, created=frozenset({STARTED}), terms=frozenset({Term("PatientID", "1")}))
    await archive.journal.update(entry)
    assert await noted(archive, entry) == [entry]
    changed = await ready(archive, entry)
    assert changed
    assert not changed.is_done
    await archive.journal.mark_over(entry)
    assert await noted(archive, entry) == [replace(entry, is_over=True)]
    await archive.journal.mark_done(entry)
    await archive.journal.update(entry)
    await archive.journal.insert(entry)  # a first write that arrives late
    assert await noted(archive, entry) == []
    done = await ready(archive, entry)
    assert done
    assert done.is_done


async def test_an_entry_that_has_gone_does_not_come_back(archive: Archive) -> None:
    entry = new_entry()
    await archive.journal.mark_done(entry)
    await archive.journal.mark_over(entry)
    for write in (archive.journal.update, archive.journal.mark_changed):
        with pytest.raises(ResourceNotFoundError):
            await write(entry)
    assert await noted(archive, entry) == []
    assert await ready(archive, entry) is None


async def test_an_entry_that_is_done_holds_no_values(raw: RawArchive) -> None:
    entry = replace(new_entry(), created=frozenset({STARTED}), terms=frozenset({Term("PatientName", "roe^richard")}))
    await raw.archive.journal.insert(entry)
    await raw.archive.journal.mark_changed(entry)
    await raw.archive.journal.mark_done(entry)
    rows = raw.tables["journal"].query_entities(f"RowKey eq '{keys.journal_row(REQUEST_ID, entry.resource)}'")
    assert [dict(row) async for row in rows] == [
        {
            "PartitionKey": keys.journal_shard(REQUEST_ID),
            "RowKey": keys.journal_row(REQUEST_ID, entry.resource),
            "done": True,
        }
    ]


async def test_entries_of_releases_without_marks_are_given_them(raw: RawArchive) -> None:
    journal, old, new = raw.archive.journal, new_entry(), new_entry()
    for entry in (old, new):
        await journal.insert(entry)
    await journal.mark_done(new)
    async for entity in raw.tables["journal"].list_entities():
        if old.resource.rpartition("/")[2] in entity["RowKey"]:
            kept = {name: value for name, value in entity.items() if name not in ("changed", "done")}
            await raw.tables["journal"].upsert_entity(kept, mode="replace")
    assert await noted(raw.archive, old) == []
    await journal.give_marks()
    assert await noted(raw.archive, old, new) == [old]
    await journal.mark_done(old)
    assert await ready(raw.archive, old) is not None

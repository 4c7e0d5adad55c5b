from datetime import UTC, datetime

from shared.storage.archive import Archive
from shared.storage.journal import JournalEntry


async def test_entries_are_written_and_removed(archive: Archive) -> None:
    request_id = "0123456789abcdef" * 2
    started = datetime(2026, 1, 1, tzinfo=UTC)
    entries = [
        JournalEntry(request_id, "store", started, "studies/1"),
        JournalEntry(request_id, "delete", started, "studies/1/series/2/instances/3"),
    ]

    async def noted() -> list[JournalEntry]:
        return [entry async for entry in archive.journal.read() if entry.request_id == request_id]

    for entry in entries:
        await archive.journal.write(entry)
        await archive.journal.write(entry)
    assert sorted(await noted(), key=lambda entry: entry.resource) == entries
    await archive.journal.remove(request_id, ["studies/1"])
    assert await noted() == entries[1:]
    await archive.journal.remove(request_id, [entry.resource for entry in entries])
    assert await noted() == []

from datetime import UTC, datetime

from shared.storage.archive import Archive
from shared.storage.journal import JournalEntry


async def test_a_request_is_noted_widened_and_forgotten(archive: Archive) -> None:
    request_id = "0123456789abcdef" * 2
    started = datetime(2026, 1, 1, tzinfo=UTC)
    await archive.journal.write(JournalEntry(request_id, "store", started, {"studies/1"}))
    wider = JournalEntry(request_id, "store", started, frozenset({"studies/1", "studies/2"}))
    await archive.journal.write(wider)
    assert [entry async for entry in archive.journal.read() if entry.request_id == request_id] == [wider]
    await archive.journal.remove(request_id)
    await archive.journal.remove(request_id)
    assert [entry async for entry in archive.journal.read() if entry.request_id == request_id] == []

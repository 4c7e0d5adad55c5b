"""What no instance, study or request at work needs: blobs without a row, and surplus postings."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from shared.archive.study_terms import instance_of, terms_of, terms_of_instance
from shared.archive.terms import Term
from shared.services.write.needless_postings import remove_needless_postings
from shared.settings import Settings
from shared.storage import blob_names
from shared.storage.archive import Archive
from shared.storage.journal import JournalEntry, study_of
from shared.storage.parallel import in_parallel
from shared.storage.posting_keys import Posting, in_index


def last_alive_at(settings: Settings, now: datetime | None = None) -> datetime:
    """A request that began before this time is dead at `now`, by default the present."""
    return (now or datetime.now(UTC)) - timedelta(seconds=2 * settings.max_request_seconds)


async def _at_work(archive: Archive, last_alive: datetime) -> list[JournalEntry]:
    return [entry async for entry in archive.journal.read() if entry.may_be_alive(last_alive)]


async def orphans(archive: Archive, names: Sequence[str], *, spared: Collection[str] = ()) -> list[str]:
    """Those of the blobs, listed before, that belong to no instance and to no store whose request id is `spared`."""
    left = [name for name in names if not blob_names.instance_of_blob(name)[1].startswith(tuple(spared))]
    rows = await in_parallel(archive.catalog.read_instance(blob_names.instance_of_blob(name)[0]) for name in left)
    return [name for name, row in zip(left, rows, strict=True) if row is None or name not in blob_names.blobs_of(row)]


async def lasting_orphans(archive: Archive, names: Sequence[str], last_alive: datetime) -> list[str]:
    """Those of the blobs, listed before, that belong to no instance and to no request that may be alive."""
    if not names:
        return []
    # No request is overlooked: a store or restore that ended before the first look has its rows in place; a delete
    # without an entry at the second look has removed its blobs.
    at_work = await _at_work(archive, last_alive)
    restored = {study_of(entry) for entry in at_work if entry.transaction == "restore"}
    asked = [name for name in names if blob_names.instance_of_blob(name)[0].study not in restored]
    found = await orphans(archive, asked, spared=[entry.request_id for entry in at_work])
    deletes = [entry for entry in await _at_work(archive, last_alive) if entry.transaction == "delete"]
    changing = {study_of(entry) for entry in deletes}
    return [
        name
        for name in found
        if blob_names.instance_of_blob(name)[0].study not in changing and await archive.blobs.exists(name)
    ]


async def is_surplus(archive: Archive, term: Term, posting: Posting, last_alive: datetime) -> bool:
    """Whether a posting, seen before, is needed neither by its study as it is nor by a request that may be alive."""
    study_key = posting.study
    for is_last_look in (False, True):  # the order of `lasting_orphans`, for the same reasons
        if any(study_of(entry) == study_key for entry in await _at_work(archive, last_alive)):
            return False
        if not is_last_look and await _needs(archive, term, posting):
            return False
    return term in await archive.postings.existing(study_key, posting.created, [term])


async def remove_surplus(archive: Archive, term: Term, posting: Posting, last_alive: datetime) -> None:
    """Remove a posting, seen before, if it `is_surplus`. Raises StudyContended."""
    if await is_surplus(archive, term, posting, last_alive):
        study_key = posting.study
        await remove_needless_postings(archive, study_key, created={posting.created}, terms=[term])


async def _needs(archive: Archive, term: Term, posting: Posting) -> bool:
    """Whether the posting's study needs it, or may need it because rows of the study are missing."""
    study_key = posting.study
    study = await archive.catalog.read_study(study_key)
    if study is None:
        return await archive.catalog.has_rows(study_key)
    if posting.created != study.record.created:
        return False
    asked = in_index([term])
    if asked <= in_index(terms_of(study.record)):
        return True
    if (instance := instance_of(study_key, term)) is not None:
        row = await archive.catalog.read_instance(instance)
        return row is not None and asked <= in_index(terms_of_instance(instance, row.tags))
    rows = archive.catalog.read_instances(study_key)
    return asked <= in_index(study.record.posted) and any(
        [row.identifiers.series_instance_uid not in study.record.series async for row in rows]
    )

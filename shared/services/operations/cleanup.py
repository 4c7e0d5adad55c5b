"""The operation that takes away what is left of an extended query tag that was removed, as the index finds it.

Its specification is the `generation` of the first set without the tag, and the tag's `name` and `number`. The lister
first waits until nobody may be at work who indexes by an earlier set: from then on, nobody writes values of the tag. A
unit is a range of 500 postings, each of which leads to a study whose rows are cleared; then the postings go.

Storage operations: to wait, 1 each time for each 1,000 entries of the journal; to list the units, 1 for each 1,000
postings; for each run as many, and those of each study (`shared/services/indexing/clear_study.py`).
"""

from collections.abc import Collection
from time import monotonic
from typing import Any, Final

from shared.archive.operation import Results
from shared.dicom.identifiers import StudyKey
from shared.services.indexing.clear_study import clear_study
from shared.services.operations.older_tags import is_indexed_before
from shared.services.write.contention import StudyContended
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.posting_keys import PostingKey, bounds_of_tag
from shared.storage.tag_table import TagsChanged

_POSTINGS: Final = 500
_LISTED: Final = 90
_LISTING_SECONDS: Final = 60

_WAITING: Final = "waiting"


async def list_units(archive: Archive, settings: Settings, specification: Any, cursor: Any) -> tuple[list[Any], Any]:
    """The next units, once nobody indexes by an earlier set."""
    name, generation = specification["name"], specification["generation"]
    if cursor in (None, _WAITING) and await is_indexed_before(archive, settings, generation):
        return [], _WAITING
    first, last = bounds_of_tag(name)
    begin: PostingKey = first if cursor in (None, _WAITING) else (cursor[0], cursor[1])
    units: list[Any] = []
    count, give_up = 0, monotonic() + _LISTING_SECONDS
    async for _, posting in archive.postings.read_every_term(begin, last, tags=[name]):
        count += 1
        if count == _POSTINGS:
            units.append({"name": name, "after": begin, "up_to": posting.key})
            begin, count = posting.key, 0
            if len(units) == _LISTED or monotonic() > give_up:
                return units, list(begin)
    return [*units, *([{"name": name, "after": begin, "up_to": last}] if count else [])], None


async def run(archive: Archive, _settings: Settings, work: Any, cursor: Any, deadline: float) -> tuple[Results, Any]:
    """Clear the studies that a range of postings leads to, after one of them, and remove those that are left."""
    name, up_to = work["name"], tuple(work["up_to"])
    place: PostingKey = tuple(cursor or work["after"])
    cleared: dict[StudyKey, frozenset[PostingKey]] = {}
    async for term, posting in archive.postings.read_every_term(place, up_to, tags=[name]):
        study = posting.study
        if study not in cleared:
            if cleared and monotonic() > deadline:
                return _results(cleared), list(place)
            has_instances = bool(posting.sop_instance_uid)
            try:
                cleared[study] = await clear_study(archive, study, [name], with_instances=has_instances)
            except StudyContended:  # the next run may be luckier
                return _results(cleared), list(place)
        if posting.key not in cleared[study]:
            await archive.postings.remove(study, posting.created, [term])
        place = posting.key
    return _results(cleared), None


async def forget(archive: Archive, operation_id: str) -> None:
    """Forget the tag after which an operation has cleaned up, and its errors. 1 storage operation, or some 4."""
    while True:
        before = await archive.tags.read()
        removed = next((tag for tag in before.tags.removed if tag.operation_id == operation_id), None)
        if removed is None:
            return
        await archive.tags.remove_errors(removed.number)
        try:
            await archive.tags.replace(before, before.tags.cleaned_up(removed.number))
        except TagsChanged:
            continue
        return


def _results(cleared: Collection[StudyKey]) -> Results:
    return Results({"studies": len(cleared)})

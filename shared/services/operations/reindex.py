"""The operation that indexes all studies that are there by new extended query tags, the newest study first.

Its specification is the `generation` of the set that has the tags, and their `numbers`. The lister first waits until
nobody may be at work who indexes by an earlier set: from then on, what is stored is indexed by the tags, and what was
stored before is in the catalog. A unit is 25 studies, each of which goes on where the run before has come to.

Storage operations: to wait, 1 each time for each 1,000 entries of the journal; to list the units, 2 for each 1,000
studies; for each run 1, and those of each study (`shared/services/indexing/index_study.py`).
"""

import asyncio
from time import monotonic
from typing import Any, Final

from shared.archive.operation import Results
from shared.dicom.identifiers import DEFAULT_PARTITION, StudyKey
from shared.services.indexing.index_study import index_study
from shared.services.indexing.tag_errors import TagErrors
from shared.services.indexing.tag_sources import Place
from shared.services.operations.older_tags import is_indexed_before
from shared.services.write.contention import StudyContended
from shared.settings import Settings
from shared.storage.archive import Archive

_STUDIES: Final = 25
_LISTED: Final = 90
_LISTING_SECONDS: Final = 60

_WAITING: Final = {"stage": "waiting", "percent": 0}


async def list_units(archive: Archive, settings: Settings, specification: Any, cursor: Any) -> tuple[list[Any], Any]:
    """The next units, once nobody indexes by an earlier set."""
    numbers = set(specification["numbers"])
    if numbers.isdisjoint(tag.number for tag in (await archive.tags.read()).tags.tags):
        return [], None  # all of them have been removed
    stage = (cursor or _WAITING)["stage"]
    if stage == "waiting":
        if await is_indexed_before(archive, settings, specification["generation"]):
            return [], _WAITING
        return await _count(archive, "", 0)
    if stage == "counting":
        return await _count(archive, cursor["after"], cursor["count"])
    return await _list(archive, specification["numbers"], cursor)


async def run(archive: Archive, settings: Settings, work: Any, cursor: Any, deadline: float) -> tuple[Results, Any]:
    """Index the studies of a unit, from an index on, and a place in the first one."""
    await archive.tags.read()
    errors, counts = TagErrors(archive), {"studies": 0, "instances": 0, "errors": 0}
    index, place = (cursor[0], Place.of_json(cursor[1])) if cursor else (0, Place())
    studies = work["studies"]
    while index < len(studies):
        try:
            # Who waits for this run's entries relies on none being at work for longer.
            async with asyncio.timeout(settings.max_request_seconds):
                done = await index_study(archive, StudyKey(*studies[index]), work["numbers"], place, errors)
        except StudyContended:  # the next run may be luckier
            break
        counts["instances"] += done.instances
        counts["errors"] += done.errors
        place = done.place or Place()
        if done.place is None:
            counts["studies"] += 1
            index += 1
        if monotonic() > deadline:
            break
    await errors.tell()
    return Results(counts), [index, place.json] if index < len(studies) else None


async def make_ready(archive: Archive, operation_id: str) -> None:
    """Let searches use the tags of an operation. 1 storage operation, or 3."""
    await archive.tags.change(lambda tags: tags.with_ready(operation_id))


def percent(place: Any) -> int:
    """How much is done before a unit of this work, or where the lister has this cursor, in the order of studies."""
    return int(place["percent"]) if place else 0


async def _count(archive: Archive, after: str, count: int) -> tuple[list[Any], Any]:
    """Count the studies, so that it can be told how many of them are done."""
    give_up = monotonic() + _LISTING_SECONDS
    async for posting in archive.postings.read_studies(DEFAULT_PARTITION, after):
        count += 1
        if monotonic() > give_up:
            return [], {"stage": "counting", "percent": 0, "after": posting.row_key, "count": count}
    return [], {"stage": "listing", "percent": 0, "after": "", "listed": 0, "count": count}


async def _list(archive: Archive, numbers: list[int], cursor: Any) -> tuple[list[Any], Any]:
    """Units of the next studies."""
    units: list[Any] = []
    studies: list[list[str]] = []
    listed, count, give_up = cursor["listed"], cursor["count"], monotonic() + _LISTING_SECONDS
    async for posting in archive.postings.read_studies(DEFAULT_PARTITION, cursor["after"]):
        studies.append([posting.study.partition, posting.study.study_instance_uid])
        if len(studies) == _STUDIES:
            units.append(_unit(numbers, studies, listed, count))
            listed, studies = listed + _STUDIES, []
            if len(units) == _LISTED or monotonic() > give_up:
                following = {"percent": _percent(listed, count), "after": posting.row_key, "listed": listed}
                return units, {**cursor, **following}
    return [*units, *([_unit(numbers, studies, listed, count)] if studies else [])], None


def _unit(numbers: list[int], studies: list[list[str]], listed: int, count: int) -> Any:
    return {"numbers": numbers, "studies": studies, "percent": _percent(listed, count)}


def _percent(listed: int, count: int) -> int:
    return min(100 * listed // max(count, 1), 99)

"""The operation that examines the archive, or some studies of it: what `make fsck` examines, in units of bounded size.

It repairs nothing. The units of the whole archive are its studies, 25 in each; ranges of the index, of 5,000 postings;
and the journal, the change feed, and the container's folders, each of which one unit looks through. A unit that runs
long, or finds much, goes on in a next run: after a study, a file whose digest was compared, a posting, a page of
folders; only the journal and the feed are looked through at once.

Storage operations: those of the examination (`shared/services/repair/`); to list the units, 1 for each 1,000 rows of
the catalog and for each 1,000 postings; for each study whose changes wait for the feed, 1 more.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Final

from shared.archive.operation import Results
from shared.dicom.identifiers import DEFAULT_PARTITION, StudyKey
from shared.services.repair.consistency import (
    examine_changes,
    examine_feed,
    examine_folders,
    examine_journal,
)
from shared.services.repair.differences import Difference
from shared.services.repair.digest_check import examine_digests
from shared.services.repair.index_check import examine_postings
from shared.services.repair.leftovers import last_alive_at
from shared.services.repair.study_check import Examined, examine_study
from shared.settings import Settings
from shared.storage.archive import Archive

_STUDIES: Final = 25
_POSTINGS: Final = 5000
_MOST_FOUND: Final = 10_000
"""How many differences a run ends with: most of them fit what is kept of a run, and memory."""

_LISTED: Final = 90
_LISTING_SECONDS: Final = 60  # once a unit is found


@dataclass(slots=True)
class _Run:
    """What a run of a unit has found so far, and what it has to know."""

    archive: Archive
    last_alive: datetime
    deadline: float
    counts: Examined = field(default_factory=Examined)
    found: list[Difference] = field(default_factory=list)

    @property
    def is_late(self) -> bool:
        """Whether the rest is for the next run."""
        return monotonic() > self.deadline or len(self.found) >= _MOST_FOUND


async def list_units(archive: Archive, _settings: Settings, specification: Any, cursor: Any) -> tuple[list[Any], Any]:
    """The next units of the studies that the specification names, or else of the whole archive."""
    has_digests = specification["has_digests"]
    if specification["studies"] is not None:
        begin, end = cursor or 0, (cursor or 0) + _LISTED * _STUDIES
        named = [[DEFAULT_PARTITION, uid, True, True] for uid in specification["studies"]]
        units = [_unit_of_studies(studies, has_digests) for studies in _by(_STUDIES, named[begin:end])]
        return units, end if end < len(named) else None
    if cursor is None:
        return [{"part": part} for part in ("journal", "feed", "folders")], ["studies", None]
    stage, after = cursor
    give_up = monotonic() + _LISTING_SECONDS
    if stage == "studies":
        return await _list_studies(archive, after, has_digests, give_up)
    return await _list_postings(archive, after, give_up)


async def run(archive: Archive, settings: Settings, work: Any, cursor: Any, deadline: float) -> tuple[Results, Any]:
    """Examine what a unit consists of."""
    one = _Run(archive, last_alive_at(settings), deadline)
    following = await _PARTS[work["part"]](one, work, cursor)
    counts = one.counts
    return Results(
        {
            "studies": counts.studies,
            "instances": counts.instances,
            "blobs": counts.blobs,
            "postings": counts.postings,
            "differenceCount": len(one.found),
        },
        [_shown(difference) for difference in one.found],
    ), following


async def _list_studies(archive: Archive, after: Any, has_digests: bool, give_up: float) -> tuple[list[Any], Any]:
    """Units of the studies that follow one in the catalog, and from where to go on: perhaps with the index."""
    units: list[Any] = []
    studies: list[Any] = []
    async for rows in archive.catalog.read_study_rows(StudyKey(*after) if after else None):
        if rows.is_there or rows.changes:
            studies.append([rows.study.partition, rows.study.study_instance_uid, rows.is_there, bool(rows.changes)])
        if len(studies) == _STUDIES:
            units.append(_unit_of_studies(studies, has_digests))
            studies = []
            if len(units) == _LISTED or monotonic() > give_up:
                return units, ["studies", [rows.study.partition, rows.study.study_instance_uid]]
    if studies:
        units.append(_unit_of_studies(studies, has_digests))
    return units, ["postings", None]


async def _list_postings(archive: Archive, after: Any, give_up: float) -> tuple[list[Any], Any]:
    """Units of the postings that follow one, and from where to go on."""
    units: list[Any] = []
    begin, count = after, 0
    names = (await archive.tags.recent()).kept_names
    async for _, posting in archive.postings.read_every_term(_key(after), tags=names):
        count += 1
        if count == _POSTINGS:
            units.append({"part": "postings", "after": begin, "up_to": list(posting.key)})
            begin, count = list(posting.key), 0
            if len(units) == _LISTED or monotonic() > give_up:
                return units, ["postings", begin]
    return [*units, {"part": "postings", "after": begin, "up_to": None}], None


async def _examine_studies(one: _Run, work: Any, cursor: Any) -> Any:
    """Examine studies, from an index on, with the files after one of them if their digests are asked for."""
    index, after = cursor or (0, None)
    waiting: dict[StudyKey, Sequence[int]] = {}
    studies = work["studies"]
    while index < len(studies):
        *key, may_be_there, may_have_changes = studies[index]
        study = StudyKey(*key)
        if after is None:
            if may_be_there:  # the folder of another is examined with those that have no rows
                one.found += await examine_study(one.archive, study, one.last_alive, one.counts)
            revisions = await one.archive.outbox.read_revisions(study) if may_have_changes else ()
            waiting |= {study: revisions} if revisions else {}
        if work["digests"] and may_be_there:
            differences, after = await examine_digests(one.archive, study, after or "", deadline=one.deadline)
            one.found += differences
        if after is None:
            index += 1
        if one.is_late:
            break
    one.found += [difference async for difference in examine_changes(one.archive, waiting)]
    return [index, after] if index < len(studies) else None


async def _examine_postings(one: _Run, work: Any, cursor: Any) -> Any:
    """Examine a range of the index, after a posting."""
    after, up_to = _key(cursor or work["after"]), _key(work["up_to"])
    async for posting, surplus in examine_postings(one.archive, one.last_alive, after, up_to):
        one.counts.postings += 1
        one.found += [surplus] if surplus else []
        if one.is_late:
            return list(posting.key)
    return None


async def _examine_folders(one: _Run, _work: Any, cursor: Any) -> Any:
    """Examine the container's folders, from a page on."""
    async for folders, following in one.archive.blobs.list_folder_pages(cursor):
        differences = examine_folders(one.archive, folders, one.last_alive, one.counts)
        one.found += [difference async for difference in differences]
        if one.is_late:
            return following
    return None


async def _examine_journal(one: _Run, _work: Any, _cursor: Any) -> None:
    """Examine the journal."""
    one.found += [difference async for difference in examine_journal(one.archive, one.last_alive)]


async def _examine_feed(one: _Run, _work: Any, _cursor: Any) -> None:
    """Examine the change feed."""
    one.found += [difference async for difference in examine_feed(one.archive)]


_PARTS: Final[Mapping[str, Callable[[_Run, Any, Any], Awaitable[Any]]]] = {
    "studies": _examine_studies,
    "postings": _examine_postings,
    "folders": _examine_folders,
    "journal": _examine_journal,
    "feed": _examine_feed,
}


def _shown(difference: Difference) -> dict[str, Any]:
    study = {"study": difference.study.study_instance_uid} if difference.study else {}
    return {
        "kind": difference.kind.value,
        **study,
        "concerns": difference.concerns,
        "sentence": difference.sentence,
    }


def _unit_of_studies(studies: Sequence[Any], has_digests: bool) -> Any:
    return {"part": "studies", "studies": studies, "digests": has_digests}


def _by(size: int, items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _key(place: Any) -> tuple[str, str] | None:
    """A posting's key as JSON has it."""
    return tuple(place) if place else None

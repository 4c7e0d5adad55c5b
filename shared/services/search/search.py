"""The Search transaction (PS3.18 10.6, QIDO-RS): the index proposes studies, their own rows decide.

Each proposed study is read and matched in full, so a stale posting has no effect on the results, and is removed. The
cost of a search grows with its answer, not with the archive.
"""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final

from shared.archive.instance import NOTHING, DicomJson, InstanceMetadata
from shared.dicom.attributes import Level
from shared.dicom.dicom_json_reader import read_attributes
from shared.dicom.dicom_json_text import dumps
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.errors import NotFound
from shared.failures import described
from shared.search.matching import matched_attributes
from shared.search.query import SearchQuery
from shared.search.search_response import (
    instance_result,
    record_result,
    returned_tags,
    series_attributes,
    study_attributes,
)
from shared.services.answer_work import CHUNK_BYTES, AnswerWork, Purpose
from shared.services.prefetch import begun
from shared.services.repair.leftovers import last_alive_at, remove_surplus
from shared.services.retrieve.stored_metadata import MetadataText, stored_metadata
from shared.services.search.candidates import INSTANCE_UID, Candidate, candidates
from shared.services.search.effort import Effort
from shared.services.search.page_ends import PageEnds, Place, key_of_page
from shared.services.search.results import LongResult, SearchResults, ShortResult
from shared.services.turns import Turns
from shared.settings import Settings
from shared.storage import keys
from shared.storage.archive import Archive
from shared.storage.posting_keys import order_of
from shared.storage.properties import PAGE_ROWS

_ROWS_BYTES: Final = 512 * 1024  # of memory, for rows of the index, of studies and of series
_ONE_BY_ONE: Final = 10  # the most rows of a series that are read singly, where it has not 20 times as many

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Match:
    """A resource that matches: its path below the service's URL, the row of its `Place`, and its attributes.

    Of an instance, `attributes` are those of its series, `tags` its own values of tags, and `metadata` the rest of its
    own, None where it is too long to be held.
    """

    path: str
    row: str
    attributes: Mapping[str, Any]
    instance: InstanceIdentifiers | None = None
    tags: DicomJson = field(default_factory=lambda: NOTHING)
    metadata: Mapping[str, Any] | None = None


async def search(
    archive: Archive,
    partition: str,
    query: SearchQuery,
    scope: ResourceIdentifiers | None,
    service_url: str,
    settings: Settings,
    work: AnswerWork,
    page_ends: PageEnds | None = None,
) -> SearchResults:
    """Search all of a data partition, or the study or series `scope` in it that the request's path names.

    The newest study comes first, by when it was first stored; within a study, results are in the order of series and
    instance UID. `service_url` is ``scheme://host/v1`` or ``/v2``, for RetrieveURL. `work` holds the results. The page
    begins after the place that `page_ends` have for its offset, whatever now comes before that; without one, results
    are counted.
    """
    returned = returned_tags(query, scope.level if scope else None)
    offset, after = query.offset, None
    if page_ends is not None and offset:
        after = page_ends.get(key_of_page(partition, scope, query, offset, work.caller))
    if after is not None:
        query = replace(query, offset=0)
    effort = Effort.of(settings, query.offset + query.limit + 1)
    page: list[ShortResult | LongResult] = []
    to_skip = query.offset
    has_more = False
    last: Place | None = None
    room = held_bytes = CHUNK_BYTES if query.level is Level.INSTANCE else _ROWS_BYTES
    await work.hold(Purpose.CHUNK, held_bytes)
    async with aclosing(_matches(archive, partition, query, scope, service_url, effort, work, after)) as found:
        async for match, place in found:
            effort.wanted -= 1
            if to_skip:
                to_skip -= 1
            elif len(page) == query.limit:
                has_more = True
                break
            else:
                page.append(_result(match, query, returned))
                last = place
                room -= page[-1].size_bytes
            if room < 0:
                room += CHUNK_BYTES
                held_bytes += CHUNK_BYTES
                await work.hold(Purpose.CHUNK, CHUNK_BYTES)
    work.hold_only(Purpose.CHUNK, held_bytes - room)
    await _repair(archive, effort, settings)
    if page_ends is not None and last is not None:
        page_ends.note(key_of_page(partition, scope, query, offset + len(page), work.caller), last)
    return SearchResults(page, returned, has_more, is_cut=effort.is_cut and not has_more)


def _result(match: _Match, query: SearchQuery, returned: frozenset[str]) -> ShortResult | LongResult:
    if match.instance is None:
        attributes = dict(record_result(match.attributes, query, returned))
    elif match.metadata is None:
        return LongResult(match.instance, match.attributes)
    else:
        uid = match.instance.sop_instance_uid
        attributes = dict(instance_result(match.attributes, uid, match.tags, match.metadata.items(), query, returned))
    return ShortResult(match.path, dumps(attributes))


async def _repair(archive: Archive, effort: Effort, settings: Settings) -> None:
    """Remove the stale postings that a search came across, so that the next one does not."""
    for term, posting in effort.stale:
        try:
            await remove_surplus(archive, term, posting, last_alive_at(settings))
        except Exception as error:  # noqa: BLE001 -- it is logged, without its message; the next search meets it again
            _logger.error("A stale posting of study %s stays: %s", posting.study.study_instance_uid, described(error))


async def _matches(
    archive: Archive,
    partition: str,
    query: SearchQuery,
    scope: ResourceIdentifiers | None,
    service_url: str,
    effort: Effort,
    work: AnswerWork,
    after: Place | None,
) -> AsyncGenerator[tuple[_Match, Place], None]:
    """Each resource that matches, of those after a place, and its own place."""
    first = ""
    if after is not None:
        first = after.order if after.row else f"{after.order}!"
    async with (
        _rows_of_scope(archive, query, scope, after) as rows,
        aclosing(candidates(archive, partition, query, scope, effort, first)) as found,
    ):
        async for candidate in found:
            is_match = False
            order = order_of(candidate.study.created, candidate.study.key)
            row = after.row if after is not None and after.order == order else ""
            within = _matches_within(archive, query, scope, service_url, candidate, effort, work, row, rows)
            async with aclosing(within) as resources:
                async for match in resources:
                    is_match = True
                    yield match, Place(order, match.row)
            if effort.is_over:
                return
            if not is_match and not row:
                effort.misses += 1
                for posting in candidate.postings:
                    effort.note_stale(posting, candidate.study)


def _rows_of_scope(
    archive: Archive, query: SearchQuery, scope: ResourceIdentifiers | None, after: Place | None
) -> AbstractAsyncContextManager[AsyncIterator[InstanceMetadata] | None]:
    """The instances of the series that a path names, whose first rows are read side by side with their study.

    None for other searches: of those it is not known which rows they read.
    """
    series = scope.series_instance_uid if scope and query.level is Level.INSTANCE else None
    if scope is None or series is None or after is not None or INSTANCE_UID in query.keys:
        return nullcontext()
    return begun(archive.catalog.read_metadata(scope.study, series, page_rows=_page_rows(query)))


async def _matches_within(
    archive: Archive,
    query: SearchQuery,
    scope: ResourceIdentifiers | None,
    service_url: str,
    candidate: Candidate,
    effort: Effort,
    work: AnswerWork,
    after: str,
    rows: AsyncIterator[InstanceMetadata] | None,
) -> AsyncGenerator[_Match, None]:
    """What matches of a study, of the series and instances whose rows come after a row key.

    `rows` are those of the instances of the series that is searched, where they are being read.
    """
    study = candidate.study
    of_study = study_attributes(study, service_url)
    if not query.is_met(of_study, Level.STUDY):
        return
    if query.level is Level.STUDY:
        yield _Match(study.key.path, "", of_study)
        return
    matching = {
        uid: of_series
        for uid in sorted(study.series, key=_row_order)
        if (scope is None or scope.series_instance_uid in (None, uid))
        and (candidate.instances is None or uid in candidate.instances)
        and _is_left(uid, query.level, after)
        and query.is_met(of_series := series_attributes(study, of_study, study.series[uid], service_url), Level.SERIES)
    }
    if query.level is Level.SERIES:
        for uid, attributes in matching.items():
            yield _Match(ResourceIdentifiers(study.key, uid).path, _row_order(uid), attributes)
        return
    if not matching:
        return
    turns = Turns()
    async for record in rows or _instances(archive, query, candidate, list(matching), effort, after):
        await turns.next()
        above = matching.get(record.identifiers.series_instance_uid)
        if above is not None:  # else its series was added after the study was read
            match = await _instance_match(archive, query, record, above, service_url, work)
            if match is not None:
                yield match


async def _instance_match(
    archive: Archive,
    query: SearchQuery,
    record: InstanceMetadata,
    above: Mapping[str, Any],
    service_url: str,
    work: AnswerWork,
) -> _Match | None:
    """An instance, if it matches and has not been deleted since its row was read."""
    identifiers, metadata = record.identifiers, None
    if not query.may_be_met(record.tags):
        return None
    reading = work.part()
    try:
        text = await stored_metadata(archive, record, service_url, reading)
        if text.is_short:
            metadata = json.loads(b"".join(text.pieces()))
            is_match = query.is_met({**metadata, **record.tags}, Level.INSTANCE)
        else:
            is_match = await work.run(lambda: _is_met_in_order(text, record.tags, query))
    except NotFound:
        return None
    finally:
        reading.end()
    if not is_match:
        return None
    return _Match(identifiers.path, keys.row_of_instance(identifiers), above, identifiers, record.tags, metadata)


def _is_met_in_order(text: MetadataText, values: DicomJson, query: SearchQuery) -> bool:
    """Whether metadata, read in order, and values of tags meet what the query asks of instances."""
    required, moments = query.requirements[Level.INSTANCE], query.moments[Level.INSTANCE]
    tags = {tag for one in moments for tag in (one.date_tag, one.time_tag)}
    found = matched_attributes(chain(values.items(), read_attributes(text.pieces())), required, tags)
    return found is not None and all(one.matches(found) for one in moments)


def _row_order(series_instance_uid: str) -> str:
    """The sort key of instances' rows, so that a page of results goes on where the one before ended."""
    return keys.instance_rows(series_instance_uid)[0]


def _is_left(series_instance_uid: str, level: Level, after: str) -> bool:
    """Whether a series comes after the row of a place, or, of level INSTANCE, an instance of it may."""
    first, end = keys.instance_rows(series_instance_uid)
    return (end if level is Level.INSTANCE else first) > after


async def _instances(
    archive: Archive,
    query: SearchQuery,
    candidate: Candidate,
    series_instance_uids: Sequence[str],
    effort: Effort,
    after: str,
) -> AsyncIterator[InstanceMetadata]:
    """The instances of some series that may match, whose rows come after a row key, as the effort allows.

    Where all series are asked for, they are read together, and instances of a newer series may be among them.
    """
    study, page_rows = candidate.study, _page_rows(query)
    if candidate.instances is None:
        left = [uid for uid in study.series if _is_left(uid, Level.INSTANCE, after)]
        is_whole = len(series_instance_uids) == len(left) > 1
        for one in [None] if is_whole else series_instance_uids:
            async for record in archive.catalog.read_metadata(study.key, one, after=after, page_rows=page_rows):
                yield record
        return
    for series in series_instance_uids:
        uids = {uid for uid in candidate.instances[series] if keys.instance_row(series, uid) > after}
        if _is_read_whole(len(uids), study.series[series].instance_count):
            async for record in archive.catalog.read_metadata(study.key, series, after=after, page_rows=page_rows):
                if record.identifiers.sop_instance_uid in uids:
                    yield record
            continue
        for uid in sorted(uids):
            if not effort.allows(postings=1):
                effort.is_over = True
                return
            found = await archive.catalog.read_instance_metadata(InstanceIdentifiers(study.key, series, uid))
            if found is not None:
                yield found


def _page_rows(query: SearchQuery) -> int:
    """How many rows of instances to read at once."""
    return min(query.offset + query.limit + 1, PAGE_ROWS)


def _is_read_whole(named: int, count: int) -> bool:
    """Whether to read all of a series of `count` instances for those that are `named`: where it is not much more."""
    return named > 1 and (2 * named >= count or named > max(_ONE_BY_ONE, count // 20))

"""The Search transaction (PS3.18 10.6, QIDO-RS): the index proposes studies, their own rows decide.

Each proposed study is read and matched in full, so a stale posting has no effect on the results, and is removed. The
cost of a search grows with its answer, not with the archive.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from shared.archive.instance import InstanceMetadata
from shared.dicom.attributes import KEY_BY_PATH, TAG, Level
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.errors import NotFound
from shared.failures import described
from shared.search.matching import AnyOf, satisfies
from shared.search.query import SearchQuery
from shared.search.search_response import (
    instance_attributes,
    result,
    returned_tags,
    series_attributes,
    study_attributes,
)
from shared.services.repair.leftovers import last_alive_at, remove_surplus
from shared.services.retrieve.stored_metadata import stored_metadata
from shared.services.search.candidates import Candidate, Effort, candidates
from shared.services.turns import Turns
from shared.settings import Settings
from shared.storage import keys
from shared.storage.archive import Archive
from shared.storage.properties import PAGE_ROWS
from shared.web.content import Content, in_memory
from shared.web.offers import DICOM_XML

_INSTANCE_UID: Final = KEY_BY_PATH[(TAG["SOPInstanceUID"],)]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SearchResults:
    """The data sets of a page of results, and whether there are more after it.

    `is_cut`: the search ended at a limit of the settings, so there may be more that it did not reach.
    """

    results: list[dict[str, Any]]
    has_more: bool
    is_cut: bool


async def search(
    archive: Archive,
    partition: str,
    query: SearchQuery,
    scope: ResourceIdentifiers | None,
    service_url: str,
    settings: Settings,
) -> SearchResults:
    """Search all of a data partition, or the study or series `scope` in it that the request's path names.

    The newest study comes first, by when it was first stored; within a study, results are in the order of series and
    instance UID. `service_url` is ``scheme://host/v1`` or ``/v2``, for RetrieveURL.
    """
    fixed = scope.level if scope else None
    returned = returned_tags(query, fixed)
    effort = Effort.of(settings, query.offset + query.limit + 1)
    page: list[dict[str, Any]] = []
    to_skip = query.offset
    has_more = False
    async with aclosing(_matches(archive, partition, query, scope, service_url, effort)) as found:
        async for attributes in found:
            effort.wanted -= 1
            if to_skip:
                to_skip -= 1
            elif len(page) == query.limit:
                has_more = True
                break
            else:
                page.append(result(attributes, query, returned))
    await _repair(archive, effort, settings)
    return SearchResults(page, has_more, is_cut=effort.is_cut and not has_more)


async def documents(results: Sequence[Mapping[str, Any]], service_url: str) -> AsyncIterator[Content]:
    """An XML document for each result (PS3.18 10.6.3.2)."""
    from shared.dicom.dicom_xml import native_dicom_model  # pydicom

    for found in results:
        path = found[TAG["RetrieveURL"]]["Value"][0].removeprefix(f"{service_url}/")
        yield in_memory(path, DICOM_XML, None, await asyncio.to_thread(native_dicom_model, found))


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
) -> AsyncGenerator[dict[str, Any], None]:
    """All attributes of each resource that matches."""
    async with aclosing(candidates(archive, partition, query, scope, effort)) as found:
        async for candidate in found:
            is_match = False
            async with aclosing(_matches_within(archive, query, scope, service_url, candidate, effort)) as resources:
                async for attributes in resources:
                    is_match = True
                    yield attributes
            effort.is_sparse |= not is_match
            if not is_match and candidate.posting is not None:
                effort.note_stale(candidate.posting, candidate.study)


async def _matches_within(
    archive: Archive,
    query: SearchQuery,
    scope: ResourceIdentifiers | None,
    service_url: str,
    candidate: Candidate,
    effort: Effort,
) -> AsyncGenerator[dict[str, Any], None]:
    study = candidate.study
    of_study = study_attributes(study, service_url)
    if not _match(query, Level.STUDY, of_study):
        return
    if query.level is Level.STUDY:
        yield of_study
        return
    narrowed_to = _series_of(scope, candidate)
    matching = {
        uid: of_series
        for uid in sorted(study.series, key=_row_order)
        if narrowed_to in (None, uid)
        and _match(query, Level.SERIES, of_series := series_attributes(study, of_study, study.series[uid], service_url))
    }
    if query.level is Level.SERIES:
        for attributes in matching.values():
            yield attributes
        return
    turns = Turns()
    async for record in _instances(archive, query, candidate, list(matching), effort):
        await turns.next()
        above = matching.get(record.identifiers.series_instance_uid)
        if above is None:  # its series was added after the study was read
            continue
        metadata = await _metadata(archive, record, service_url)
        if metadata is not None and _match(query, Level.INSTANCE, metadata):
            yield instance_attributes(above, metadata)


def _row_order(series_instance_uid: str) -> str:
    """The sort key of instances' rows, so that a page of results goes on where the one before ended."""
    return keys.instance_rows(series_instance_uid)[0]


def _match(query: SearchQuery, level: Level, attributes: Mapping[str, Any]) -> bool:
    return satisfies(attributes, query.requirements[level]) and all(
        moments.matches(attributes) for moments in query.moments[level]
    )


def _series_of(scope: ResourceIdentifiers | None, candidate: Candidate) -> str | None:
    """The series to which the search is narrowed, by its path or because the index knows where an instance is."""
    if scope is not None and scope.series_instance_uid is not None:
        return scope.series_instance_uid
    return candidate.posting.series_instance_uid or None if candidate.posting else None


async def _metadata(archive: Archive, record: InstanceMetadata, service_url: str) -> dict[str, Any] | None:
    """The metadata of an instance; None where it has been deleted since its row was read."""
    try:
        metadata: dict[str, Any] = json.loads(await stored_metadata(archive, record, service_url))
    except NotFound:
        return None
    return metadata


async def _instances(
    archive: Archive, query: SearchQuery, candidate: Candidate, series_instance_uids: Sequence[str], effort: Effort
) -> AsyncIterator[InstanceMetadata]:
    """The instances of some series; where the search names UIDs, only those instances, as the effort allows.

    Where all series are asked for, they are read together, and instances of a newer series may be among them.
    """
    study, uids = candidate.study, query.keys.get(_INSTANCE_UID)
    if isinstance(uids, AnyOf):
        asked = candidate.instance_uids if candidate.instance_uids is not None else uids.forms
        for series, uid in product(series_instance_uids, sorted(asked)):
            if not effort.allows(postings=1):
                return
            identifiers = InstanceIdentifiers(study.key, series, uid)
            found = await archive.catalog.read_instance_metadata(identifiers)
            if found is not None:
                yield found
        return
    page_rows = min(query.offset + query.limit + 1, PAGE_ROWS)
    is_whole = len(series_instance_uids) == len(study.series) > 1
    for one in [None] if is_whole else series_instance_uids:
        async for record in archive.catalog.read_metadata(study.key, one, page_rows=page_rows):
            yield record

"""The Search transaction (PS3.18 10.6, QIDO-RS): the index proposes studies, their own rows decide.

The most selective predicate's postings are read, newest study first; each study is read and matched in full, so a
posting that is out of date changes nothing. A search costs what its answer is worth, whatever the size of the archive.
"""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from shared.attributes import BY_KEYWORD, Attribute, Level
from shared.errors import NotFound
from shared.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.matching import AnyOf, Matcher, matches
from shared.records import InstanceRecord, StudyRecord, Term
from shared.search_query import SearchQuery
from shared.search_response import instance_attributes, result, series_attributes, study_attributes
from shared.services.ahead import fetch_ahead
from shared.services.stored_metadata import stored_metadata
from shared.storage import keys
from shared.storage.archive import Archive
from shared.storage.terms import Posting

_AHEAD: Final = 8  # studies read before their turn

# The keywords whose postings are read in preference, most selective first.
_SELECTIVE: Final = (
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "AccessionNumber",
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "StudyDate",
    "PerformedProcedureStepStartDate",
    "ReferringPhysicianName",
    "StudyDescription",
    "ManufacturerModelName",
    "ModalitiesInStudy",
    "Modality",
)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SearchResults:
    """The data sets of a page of results, and whether there are more behind it."""

    results: list[dict[str, Any]]
    has_more: bool


async def search(
    archive: Archive, query: SearchQuery, scope: ResourceIdentifiers | None, service_url: str
) -> SearchResults:
    """Search among everything, or within the study or series `scope` that the request's path names.

    The newest study comes first, by when it was first stored; within a study, by series and instance UID. `service_url`
    is ``scheme://host/version``, for RetrieveURL.
    """
    fixed = None if scope is None else Level.STUDY if scope.series_instance_uid is None else Level.SERIES
    page: list[dict[str, Any]] = []
    to_skip = query.offset
    async with aclosing(_matches(archive, query, scope, service_url)) as found:
        async for attributes in found:
            if to_skip:
                to_skip -= 1
            elif len(page) == query.limit:
                return SearchResults(page, has_more=True)
            else:
                page.append(result(attributes, query, fixed))
    return SearchResults(page, has_more=False)


async def _matches(
    archive: Archive, query: SearchQuery, scope: ResourceIdentifiers | None, service_url: str
) -> AsyncGenerator[dict[str, Any], None]:
    """All attributes of each resource that matches."""
    wanted = {predicate.attribute: predicate.matcher for predicate in query.predicates}
    async with aclosing(_candidates(archive, wanted, query.level, scope)) as candidates:
        async for posting, study in candidates:
            attributes = study_attributes(study, service_url)
            if not _match(wanted, Level.STUDY, attributes):
                continue
            if query.level is Level.STUDY:
                yield attributes
                continue
            for _, series in sorted(study.series.items()):
                if series.series_instance_uid != (_series_of(scope, posting) or series.series_instance_uid):
                    continue
                attributes = series_attributes(study, series, service_url)
                if not _match(wanted, Level.SERIES, attributes):
                    continue
                if query.level is Level.SERIES:
                    yield attributes
                    continue
                records = _instances(archive, wanted, study.study_instance_uid, series.series_instance_uid)
                async for metadata in _metadata(archive, records, service_url):
                    if _match(wanted, Level.INSTANCE, metadata):
                        yield instance_attributes(study, series, metadata, service_url)


def _match(wanted: Mapping[Attribute, Matcher], level: Level, attributes: Mapping[str, Any]) -> bool:
    return all(
        matches(matcher, attributes.get(attribute.tag))
        for attribute, matcher in wanted.items()
        if attribute.level is level
    )


def _series_of(scope: ResourceIdentifiers | None, posting: Posting | None) -> str | None:
    """The series that the search is narrowed to, by its path or because the index knows where an instance is."""
    if scope is not None and scope.series_instance_uid is not None:
        return scope.series_instance_uid
    return posting.series_instance_uid or None if posting else None


async def _candidates(
    archive: Archive, wanted: Mapping[Attribute, Matcher], level: Level, scope: ResourceIdentifiers | None
) -> AsyncGenerator[tuple[Posting | None, StudyRecord], None]:
    """Studies that may match, newest first, with the posting that proposed each."""
    if scope is not None and not (level is Level.INSTANCE and BY_KEYWORD["SOPInstanceUID"] in wanted):
        study = await archive.catalog.read_study(scope.study_instance_uid)
        if study is not None:
            yield None, study.record
        return
    uids = wanted.get(BY_KEYWORD["StudyInstanceUID"])
    if isinstance(uids, AnyOf):
        found = [await archive.catalog.read_study(uid) for uid in uids.forms]
        for study in sorted(filter(None, found), key=lambda study: study.record.created, reverse=True):
            yield None, study.record
        return

    async def read(posting: Posting) -> tuple[Posting, StudyRecord] | None:
        study = await archive.catalog.read_study(posting.study_instance_uid)
        # One of another time is left of a request that died: the study has its own, and is to be found once.
        if study is None or keys.created_of_posting(posting.row_key) != study.record.created:
            return None
        return posting, study.record

    postings = _postings(archive, wanted)
    if scope is not None:
        postings = _within(postings, scope.study_instance_uid)
    async with aclosing(fetch_ahead(postings, read, _AHEAD)) as studies:
        async for candidate in studies:
            if candidate is not None:
                yield candidate


async def _within(postings: AsyncIterator[Posting], study_instance_uid: str) -> AsyncIterator[Posting]:
    async for posting in postings:
        if posting.study_instance_uid == study_instance_uid:
            yield posting


def _postings(archive: Archive, wanted: Mapping[Attribute, Matcher]) -> AsyncIterator[Posting]:
    """The postings of the most selective predicate, or of every study where there is none."""
    for keyword in _SELECTIVE:
        matcher = wanted.get(BY_KEYWORD[keyword])
        if matcher is not None:
            _logger.debug("Searching by the postings of %s.", keyword)
            if isinstance(matcher, AnyOf):
                return archive.terms.read([Term(keyword, form) for form in sorted(matcher.forms)])
            return archive.terms.read_range(keyword, matcher.first, matcher.last)
    _logger.debug("Searching through every study.")
    return archive.terms.read_all()


async def _metadata(
    archive: Archive, records: AsyncIterator[InstanceRecord], service_url: str
) -> AsyncIterator[dict[str, Any]]:
    async for record in records:
        try:
            text = await stored_metadata(archive, record, service_url)
        except NotFound:  # deleted since its row was read
            continue
        yield json.loads(text)


async def _instances(
    archive: Archive, wanted: Mapping[Attribute, Matcher], study_instance_uid: str, series_instance_uid: str
) -> AsyncIterator[InstanceRecord]:
    """A series' instances; only those named, where the search names their UIDs."""
    uids = wanted.get(BY_KEYWORD["SOPInstanceUID"])
    if not isinstance(uids, AnyOf):
        async for record in archive.catalog.read_instances(study_instance_uid, series_instance_uid, with_metadata=True):
            yield record
        return
    for uid in sorted(uids.forms):
        identifiers = InstanceIdentifiers(study_instance_uid, series_instance_uid, uid)
        found = await archive.catalog.read_instance(identifiers, with_metadata=True)
        if found is not None:
            yield found

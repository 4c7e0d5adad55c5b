"""The functions of the Search transaction (QIDO-RS): the resources of PS3.18 Table 10.6.1-1, and one of Microsoft's."""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from functions.edge.app import App
from functions.edge.function import function
from functions.edge.headers import warning
from functions.edge.multipart_message import multipart_response
from functions.edge.request import accepted, answer_work, query_string, resource, service_url
from shared.archive.extended_tags import NO_TAGS
from shared.dicom.attributes import Level
from shared.dicom.identifiers import DEFAULT_PARTITION, ResourceIdentifiers, uid_of_path
from shared.errors import BadRequest, NotFound
from shared.search.query import SearchQuery, parse_search, tags_asked
from shared.search.query_tags import TagNotReady
from shared.web.content import started
from shared.web.content_negotiation import negotiate
from shared.web.offers import METADATA

_ERRONEOUS: Final = "erroneous-dicom-attributes"  # Microsoft's: names of tags that could not index all instances
_MORE: Final = "There are more results than the limit; ask for the next offset"
_CUT: Final = "The search was cut at a limit of the service, and there may be more results: ask for less"


@function("SearchStudies")
async def search_studies(req: Request, app: App) -> Response:
    """All studies."""
    return await _search(req, app, Level.STUDY)


@function("SearchSeries")
async def search_series(req: Request, app: App) -> Response:
    """All series."""
    return await _search(req, app, Level.SERIES)


@function("SearchInstances")
async def search_instances(req: Request, app: App) -> Response:
    """All instances."""
    return await _search(req, app, Level.INSTANCE)


@function("SearchStudySeries")
async def search_study_series(req: Request, app: App) -> Response:
    """A study's series."""
    return await _search(req, app, Level.SERIES)


@function("SearchStudyInstances")
async def search_study_instances(req: Request, app: App) -> Response:
    """A study's instances."""
    return await _search(req, app, Level.INSTANCE)


@function("SearchInstancesOfSeries")
async def search_instances_of_series(req: Request, app: App) -> Response:
    """A series' instances, of whatever study it is."""
    return await _search(req, app, Level.INSTANCE)


@function("SearchSeriesInstances")
async def search_series_instances(req: Request, app: App) -> Response:
    """A series' instances."""
    return await _search(req, app, Level.INSTANCE)


async def _search(req: Request, app: App, level: Level) -> Response:
    from shared.services.search import results, search  # the storage SDKs

    offer = negotiate(accepted(req), METADATA)
    scope = resource(req) if "study" in req.path_params else None
    query = await _query(req, app, level, scope)
    url = service_url(req, app.settings)
    archive, work = await app.archive(), answer_work(req)
    found = await search.search(archive, DEFAULT_PARTITION, query, scope, url, app.settings, work, app.page_ends)
    response = Response(status_code=HTTPStatus.NO_CONTENT)
    if found.results and offer.is_multipart:
        documents = results.xml_documents(archive, found, query, url, work)
        response = multipart_response(offer, documents, url)
    elif found.results and (held := found.text) is not None:
        response = Response(held, media_type=offer.media_type)
    elif found.results:
        array = await started(results.json_array(archive, found, query, url, work))
        response = StreamingResponse(array, media_type=offer.media_type)
    for is_so, text in ((found.has_more, _MORE), (found.is_cut, _CUT)):
        if is_so:
            response.headers.append("Warning", warning(url, text))
    if query.erroneous:
        response.headers[_ERRONEOUS] = ",".join(query.erroneous)
    return response


async def _query(req: Request, app: App, level: Level, scope: ResourceIdentifiers | None) -> SearchQuery:
    """What the request asks for. 1 storage operation where it matches what only an extended query tag may know."""
    text, series = query_string(req), req.path_params.get("series")
    is_matched, is_returned = tags_asked(text)
    tags = NO_TAGS
    if is_matched:
        tags = (await (await app.archive()).tags.read()).tags
    elif is_returned:
        tags = await (await app.archive()).tags.recent()
    try:
        return parse_search(
            text,
            level,
            app.settings,
            is_within_study=scope is not None,
            series_instance_uid=uid_of_path(series, "series") if scope is None and series else None,
            tags=tags,
        )
    except TagNotReady as error:
        raise BadRequest(f"{error} {await _progress(req, app, error.tag.operation_id)}") from None


async def _progress(req: Request, app: App, operation_id: str) -> str:
    """How far the operation is that makes a tag ready. At most 2 storage operations."""
    from shared.services.operations import operation_states  # the storage SDKs

    archive = await app.archive()
    try:
        operation = await operation_states.read_operation(archive, operation_id)
    except NotFound:
        return "No operation makes it ready: add it again."
    url = operation_states.reference_to(operation.id, service_url(req, app.settings))["href"]
    if operation.status.has_ended:
        return f"The operation {url} has ended ({operation.status}) without making it ready: add it again."
    complete = await operation_states.percent_complete(archive, operation) or 0
    return f"It can be searched once the operation {url} has succeeded. percentComplete: {complete}."

"""The functions of the Search transaction (QIDO-RS): the six resources of PS3.18 Table 10.6.1-1."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response

from functions.edge import app
from functions.edge.answers import multipart_response
from functions.edge.request import accepted, resource, service_url, transaction
from shared.dicom.attributes import TAG, Level
from shared.errors import BadRequest
from shared.search.query import parse_search
from shared.web.content_negotiation import negotiate
from shared.web.representations import DICOM_XML, METADATA

if TYPE_CHECKING:
    from shared.web.content import Content

bp = func.Blueprint()

_MORE: Final = "There are more results than the limit; ask for the next offset"
_CUT: Final = "The search was cut at a limit of the service, and there may be more results: ask for less"


@bp.function_name("SearchStudies")
@bp.route("{version}/studies", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def search_studies(req: Request) -> Response:
    """All studies."""
    return await _search(req, Level.STUDY)


@bp.function_name("SearchSeries")
@bp.route("{version}/series", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def search_series(req: Request) -> Response:
    """All series."""
    return await _search(req, Level.SERIES)


@bp.function_name("SearchInstances")
@bp.route("{version}/instances", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def search_instances(req: Request) -> Response:
    """All instances."""
    return await _search(req, Level.INSTANCE)


@bp.function_name("SearchStudySeries")
@bp.route("{version}/studies/{study}/series", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def search_study_series(req: Request) -> Response:
    """A study's series."""
    return await _search(req, Level.SERIES)


@bp.function_name("SearchStudyInstances")
@bp.route("{version}/studies/{study}/instances", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def search_study_instances(req: Request) -> Response:
    """A study's instances."""
    return await _search(req, Level.INSTANCE)


@bp.function_name("SearchSeriesInstances")
@bp.route("{version}/studies/{study}/series/{series}/instances", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@transaction
async def search_series_instances(req: Request) -> Response:
    """A series' instances."""
    return await _search(req, Level.INSTANCE)


async def _search(req: Request, level: Level) -> Response:
    from shared.services.search.search import search

    settings = app.settings()
    offer = negotiate(accepted(req), METADATA)
    scope = resource(req) if "study" in req.path_params else None
    query = parse_search(_query_string(req), level, settings, is_within_study=scope is not None)
    url = service_url(req)
    found = await search(await app.archive(), query, scope, url, settings)
    response = Response(status_code=HTTPStatus.NO_CONTENT)
    if found.results and offer.is_multipart:
        response = multipart_response(req, offer, _documents(found.results, url))
    elif found.results:
        response = Response(json.dumps(found.results), media_type=offer.media_type)
    for is_so, warning in ((found.has_more, _MORE), (found.is_cut, _CUT)):
        if is_so:
            response.headers.append("Warning", f'299 {url} "{warning}"')
    return response


def _query_string(req: Request) -> str:
    raw: bytes = req.scope["query_string"]
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadRequest("The query string is not UTF-8, percent-encoded.") from None


async def _documents(results: Sequence[Mapping[str, Any]], url: str) -> AsyncIterator["Content"]:
    """A document for each result (PS3.18 10.6.3.2)."""
    from shared.dicom.dicom_xml import native_dicom_model
    from shared.web.content import in_memory

    for found in results:
        path = found[TAG["RetrieveURL"]]["Value"][0].removeprefix(f"{url}/")
        yield in_memory(path, DICOM_XML, None, native_dicom_model(found))

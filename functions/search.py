"""The functions of the Search transaction (QIDO-RS): the six resources of PS3.18 Table 10.6.1-1."""

import json
from http import HTTPStatus

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response

from functions import _services
from functions._http import accepted, resource, service_url, transaction
from shared.attributes import Level
from shared.media_types import Offer, negotiate
from shared.search_query import parse_search

bp = func.Blueprint()

_OFFERS = (Offer("application/dicom+json", False), Offer("application/json", False))


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
    from shared.services.search import search

    answer = negotiate(accepted(req), _OFFERS)
    query = parse_search(req.url.query, level, _services.settings())
    scope = resource(req) if "study" in req.path_params else None
    url = service_url(req)
    found = await search(await _services.archive(), query, scope, url)
    response = Response(status_code=HTTPStatus.NO_CONTENT)
    if found.results:
        response = Response(json.dumps(found.results), media_type=answer.media_type)
    if found.has_more:
        response.headers.append(
            "Warning", f'299 {url} "There are more results than the limit; ask for the next offset"'
        )
    if query.is_fuzzy:
        # The text of PS3.18 8.3.4.2.
        warning = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
        response.headers.append("Warning", f'299 {url} "{warning}"')
    return response

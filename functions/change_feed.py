"""The functions of the change feed, as Microsoft's service has it: all changes in one order, and the latest."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.answers import retrieval_response
from functions.edge.app import App
from functions.edge.function import function
from functions.edge.headers import warning
from functions.edge.request import answer_work, api_version, query_string, service_url
from shared.web.change_feed_query import ChangeFeedQuery, LatestQuery, parse_change_feed, parse_latest

_MISSING: Final = "Changes of a moment ago may be missing: ask again"


@function("GetChangeFeed")
async def get_change_feed(req: Request, app: App) -> Response:
    """What was stored and deleted, in order."""
    return await _changes(req, app, parse_change_feed(query_string(req), api_version(req)))


@function("GetLatestChange")
async def get_latest_change(req: Request, app: App) -> Response:
    """What was stored or deleted last; null where nothing ever was."""
    return await _changes(req, app, parse_latest(query_string(req)))


async def _changes(req: Request, app: App, query: ChangeFeedQuery | LatestQuery) -> Response:
    from shared.services.feed.change_feed import retrieve_changes  # the storage SDKs

    url = service_url(req, app.settings)
    found = await retrieve_changes(await app.archive(), query, url, answer_work(req))
    response = await retrieval_response(req, app, found.representations)
    if found.following:
        response.headers["Link"] = f'<{url}/changefeed?{found.following}>; rel="next"'
    if not found.is_complete:
        response.headers["Warning"] = warning(url, _MISSING)
    return response

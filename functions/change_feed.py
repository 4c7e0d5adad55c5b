"""The functions of the change feed, as Microsoft's service has it: all changes in one order, and the latest."""

from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.answers import retrieval_response
from functions.edge.app import App
from functions.edge.function import function
from functions.edge.headers import warning
from functions.edge.request import answer_work, api_version, query_string, service_url
from shared.web.change_feed_query import parse_change_feed, parse_latest

if TYPE_CHECKING:
    from shared.services.feed.change_feed import FoundChanges

_MISSING: Final = "Changes of a moment ago may be missing: ask again"


@function("GetChangeFeed")
async def get_change_feed(req: Request, app: App) -> Response:
    """What was stored and deleted, in order."""
    from shared.services.feed import change_feed  # the storage SDKs

    query, url = parse_change_feed(query_string(req), api_version(req)), service_url(req, app.settings)
    return await _response(req, app, await change_feed.retrieve_page(await app.archive(), query, url, answer_work(req)))


@function("GetLatestChange")
async def get_latest_change(req: Request, app: App) -> Response:
    """The latest change; null where nothing was ever stored."""
    from shared.services.feed import change_feed  # the storage SDKs

    has_metadata, url = parse_latest(query_string(req)), service_url(req, app.settings)
    found = await change_feed.retrieve_latest(await app.archive(), has_metadata, url, answer_work(req))
    return await _response(req, app, found)


async def _response(req: Request, app: App, found: "FoundChanges") -> Response:
    response = await retrieval_response(req, app, found.representations)
    url = service_url(req, app.settings)
    if found.following:
        response.headers["Link"] = f'<{url}/changefeed?{found.following}>; rel="next"'
    if not found.is_complete:
        response.headers["Warning"] = warning(url, _MISSING)
    return response

"""The functions of extended query tags: what else searches can match, because somebody asked for it."""

import asyncio
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.app import App
from functions.edge.function import function
from functions.edge.json_answer import json_answer
from functions.edge.request import query_string, service_url
from functions.edge.request_body import json_body
from shared.archive.extended_tags import QueryStatus
from shared.search.new_tags import path_of_tag
from shared.web.extended_query_tag_request import (
    MAX_BODY_BYTES,
    parse_errors,
    parse_page,
    parse_private_creator,
    parse_query_status,
    parse_tags,
)


@function("AddExtendedQueryTags")
async def add_extended_query_tags(req: Request, app: App) -> Response:
    """Have searches match more attributes, once an operation has read them from what is stored."""
    from shared.services.tag_set.add_tags import OtherTagsUnderWay, add_tags  # the storage SDKs

    url = service_url(req, app.settings)
    asked = parse_tags(await json_body(req, app.settings, MAX_BODY_BYTES))
    try:
        reference = await add_tags(await app.archive(), asked, url)
    except OtherTagsUnderWay as other:  # Microsoft's clients tell by the text that they may ask again
        headers = {"Location": other.operation["href"]}
        return Response(str(other), other.status, headers, media_type="text/plain")
    return json_answer(reference, HTTPStatus.ACCEPTED, {"Location": reference["href"]})


@function("ListExtendedQueryTags")
async def list_extended_query_tags(req: Request, app: App) -> Response:
    """The tags, in the order in which they were added."""
    from shared.services.tag_set.change_tags import read_tags  # the storage SDKs

    page = parse_page(query_string(req))
    return json_answer(await read_tags(await app.archive(), page, service_url(req, app.settings)))


@function("GetExtendedQueryTag")
async def get_extended_query_tag(req: Request, app: App) -> Response:
    """A tag, how far it is, and whether searches may use it."""
    from shared.services.tag_set.change_tags import read_tag  # the storage SDKs

    path, creator = await _path(req), parse_private_creator(query_string(req))
    return json_answer(await read_tag(await app.archive(), path, creator, service_url(req, app.settings)))


@function("UpdateExtendedQueryTag")
async def update_extended_query_tag(req: Request, app: App) -> Response:
    """Let searches use a tag, or not."""
    from shared.services.tag_set.change_tags import set_query_status  # the storage SDKs

    path, creator = await _path(req), parse_private_creator(query_string(req))
    status = QueryStatus(parse_query_status(await json_body(req, app.settings, MAX_BODY_BYTES)))
    archive, url = await app.archive(), service_url(req, app.settings)
    return json_answer(await set_query_status(archive, path, creator, status, url))


@function("DeleteExtendedQueryTag")
async def delete_extended_query_tag(req: Request, app: App) -> Response:
    """Remove a tag: searches can no longer use it, and its values are removed by an operation."""
    from shared.services.tag_set.change_tags import remove_tag  # the storage SDKs

    path, creator = await _path(req), parse_private_creator(query_string(req))
    await remove_tag(await app.archive(), path, creator)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@function("GetExtendedQueryTagErrors")
async def get_extended_query_tag_errors(req: Request, app: App) -> Response:
    """In which instances a tag could not be indexed, and why, the earliest first."""
    from shared.services.tag_set.change_tags import read_errors  # the storage SDKs

    path, (creator, page) = await _path(req), parse_errors(query_string(req))
    return json_answer(await read_errors(await app.archive(), path, creator, page))


async def _path(req: Request) -> tuple[str, ...]:
    """The path of the tag that the URL names. Raises BadRequest."""
    return await asyncio.to_thread(path_of_tag, req.path_params["tag"])  # a rare keyword imports the dictionary

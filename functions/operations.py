"""The functions of operations: long work that a request starts, and that goes on by itself."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from functions.edge.app import App
from functions.edge.function import function
from functions.edge.json_answer import json_answer
from functions.edge.request import api_version, query_string, service_url
from functions.edge.request_body import json_body
from shared.archive.operation import OperationStatus, OperationType
from shared.web.operation_request import (
    COMPLETED,
    MAX_BODY_BYTES,
    operation_id_of,
    parse_operations,
    parse_results,
    parse_verify,
)


@function("StartOperation")
async def start_operation(req: Request, app: App) -> Response:
    """Start an operation: `verify` examines the archive, or some studies of it, and repairs nothing."""
    from shared.services.operations import engine, operation_states  # the storage SDKs

    url = service_url(req, app.settings)
    body = await json_body(req, app.settings, MAX_BODY_BYTES)
    asked = await asyncio.to_thread(parse_verify, body)
    operation = await engine.start(await app.archive(), OperationType.VERIFY, asdict(asked))
    reference = operation_states.reference_to(operation.id, url)
    return json_answer(reference, HTTPStatus.ACCEPTED, {"Location": reference["href"]})


@function("ListOperations")
async def list_operations(req: Request, app: App) -> Response:
    """The operations, newest first."""
    from shared.services.operations import operation_states  # the storage SDKs

    url = service_url(req, app.settings)
    query = parse_operations(query_string(req), list(OperationType), [*OperationStatus, COMPLETED])
    page = await operation_states.read_operations(await app.archive(), query, api_version(req), url)
    asked = {"type": query.type, "status": query.status, "limit": query.limit}
    return _page(page.items, page.following, f"{url}/operations", asked)


@function("GetOperation")
async def get_operation(req: Request, app: App) -> Response:
    """The state of an operation, and once it has ended what it has found."""
    from shared.services.operations import operation_states  # the storage SDKs

    operation_id = operation_id_of(req.path_params["operation"])
    archive, url = await app.archive(), service_url(req, app.settings)
    operation = await operation_states.read_operation(archive, operation_id)
    state = await operation_states.state_of(archive, operation, api_version(req), url)
    if operation.status.has_ended:
        return json_answer(state)
    location = operation_states.reference_to(operation.id, url)["href"]
    return json_answer(state, HTTPStatus.ACCEPTED, {"Location": location})


@function("GetOperationResults")
async def get_operation_results(req: Request, app: App) -> Response:
    """What an operation has found: all of it, once the operation has ended."""
    from shared.services.operations import operation_states  # the storage SDKs

    operation_id, query = operation_id_of(req.path_params["operation"]), parse_results(query_string(req))
    archive, url = await app.archive(), service_url(req, app.settings)
    operation = await operation_states.read_operation(archive, operation_id)
    page = await operation_states.read_results(archive, operation, query)
    return _page(page.items, page.following, f"{url}/operations/{operation.id}/results", {"limit": query.limit})


@function("CancelOperation")
async def cancel_operation(req: Request, app: App) -> Response:
    """Let nothing further of an operation begin; one that has ended stays as it is."""
    from shared.services.operations import engine, operation_states  # the storage SDKs

    archive, url = await app.archive(), service_url(req, app.settings)
    operation = await engine.cancel(archive, operation_id_of(req.path_params["operation"]))
    return json_answer(await operation_states.state_of(archive, operation, api_version(req), url))


def _page(items: list[Any], following: str | None, url: str, asked: Mapping[str, Any]) -> Response:
    if following is None:
        return json_answer(items)
    query = urlencode({"after": following, **{name: value for name, value in asked.items() if value is not None}})
    return json_answer(items, headers={"Link": f'<{url}?{query}>; rel="next"'})

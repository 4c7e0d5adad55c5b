"""The OpenAPI 3.1 document of a version of the service, made from its routes and the tables that the code uses."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from shared.openapi import statuses
from shared.openapi.parameters import (
    RANGE_HEADERS,
    RESOURCE_PATH,
    Parameter,
    media_type_of,
    path_parameters,
    representation_parameters,
)
from shared.openapi.resources import RESOURCES, Resource
from shared.openapi.schemas import schemas
from shared.settings import Settings
from shared.version import VERSION
from shared.web.api_versions import API_NAMES, ApiVersion
from shared.web.content_negotiation import Offer
from shared.web.http_function import HttpFunction
from shared.web.offers import DICOM
from shared.web.permissions import NOTHING, ROLES, SCOPES, Permission, permitting
from shared.web.problem_document import PROBLEM

_SCHEME: Final = "token"
_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}  # the form that generators recognize
_WITHOUT_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})

_WITH_LOCATION: Final = (statuses.OPERATION_STARTED, statuses.OPERATION, statuses.TAGS_ADDED)
_ERRONEOUS: Final = "erroneous-dicom-attributes"
_OPTIONAL_HEADERS: Final = (
    (statuses.SEARCH, ["Warning", _ERRONEOUS]),
    (statuses.CHANGES, ["Link", "Warning"]),
    (statuses.LATEST_CHANGE, ["Warning"]),
    (statuses.OPERATIONS, ["Link"]),
    (statuses.OPERATION_RESULTS, ["Link"]),
)


def document(
    api_name: str, base_url: str, functions: Iterable[HttpFunction], summaries: Mapping[str, str], settings: Settings
) -> dict[str, Any]:
    """The document of a version of the API, as plain values, its paths under the name of API_NAMES that was asked for.

    `base_url` is the service's, without version; `summaries` say in a sentence what each function does, by its name.
    From the settings the document takes whether clients sign in, and the limits.
    """
    paths: dict[str, dict[str, Any]] = {}
    parameters: dict[str, Parameter] = {}
    for function in (function for function in functions if function.answers in RESOURCES):
        route = function.route.replace("{version}", api_name).removeprefix("/")
        path = "/" + route.replace("{*", "{")
        for method, operation in _operations(function, summaries[function.name], settings, API_NAMES[api_name]):
            operation["parameters"] = [_reference(parameter, parameters) for parameter in operation["parameters"]]
            paths.setdefault(path, {})[method] = operation
    components: dict[str, Any] = {"schemas": schemas(), "parameters": parameters}
    if not settings.anonymous_access:
        components["securitySchemes"] = {_SCHEME: _security_scheme()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "DICOMweb", "version": VERSION, "description": _about(settings)},
        "servers": [{"url": base_url}],
        "paths": dict(sorted(paths.items())),
        "components": components,
    }


def _reference(parameter: Parameter, known: dict[str, Parameter]) -> Parameter:
    """A reference to the parameter, which is added to those known; the parameter itself where another has its name."""
    name = parameter["name"]
    return {"$ref": f"#/components/parameters/{name}"} if known.setdefault(name, parameter) == parameter else parameter


def _operations(
    function: HttpFunction, summary: str, settings: Settings, version: ApiVersion
) -> Iterable[tuple[str, dict[str, Any]]]:
    resource = RESOURCES[function.answers]
    parameters = [*_path_parameters(function.route, settings), *resource.parameters(settings, version)]
    if resource.is_negotiated:
        parameters += representation_parameters(name for name in resource.media_types if "*" not in name)
    for method in function.methods:
        # HEAD is GET without a body and without ranges.
        is_head = method == "HEAD"
        operation: dict[str, Any] = {
            "operationId": function.name + ("Head" if is_head else ""),
            "summary": summary,
            "tags": [resource.tag],
            "parameters": [one for one in parameters if not (is_head and one in RANGE_HEADERS)],
        }
        if resource.request_schema:
            operation["requestBody"] = _json_body(resource.request_schema)
        elif method == "POST":
            operation["requestBody"] = _request_body(settings)
        asks_sign_in = function.permission != NOTHING and not settings.anonymous_access
        names = _permitting(function.permission) if asks_sign_in else []
        operation["security"] = [{_SCHEME: [name]} for name in names]
        operation["responses"] = _responses(resource, asks_sign_in=asks_sign_in, is_head=is_head)
        yield method.lower(), operation


def _permitting(needed: Permission) -> list[str]:
    """The roles and scopes that permit it; one is enough."""
    return [*permitting(needed, ROLES), *permitting(needed, SCOPES)]


def _path_parameters(route: str, settings: Settings) -> list[Parameter]:
    if route == "{*path}":
        return [RESOURCE_PATH]
    known = path_parameters(settings)
    return [known[name] for name in re.findall(r"\{\*?(\w+)\}", route) if name != "version"]


def _responses(resource: Resource, *, asks_sign_in: bool, is_head: bool) -> dict[str, Any]:
    tables = [resource.statuses, *([statuses.SIGN_IN] if asks_sign_in else [])]
    responses = {}
    for status in sorted(set().union(*tables) - (resource.range_statuses if is_head else set())):
        when = "; or ".join(table[status] for table in tables if status in table)
        response: dict[str, Any] = {"description": when[0].upper() + when[1:] + "."}
        if headers := _headers(resource, status):
            response["headers"] = headers
        if not is_head and status not in _WITHOUT_BODY:
            response["content"] = _content(resource, status)
        responses[str(status.value)] = response
    return responses


def _content(resource: Resource, status: HTTPStatus) -> dict[str, Any]:
    if status >= HTTPStatus.BAD_REQUEST and status not in resource.bodies:
        text = {"text/plain": {"schema": {"type": "string"}}} if status in resource.texts else {}
        return {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}, **text}
    return {name: _media_type(name, resource.schema) for name in resource.media_types}


def _media_type(name: str, schema: str) -> dict[str, Any]:
    if name.endswith(("json", "yaml")):
        return {"schema": {"$ref": f"#/components/schemas/{schema}"}} if schema else {}
    return _BYTES


def _headers(resource: Resource, status: HTTPStatus) -> dict[str, Any]:
    named = {
        HTTPStatus.CREATED: ["Location"],
        HTTPStatus.UNAUTHORIZED: ["WWW-Authenticate"],
        HTTPStatus.FORBIDDEN: ["WWW-Authenticate"],
        HTTPStatus.NOT_MODIFIED: ["ETag"],
        HTTPStatus.PARTIAL_CONTENT: ["Content-Range" if resource.range_statuses else "Warning"],
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: ["Content-Range"],
    }.get(status, [])
    if status in resource.texts or (status is HTTPStatus.ACCEPTED and resource.statuses in _WITH_LOCATION):
        named = ["Location"]
    if status is HTTPStatus.SERVICE_UNAVAILABLE and status not in resource.bodies:
        named = ["Retry-After"]
    if status is HTTPStatus.OK:
        named = next((names for table, names in _OPTIONAL_HEADERS if resource.statuses is table), named)
    if resource.statuses is statuses.SEARCH and status is HTTPStatus.NO_CONTENT:
        named = [_ERRONEOUS]
    if resource.statuses is statuses.PREFLIGHT and status is HTTPStatus.NO_CONTENT:
        named = ["Allow"]
    is_certain = status not in resource.texts and not {"Link", "Warning", _ERRONEOUS} & {*named}
    return {name: {"schema": {"type": "string"}, **({"required": True} if is_certain else {})} for name in named}


def _request_body(settings: Settings) -> dict[str, Any]:
    return {
        "description": f"Part 10 files, one in each part: at most {settings.max_parts}, of at most "
        f"{settings.max_part_bytes} bytes each and {settings.max_request_bytes} together; or one file alone.",
        "required": True,
        "content": {media_type_of(Offer(DICOM, True)): _BYTES, DICOM: _BYTES},
    }


def _json_body(schema: str) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": _media_type("application/json", schema)}}


def _security_scheme() -> dict[str, Any]:
    return {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the service's authority. An operation needs one of the names it lists: "
        f"an app role ({', '.join(ROLES)}) or a scope ({', '.join(SCOPES)}); if a token has both, both must.",
    }


def _about(settings: Settings) -> str:
    return (
        "Store, retrieve, search and delete DICOM instances (PS3.18). Paths match in any case. Another path is 404, "
        "another method 405. Clients of 2021 find v1 also under v1.0-prerelease, and under no version at all. Searches "
        "also take attributes that are not listed here, by keyword or tag: within a study to match them, anywhere with "
        "an empty value to have them returned. "
        f"The query string has at most {settings.max_query_length} characters."
    )

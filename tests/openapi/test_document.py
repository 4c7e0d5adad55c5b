"""The OpenAPI document is valid, and names what is registered; tests/http/test_openapi.py shows that it is true."""

from http import HTTPStatus
from typing import Any

import pytest
from azure.functions.decorators.function_app import Function
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import function_app  # noqa: F401 -- its import makes the functions
from functions.edge.function import summaries
from functions.routes import ROUTES
from local.server import routes_of
from shared.dicom.attributes import SEARCHABLE
from shared.errors import DicomWebError
from shared.openapi import statuses
from shared.openapi.document import document
from shared.openapi.resources import RESOURCES
from shared.search.query import CONTROLS, REPRESENTATION
from shared.settings import Settings
from shared.web.failure_reasons import FailureReason
from shared.web.http_function import Answers
from shared.web.permissions import ROLES, SCOPES
from tests.support.app_routes import reads

OPEN = Settings(anonymous_access=True)
CLOSED = Settings(authority="https://login.example.org", audience=("dicom",))


def described(version: str = "v2", settings: Settings = OPEN) -> dict[str, Any]:
    return document(version, "https://dicom.example.org", ROUTES.values(), summaries(), settings)


def operations(described: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The operations by method and path."""
    return {
        (method.upper(), path): operation
        for path, item in described["paths"].items()
        for method, operation in item.items()
    }


def test_what_functions_answer_is_described() -> None:
    assert set(Answers) == {*RESOURCES, Answers.OTHER_PATHS}, (
        "What is new in Answers needs a row in shared/openapi/resources.py."
    )
    assert {row.answers for row in ROUTES.values()} == set(Answers), "Answers has what no row of ROUTES answers."


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("settings", [OPEN, CLOSED])
def test_the_document_is_valid(version: str, settings: Settings) -> None:
    OpenAPIV31SpecValidator(described(version, settings)).validate()


@pytest.mark.parametrize("version", ["v1", "v2", "v1.0-prerelease", ""])
def test_every_route_and_method_is_in_it_and_no_other(version: str, functions: list[Function]) -> None:
    registered = {
        (method, "/" + route.template.replace("{version}", version).replace("{*", "{").lstrip("/")): route.function_name
        for route in routes_of(functions)
        for method in route.methods
        if route.function_name != "ZAnswerOtherPaths"
    }
    named = {key: operation["operationId"] for key, operation in operations(described(version)).items()}
    assert {key: name.removesuffix("Head") for key, name in named.items()} == registered
    assert len(set(named.values())) == len(named)
    assert {*registered.values(), "ZAnswerOtherPaths"} == ROUTES.keys()
    assert all(operation["summary"] for operation in operations(described(version)).values())


def test_every_documented_error_is_in_the_code() -> None:
    # A method that is not in the document is 405, as its description says.
    errors = {int(error.status) for error in DicomWebError.__subclasses__()} - {405} | {416}
    documented = {
        int(status) for operation in operations(described("v2", CLOSED)).values() for status in operation["responses"]
    }
    assert {status for status in documented if status >= 400} <= errors
    assert errors <= documented


def test_the_security_of_each_operation_is_what_its_method_needs() -> None:
    reader, owner = ["Dicom.Reader", "Dicom.Read"], ["Dicom.Owner", "Dicom.ReadWrite"]
    assert {*reader, *owner} == {*ROLES, *SCOPES}
    for (method, path), operation in operations(described("v2", CLOSED)).items():
        names = [name for alternative in operation["security"] for name in alternative["token"]]
        if method == "OPTIONS" or path.startswith("/health") or "/api." in path:
            assert names == []
            assert not {"401", "403"} & operation["responses"].keys()
        else:
            assert set(names) == {*owner, *(reader if reads(method, path) else [])}
            assert {"401", "403"} <= operation["responses"].keys()
    assert not any(operation["security"] for operation in operations(described()).values())
    assert "securitySchemes" not in described()["components"]


def test_searches_take_what_they_read_at_their_level_and_nothing_else() -> None:
    found = operations(described())
    always = {"includefield", *CONTROLS, *REPRESENTATION}
    for level, path in enumerate(("studies", "series", "instances"), 1):
        parameters = found["GET", f"/v2/{path}"]["parameters"]
        names = [parameter.get("name") or parameter["$ref"].rpartition("/")[2] for parameter in parameters]
        assert sorted(names) == sorted({key.keyword for key in SEARCHABLE if key.level <= level} | always)
    parameters = described()["components"]["parameters"]
    assert parameters["StudyDate"]["description"] == "(0008,0020), matched by value, range."
    limited = described(settings=Settings(anonymous_access=True, max_search_limit=7, default_search_limit=5))
    assert limited["components"]["parameters"]["limit"]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 7,
        "default": 5,
    }


@pytest.mark.parametrize(
    ("data_set", "is_valid"),
    [
        ({}, True),
        ({"00100020": {"vr": "LO", "Value": ["A", None]}, "7FE00010": {"vr": "OW", "BulkDataURI": "/"}}, True),
        ({"00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}, {}]}}, True),
        ({"PatientID": {"vr": "LO"}}, False),
        ({"0010002A0": {"vr": "LO"}}, False),
        ({"00100020": {"vr": "XX"}}, False),
        ({"00100010": {"vr": "PN", "Value": ["A"]}}, False),
        ({"00280010": {"vr": "US", "Value": ["1"]}}, False),
        ({"00081140": {"vr": "SQ", "Value": [{"PatientID": {"vr": "LO"}}]}}, False),
    ],
)
def test_a_data_set_has_attributes_by_tag_with_values_of_their_vr(data_set: dict[str, Any], is_valid: bool) -> None:
    schema = {"$ref": "#/components/schemas/DataSet", "components": described()["components"]}
    assert OAS31Validator(schema).is_valid(data_set) is is_valid


def test_the_reasons_of_failure_are_listed() -> None:
    failed = described()["components"]["schemas"]["StoreInstancesResponse"]["properties"]["00081198"]
    reason = failed["properties"]["Value"]["items"]["properties"]["00081197"]["properties"]["Value"]["items"]
    assert reason["enum"] == [272, 43264, 43265, 45070] == list(FailureReason)


def test_statuses_are_described_in_the_words_of_the_tables() -> None:
    found = operations(described("v2", CLOSED))
    responses = found["POST", "/v2/studies"]["responses"]
    assert responses["409"]["description"].lower() == statuses.STORE[HTTPStatus.CONFLICT].lower() + "."
    unavailable = responses["503"]["description"].lower()
    assert statuses.STORE[HTTPStatus.SERVICE_UNAVAILABLE].lower() in unavailable
    assert statuses.SIGN_IN[HTTPStatus.SERVICE_UNAVAILABLE].lower() in unavailable

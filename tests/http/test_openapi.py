"""The OpenAPI document is true: every operation in it is requested in many ways.

Each status that it documents is provoked once, in the plainest way; then requests are made up, of what the document
allows and of what it does not, on an archive that holds what their paths name. All answers have to be as documented.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG4HP41, EncapsulatedPDFStorage
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from functions.routes import ROUTES
from shared.web.http_function import Answers
from shared.web.media_types import parse_media_type
from tests.conftest import Server, serving
from tests.support.event_taker import taking
from tests.support.served_instances import dataset, part10, part10_in

Operation = APIOperation[Any, Any, Any, Any]
Request = Case[Operation]

EXAMPLES: Final = 10  # of each operation, in each way of generating requests
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

UIDS: Final = {"StudyInstanceUID": "2.25.71001", "SeriesInstanceUID": "2.25.71002"}
IMAGE: Final = "2.25.71003"
INSTANCES: Final[Mapping[str, Mapping[str, Any]]] = {
    IMAGE: {"OperatorsName": ["One^Two=山^田", "", "Three"], "ReferencedImageSequence": []},
    "2.25.71004": {"NumberOfFrames": 3, "PixelData": bytes(48)},
    "2.25.71005": {
        "SOPClassUID": EncapsulatedPDFStorage,
        "MIMETypeOfEncapsulatedDocument": "application/pdf",
        "EncapsulatedDocument": b"%PDF-1.4",
        "PixelData": None,
    },
}
VIDEO: Final = {"StudyInstanceUID": "2.25.71011", "SeriesInstanceUID": "2.25.71012"}
VIDEO_INSTANCE: Final = "2.25.71013"
FILES: Final = [part10(dataset(**UIDS, SOPInstanceUID=uid, **more)) for uid, more in INSTANCES.items()]
FOUND: Final[Mapping[str, Any]] = {
    "study": UIDS["StudyInstanceUID"],
    "series": UIDS["SeriesInstanceUID"],
    "instance": IMAGE,
    "frames": "1",
}
FOUND_BY_URI: Final = {
    "requestType": "WADO",
    "studyUID": UIDS["StudyInstanceUID"],
    "seriesUID": UIDS["SeriesInstanceUID"],
    "objectUID": IMAGE,
}
STARTED: Final[dict[str, str]] = {}
"""The operation that the service has, and that has ended."""
SUBSCRIBED: Final[dict[str, str]] = {}
"""The subscription that the service has."""
TAG: Final = {"path": "StudyTime", "level": "Study"}
"""A tag that is ready at once, and that the service has."""
SINGLE: Final = "application/dicom"
SEVERAL: Final = 'multipart/related; type="application/dicom"'
BOUNDARY: Final = "; boundary=b"

# Statuses of a service that is not configured, refuses everyone, or has lost its storage, and of clients that stop
# sending, are tested elsewhere.
UNKNOWN: Final = {
    "study": "1.2.3",
    "path": "nothing",
    "operation": "0" * 32,
    "subscription": "0" * 32,
    "tag": "00101010",
}
ELSEWHERE: Final = {"401", "403", "408", "503"}
OF_SUBSCRIPTIONS_ELSEWHERE: Final = {"404", "409"}
"""There are none, or too many."""


def message(*files: bytes) -> bytes:
    return b"".join(b"--b\r\n\r\n" + file + b"\r\n" for file in files) + b"--b--"


schemathesis.openapi.media_type(SINGLE, st.sampled_from(FILES) | st.binary(max_size=300))
schemathesis.openapi.media_type(
    SEVERAL, st.lists(st.sampled_from(FILES) | st.binary(max_size=50), max_size=3).map(lambda some: message(*some))
)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that accepts three instances at once, and holds those above, and a subscription."""
    log = tmp_path_factory.mktemp("described") / "log"
    with serving(log, MAX_PARTS="3", PUBLIC_BASE_URL="", SUBSCRIPTION_HOSTS="127.0.0.1") as running, taking() as url:
        store_again(running)
        store_video(running)
        STARTED["operation"] = an_operation(running)
        SUBSCRIBED["url"] = url
        subscribe_again(running)
        add_tag_again(running)
        yield running


@pytest.fixture(scope="module")
def schema(described: Server) -> BaseSchema:
    """The document as read from YAML."""
    read = schemathesis.openapi.from_url(f"{described.base_url}/v2/api.yaml")
    assert read.raw_schema == httpx.get(f"{described.base_url}/v2/api.json").json()
    return schemathesis.openapi.from_dict(dict(read.raw_schema))  # loaded by its URL, the document would lack that


def an_operation(server: Server) -> str:
    """Start an operation, and wait until it has ended; return its id."""
    response = httpx.post(f"{server.base_url}/v2/operations", json={"type": "verify", "studies": ["1.2.3"]})
    reference: dict[str, str] = response.json()
    give_up = time.monotonic() + 60
    while httpx.get(reference["href"]).status_code == 202:
        assert time.monotonic() < give_up
        time.sleep(0.1)
    return reference["id"]


def store_video(server: Server) -> None:
    """Store a study of an image and a video, which cannot be transcoded as the default media type asks."""
    video = dataset(**VIDEO, SOPInstanceUID=VIDEO_INSTANCE, PixelData=encapsulate([b"video"]), ICCProfile=b"profile!")
    for file in (part10_in(MPEG4HP41, video), part10(dataset(**VIDEO))):
        response = httpx.post(f"{server.base_url}/v2/studies", content=file, headers={"Content-Type": SINGLE})
        assert response.status_code == 200, response.text


def subscribe_again(server: Server) -> None:
    response = httpx.post(f"{server.base_url}/v2/subscriptions", json={"url": SUBSCRIBED["url"]})
    assert response.status_code == 201, response.text
    SUBSCRIBED["subscription"] = response.json()["id"]


def add_tag_again(server: Server) -> None:
    response = httpx.post(f"{server.base_url}/v2/extendedquerytags", json=[TAG])
    assert response.status_code in (202, 409), response.text


def store_again(server: Server) -> None:
    headers = {"Content-Type": SEVERAL + BOUNDARY}
    response = httpx.post(f"{server.base_url}/v2/studies", content=message(*FILES), headers=headers)
    assert response.status_code in (200, 202, 409), response.text


def operations_of(schema: BaseSchema) -> list[Operation]:
    found = [operation.ok() for operation in schema.get_all_operations() if isinstance(operation, Ok)]
    documented = [function for function in ROUTES.values() if function.answers is not Answers.OTHER_PATHS]
    assert len(found) == sum(len(function.methods) for function in documented)
    return found


def found_by(operation: Operation) -> dict[str, Any]:
    """The path parameters by which an operation finds something."""
    if "bulkdata/{path}" in operation.path:
        return {**{name: FOUND[name] for name in ("study", "series", "instance")}, "path": "7FE00010"}
    known = {**FOUND, **STARTED, **SUBSCRIBED, "tag": TAG["path"], "path": "studies"}
    return {name: value for name, value in known.items() if f"{{{name}}}" in operation.path}


def send(server: Server, case: Request, headers: Mapping[str, str] | None = None) -> Response:
    """Send the request and check that the answer is as documented."""
    given_headers = dict(headers or {})
    if case.media_type == SEVERAL:
        given_headers.setdefault("Content-Type", SEVERAL + BOUNDARY)
    response = case.call(base_url=server.base_url, headers=given_headers)
    case.validate_response(response, checks=CHECKS)
    check_media_type(case, response)
    if case.method == "DELETE" and response.status_code == 204:
        put_back(server, case.operation.path)
    return response


def put_back(server: Server, path: str) -> None:
    """Have the service again what a request has removed."""
    if "subscriptions" in path:
        subscribe_again(server)
    elif "extendedquerytags" in path:
        add_tag_again(server)
    else:
        store_again(server)


def check_media_type(case: Request, response: Response) -> None:
    """Check the media type including the type of the parts, which Schemathesis leaves out."""
    content = case.operation.definition.raw["responses"][str(response.status_code)].get("content")
    if content is None or "*/*" in content:
        return
    sent = parse_media_type(response.headers["content-type"][0])
    kinds = [(known.name, known.parameters.get("type")) for known in map(parse_media_type, content)]
    assert (sent.name, sent.parameters.get("type")) in kinds


def plain_case(operation: Operation, **more: Any) -> Request:
    values: dict[str, Any] = {"path_parameters": found_by(operation), "query": {}, **more}
    if operation.path.endswith("/wado"):
        values["query"] = {**FOUND_BY_URI, **values["query"]}
    return operation.Case(**values)


def store_request(status: str) -> dict[str, Any]:
    """What makes a store answer with a status."""
    if status == "200":
        return {"body": part10(dataset(**UIDS)), "media_type": SINGLE}
    if status == "202":
        return {"body": part10(dataset(**UIDS, StudyDate="01.01.2026")), "media_type": SINGLE}
    if status == "406":
        return {"body": FILES[0], "media_type": SINGLE, "query": {"accept": "text/plain"}}
    if status == "409":
        return {"body": FILES[0], "media_type": SINGLE}
    several = {"204": message(), "400": b"no message", "413": message(b"1", b"2", b"3", b"4"), "415": b""}
    return {"body": several[status], "media_type": SEVERAL}


def start_request(status: str) -> dict[str, Any]:
    """What makes a request that starts an operation be answered with a status."""
    too_long = ["2.25." + str(number) * 9 for number in range(10**6, 10**6 + 40_000)]
    studies = {"202": ["1.2.3"], "400": ["x"], "413": too_long, "415": []}
    return {"body": {"type": "verify", "studies": studies[status]}, "media_type": "application/json"}


def subscription_request(operation: Operation, status: str) -> dict[str, Any]:
    """What makes a request with JSON of a subscription be answered with a status."""
    right = {"url": SUBSCRIBED["url"]} if operation.method == "post" else {"status": "active"}
    wrong = {"400": {}, "413": {"filter": "x" * 70_000}}
    unknown = {"path_parameters": {"subscription": "0" * 32}} if status == "404" else {}
    return {"body": wrong.get(status, right), "media_type": "application/json", **unknown}


def tag_request(operation: Operation, status: str) -> dict[str, Any]:
    """What makes a request with JSON of extended query tags be answered with a status."""
    new = [{"path": "SeriesNumber", "level": "Series"}]
    bodies: dict[str, Any] = {"400": [], "409": [TAG], "413": " " * 300_000}
    right = new if operation.method == "post" else {"queryStatus": "Enabled"}
    unknown = {"path_parameters": {"tag": UNKNOWN["tag"]}} if status == "404" else {}
    return {"body": bodies.get(status, right), "media_type": "application/json", **unknown}


def other_request(operation: Operation, status: str) -> dict[str, Any]:
    """What makes any other operation answer with a status."""
    is_several = "416" not in operation.definition.raw["responses"]
    is_uri = operation.path.endswith("/wado")
    unknown = {**found_by(operation), **UNKNOWN}
    match status:
        case "204" if operation.method == "get":
            return {"query": {"StudyInstanceUID": "1.2.3"}}
        case "400" if "{study}" in operation.path:
            return {"path_parameters": {**found_by(operation), "study": "x"}}
        case "400" if is_uri:
            return {"query": {"studyUID": "x"}}
        case "400":
            return {"query": {"unknown": "x"}}
        case "404" if is_uri:
            return {"query": {"studyUID": "1.2.3"}}
        case "404":
            return {"path_parameters": {name: unknown[name] for name in found_by(operation)}}
        case "206" if is_several:
            of_video = {"study": VIDEO["StudyInstanceUID"], "series": VIDEO["SeriesInstanceUID"]}
            of_video["instance"] = VIDEO_INSTANCE
            of_bytes = 'multipart/related; type="application/octet-stream"'
            accept = {"accept": of_bytes if operation.path.endswith("data") else SEVERAL}
            return {"path_parameters": {name: of_video[name] for name in found_by(operation)}, "query": accept}
        case "206" | "416" if "bulkdata/{path}" in operation.path:
            return {"query": {"accept": "application/octet-stream"}}
        case "406":
            return {"query": {("contentType" if is_uri else "accept"): "text/nothing"}}
    return {}


HEADERS: Final = {
    "206": {"Range": "bytes=0-0"},
    "304": {"If-None-Match": "*"},
    "415": {"Content-Type": "text/plain"},
    "416": {"Range": "bytes=99999999-"},
}


def test_the_service_answers_with_each_documented_status(described: Server, schema: BaseSchema) -> None:
    count, wrong = 0, []
    for operation in operations_of(schema):
        is_of_operations = "operations" in operation.path
        is_of_subscriptions = "subscriptions" in operation.path
        elsewhere = ELSEWHERE | (OF_SUBSCRIPTIONS_ELSEWHERE if operation.path.endswith("subscriptions") else set())
        for status in operation.definition.raw["responses"].keys() - elsewhere:
            headers = HEADERS.get(status)
            if status == "202" and is_of_operations and operation.method != "post":
                continue  # it would have to be under way at this moment
            if is_of_operations and operation.method == "post":
                case = plain_case(operation, **start_request(status))
            elif is_of_subscriptions and operation.method in ("post", "patch"):
                case = plain_case(operation, **subscription_request(operation, status))
            elif "extendedquerytags" in operation.path and operation.method in ("post", "patch"):
                case = plain_case(operation, **tag_request(operation, status))
            elif is_of_subscriptions and status == "400":
                case, headers = plain_case(operation), {"Origin": "x" * 8193}
            elif operation.method == "post":
                case = plain_case(operation, **store_request(status))
            elif status == "400" and "/api." in operation.path:
                case, headers = plain_case(operation), {"Host": 'a"b'}
            elif status == "400" and (operation.method == "options" or operation.path.endswith("{operation}")):
                case, headers = plain_case(operation), {"Origin": "x" * 8193}
            else:
                case = plain_case(operation, **other_request(operation, status))
            response = send(described, case, headers)
            if str(response.status_code) != status:
                wrong.append((operation.label, status, response.status_code, response.content[:200]))
            count += 1
    assert wrong == []
    assert count > 200


def cases(operation: Operation) -> st.SearchStrategy[Request]:
    """Requests as documented, for existing resources and for any; and requests that break the document."""
    found = found_by(operation)
    paths = [{**found, "instance": uid} for uid in INSTANCES] if "instance" in found else [found]
    query = FOUND_BY_URI if operation.path.endswith("/wado") else None
    known = [operation.as_strategy(path_parameters=path or None, query=query) for path in paths]
    return st.one_of(
        *known,
        operation.as_strategy(),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )


def test_generated_requests_are_answered_as_documented(described: Server, schema: BaseSchema) -> None:
    statuses: Counter[int] = Counter()
    for operation in operations_of(schema):

        @hypothesis_settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases(operation))
        def check(case: Request) -> None:
            statuses[send(described, case).status_code] += 1

        check()
    assert statuses[200] > 80, statuses
    assert {204, 400, 404, 406} <= set(statuses)

"""The headers of every answer: those that protect browsers, and those that allow pages of other origins."""

import os
from collections.abc import Iterator

import httpx
import pytest
from azure.functions.decorators.function_app import Function

from local.routing import find
from local.server import routes_of
from tests.conftest import Server, serving
from tests.support.app_routes import NO_RESOURCE, requests_of
from tests.support.in_process import configured_client
from tests.support.served_instances import dataset, part10, path_of

VIEWER = "https://viewer.example.org"
LOCAL_VIEWER = "http://localhost:3000"
EXPOSED = {"ETag", "Warning", "Content-Location", "Location", "Content-Range", "Accept-Ranges", "Content-Length"} | {
    "Retry-After",
    "WWW-Authenticate",
}


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of the app as `make run` serves it."""
    with httpx.Client(base_url=server.base_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_with(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, httpx.Client]]:
    """Clients of services that share with a viewer, with everyone and with nobody; the first refuses every request."""
    folder = tmp_path_factory.mktemp("shared")
    with (
        serving(folder / "1", CORS_ORIGINS=f"{VIEWER}, https://second.example.org", ANONYMOUS_ACCESS="false") as one,
        serving(folder / "2", CORS_ORIGINS="*", PUBLIC_BASE_URL="https://dicom.example.org") as everyone,
        serving(folder / "3", CORS_ORIGINS="", PUBLIC_BASE_URL="", TRUST_FORWARDED="false") as nobody,
        httpx.Client(base_url=one.base_url) as first,
        httpx.Client(base_url=everyone.base_url) as second,
        httpx.Client(base_url=nobody.base_url) as third,
    ):
        yield {"one": first, "everyone": second, "nobody": third}


def check_safe(response: httpx.Response) -> None:
    headers = response.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "sandbox" in headers["Content-Security-Policy"]
    expected = "private, no-cache" if "ETag" in headers else "no-store"
    assert headers["Cache-Control"] == expected


def test_every_answer_is_safe(client: httpx.Client, functions: list[Function]) -> None:
    for method, path in requests_of(functions):
        response = client.request(method, path)
        check_safe(response)
        assert "Strict-Transport-Security" not in response.headers


def test_answers_with_content_are_safe(client: httpx.Client) -> None:
    image = dataset()
    path = f"/v2{path_of(image)}"
    study = f"/v2/studies/{image.StudyInstanceUID}"
    stored = client.post("/v2/studies", content=part10(image), headers={"Content-Type": "application/dicom"})
    check_safe(stored)
    for asked in (
        path,
        f"{path}/metadata",
        f"{path}/frames/1",
        f"{path}/rendered",
        f"{path}/bulkdata/7FE00010",
        study,
        f"{study}?accept=application/zip",
        f"{study}/series",
    ):
        for method in ("GET", "HEAD"):
            response = client.request(method, asked)
            if response.status_code != 405:  # searches have no HEAD
                assert response.status_code == 200
                check_safe(response)
    tagged = client.get(f"{path}/metadata")
    unchanged = client.get(
        f"{path}/metadata", headers={"If-None-Match": tagged.headers["ETag"], "Origin": LOCAL_VIEWER}
    )
    assert unchanged.status_code == 304
    check_safe(unchanged)
    assert unchanged.headers["Access-Control-Allow-Origin"] == LOCAL_VIEWER
    assert set(unchanged.headers["Vary"].split(", ")) == {"Accept", "Accept-Encoding", "Origin"}
    part = client.get(f"{path}/frames/1?accept=application/octet-stream", headers={"Range": "bytes=0-3"})
    assert part.status_code == 206
    check_safe(part)


def test_a_pdf_has_no_sandbox(client: httpx.Client) -> None:
    document = dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1",
        MIMETypeOfEncapsulatedDocument="application/pdf",
        EncapsulatedDocument=b"%PDF-1.4",
        PixelData=None,
    )
    client.post("/v2/studies", content=part10(document), headers={"Content-Type": "application/dicom"})
    response = client.get(f"/v2{path_of(document)}/rendered")
    assert response.headers["Content-Type"] == "application/pdf"
    assert "sandbox" not in response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.skipif("SERVED_BY" in os.environ, reason="the worker trusts every X-Forwarded-Proto")
def test_only_https_is_asked_for_where_clients_use_it(shared_with: dict[str, httpx.Client]) -> None:
    for path in ("/health", "/v2/studies", "/v9/studies"):
        assert "max-age=" in shared_with["everyone"].get(path).headers["Strict-Transport-Security"]
        headers = {"X-Forwarded-Proto": "https"}
        assert "Strict-Transport-Security" not in shared_with["nobody"].get(path, headers=headers).headers


def test_every_answer_can_be_read_by_pages_of_an_allowed_origin(
    shared_with: dict[str, httpx.Client], client: httpx.Client, functions: list[Function]
) -> None:
    for asked, origin in ((shared_with["one"], VIEWER), (client, LOCAL_VIEWER)):
        for method, path in requests_of(functions):
            headers = asked.request(method, path, headers={"Origin": origin}).headers
            assert headers["Access-Control-Allow-Origin"] == origin, (method, path)
            assert set(headers["Access-Control-Expose-Headers"].split(", ")) >= EXPOSED
            assert "Origin" in headers["Vary"].split(", ")
            assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize("origin", ["https://evil.example.org", "null", f"{VIEWER}.evil.org", None])
def test_no_answer_can_be_read_by_pages_of_another_origin(
    shared_with: dict[str, httpx.Client], functions: list[Function], origin: str | None
) -> None:
    headers = {"Origin": origin} if origin else {}
    for method, path in requests_of(functions):
        response = shared_with["one"].request(method, path, headers=headers)
        assert not [name for name in response.headers if name.startswith("access-control-")]
        assert "Origin" in response.headers["Vary"].split(", ")  # a cache keeps the answers apart


def test_sharing_with_everyone_and_with_nobody(shared_with: dict[str, httpx.Client]) -> None:
    headers = {"Origin": VIEWER, "Access-Control-Request-Method": "GET"}
    for method in ("GET", "OPTIONS"):
        everyone = shared_with["everyone"].request(method, "/v2/studies", headers=headers)
        assert everyone.headers["Access-Control-Allow-Origin"] == "*"
        nobody = shared_with["nobody"].request(method, "/v2/studies", headers=headers)
        assert nobody.status_code == 204
        assert not [name for name in nobody.headers if name.startswith("access-control-")]


def test_a_preflight_of_every_route_is_answered_without_sign_in(
    shared_with: dict[str, httpx.Client], functions: list[Function]
) -> None:
    routes = routes_of(functions)
    for method, path in requests_of(functions):
        if path == NO_RESOURCE:
            continue
        response = shared_with["one"].options(
            path,
            headers={
                "Origin": VIEWER,
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": "authorization,content-type,traceparent",
            },
        )
        assert response.status_code == 204, path
        assert response.headers["Access-Control-Allow-Origin"] == VIEWER
        assert response.headers["Access-Control-Allow-Headers"] == "authorization,content-type,traceparent"
        assert int(response.headers["Access-Control-Max-Age"]) > 0
        # Exactly what the host would find a function for.
        found = {
            name: find(routes, name, path) for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
        }
        methods = {name for name, one in found.items() if one and one[0].function_name != "ZAnswerOtherPaths"}
        assert set(response.headers["Access-Control-Allow-Methods"].split(", ")) == methods
        assert set(response.headers["Allow"].split(", ")) == methods


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v2/studies", "GET, OPTIONS, POST"),
        ("/V1/Studies/", "GET, OPTIONS, POST"),
        ("/v2/studies/1.2", "DELETE, GET, HEAD, OPTIONS, POST"),
        ("/v2/studies/1.2/series/1.3/instances/1.4/bulkdata/00420011/1/00100010", "GET, HEAD, OPTIONS"),
        ("/v2/studies/1.2/series/1.3/instances/1.4/frames/1%2C2", "GET, HEAD, OPTIONS"),
        ("/v2/studies/1.2/nothing", None),
        ("/v2/studies/1.2%2Fmetadata", "DELETE, GET, HEAD, OPTIONS, POST"),
        ("/v2/", None),
        ("/v9/studies", None),
    ],
)
def test_options_lists_the_methods_of_a_resource(client: httpx.Client, path: str, methods: str | None) -> None:
    response = client.options(path)
    assert response.status_code == (404 if methods is None else 204)
    assert response.headers.get("Allow") == methods
    assert not [name for name in response.headers if name.startswith("access-control-")]


def test_only_one_function_answers_options(functions: list[Function]) -> None:
    # One that did would bypass sign-in.
    assert [route.function_name for route in routes_of(functions) if "OPTIONS" in route.methods] == ["AnswerPreflight"]


async def test_an_invalid_origin_stops_requests(
    functions: list[Function], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environment = {"CORS_ORIGINS": f"{VIEWER}/", "ANONYMOUS_ACCESS": "true"}
    async with configured_client(functions, monkeypatch, environment) as client:
        response = await client.get("/v2/studies", headers={"Origin": VIEWER})
        assert response.status_code == 503
        check_safe(response)
    assert "CORS_ORIGINS" in caplog.text

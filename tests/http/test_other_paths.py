"""Paths without a version, or with another name of v1; and paths and methods that are not there at all."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx
import pytest
from azure.functions.decorators.function_app import Function

from shared.version import VERSION
from tests.conftest import Server
from tests.support.app_routes import NO_RESOURCE, requests_of
from tests.support.in_process import configured_client
from tests.support.served_instances import dataset, part10

NAMES = ["v1", "v1.0-prerelease", "V1.0-PreRelease", ""]
UIDS = {"StudyInstanceUID": "2.25.9100", "SeriesInstanceUID": "2.25.9101", "SOPInstanceUID": "2.25.9102"}
STUDY, SERIES, INSTANCE = UIDS.values()
FILE = part10(dataset(**UIDS))
DICOM = {"Content-Type": "application/dicom"}


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url.replace("127.0.0.1", "localhost"), timeout=60) as opened:
        yield opened


def named(name: str, path: str) -> str:
    """The path, which has the version v2, under another name of a version."""
    return path.replace("/v2", f"/{name}" if name else "", 1)


def found(path: str) -> str:
    """The path of the stored study, series or instance."""
    for level, uid in (("studies", STUDY), ("series", SERIES), ("instances", INSTANCE)):
        path = path.replace(f"/{level}/1.2.3", f"/{level}/{uid}")
    return path


def asked(client: httpx.Client, method: str, name: str, path: str) -> httpx.Response:
    if method in ("POST", "DELETE"):
        client.delete(f"/v1/studies/{STUDY}")
        client.post("/v1/studies", content=FILE, headers=DICOM)
    url = named(name, found(path))
    if "/wado" in path:
        query = {"requestType": "WADO", "studyUID": STUDY, "seriesUID": SERIES, "objectUID": INSTANCE}
        return client.request(method, url, params=query)
    return client.request(method, url, content=FILE if method == "POST" else None, headers=DICOM)


def plain(response: httpx.Response, name: str) -> tuple[int, str, object]:
    """The status, media type and JSON of an answer, without the name of the version in its URLs."""
    content_type = response.headers.get("Content-Type", "").partition(";")[0]
    host = f"{response.request.url.scheme}://{response.request.url.netloc.decode()}"
    text = response.text.replace(f"{host}/{name.lower()}/" if name else f"{host}/", f"{host}/…/")
    return response.status_code, content_type, json.loads(text) if "json" in content_type and text else None


def test_every_resource_of_v1_has_its_other_names(client: httpx.Client, functions: list[Function]) -> None:
    client.post("/v1/studies", content=FILE, headers=DICOM)
    statuses = set()
    for method, path in sorted(requests_of(functions), reverse=True):  # deletes last
        if not path.startswith("/v2") or "/api." in path:
            continue
        expected = plain(asked(client, method, "v1", path), "v1")
        statuses.add(expected[0])
        for name in ("v1.0-prerelease", ""):
            response = asked(client, method, name, path)
            assert plain(response, name) == expected, (method, path, name)
    assert {200, 204, 409} <= statuses, statuses


def test_the_resource_without_version_is_v1(client: httpx.Client) -> None:
    strict = part10(dataset(StudyDate="01.01.2026"))
    for name, status in (("v1", 409), ("v1.0-prerelease", 409), ("", 409), ("v2", 202)):
        assert client.post(named(name, "/v2/studies"), content=strict, headers=DICOM).status_code == status


@pytest.mark.parametrize("name", NAMES)
def test_urls_have_the_name_that_was_asked_for(client: httpx.Client, name: str) -> None:
    begin = str(client.base_url.join(named(name.lower(), "/v2/studies/")))
    client.delete(f"/v1/studies/{STUDY}")
    stored = client.post(named(name, "/v2/studies/"), content=FILE, headers=DICOM).json()
    assert stored["00081199"]["Value"][0]["00081190"]["Value"][0].startswith(begin)
    (study,) = client.get(named(name, f"/v2/studies?StudyInstanceUID={STUDY}")).json()
    assert study["00081190"]["Value"] == [f"{begin}{STUDY}"]
    path = f"/v2/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}"
    (metadata,) = client.get(named(name, f"{path}/metadata")).json()
    assert metadata["7FE00010"]["BulkDataURI"].startswith(begin)
    assert client.get(metadata["7FE00010"]["BulkDataURI"]).status_code == 200
    rendered = client.get(named(name, f"{path}/frames/1?accept=application/octet-stream"))
    assert rendered.headers["Content-Location"].startswith(begin)
    described = client.get(named(name, "/v2/api.json")).json()
    assert described["servers"] == [{"url": str(client.base_url).rstrip("/")}]
    assert named(name.lower(), "/v2/studies/{study}") in described["paths"]


def test_a_request_without_version_is_logged_as_what_it_is(server: Server, client: httpx.Client) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e9102"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    client.get("/studies/2.25.9199/metadata", headers=headers)
    server.wait_for_line(rf"transaction=RetrieveStudyMetadata .*trace={trace} study=2\.25\.9199")


def check_problem(response: httpx.Response, status: int, said: str) -> None:
    assert response.status_code == status
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    if response.request.method == "HEAD":
        assert response.content == b""
        return
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert said in response.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        *(NO_RESOURCE, "/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect", "/favicon.ico", "/health/x"),
        *("/v1/nothing", "/v2/studies/1.2/nothing", "/studies/1.2/nothing", "/v2/health", "/v1/v1/studies"),
        *("/v9/health", "/v1.0-prerelease/health", "/%2e%2e", "/studies%2F1.2", "//studies", "/%C3%A9/%E5%B1%B1"),
    ],
)
def test_a_path_that_is_not_there_is_a_problem(client: httpx.Client, method: str, path: str) -> None:
    # As it is written: the client would join it with its base URL.
    response = client.send(client.build_request(method, "/", extensions={"target": path.encode()}))
    check_problem(response, 404, "no such resource")


@pytest.mark.parametrize("name", [*NAMES, "v2"])
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v2/studies", "GET, OPTIONS, POST"),
        ("HEAD", "/v2/studies", "GET, OPTIONS, POST"),
        ("PATCH", "/v2/studies/1.2", "DELETE, GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/v2/studies/1.2/metadata", "GET, HEAD, OPTIONS"),
        ("POST", "/v2/studies/1.2/series/1.3/instances/1.4/frames/1", "GET, HEAD, OPTIONS"),
        ("POST", "/v2/wado", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_a_resource_does_not_have_is_a_problem(
    client: httpx.Client, name: str, method: str, path: str, allowed: str
) -> None:
    response = client.request(method, named(name, path))
    check_problem(response, 405, f"it has {allowed}")
    assert response.headers["Allow"] == allowed
    assert client.options(named(name, path)).headers["Allow"] == allowed


def test_a_probe_has_its_methods_too(client: httpx.Client) -> None:
    check_problem(client.post("/health"), 405, "it has GET, HEAD, OPTIONS")
    assert client.options("/health").headers["Allow"] == "GET, HEAD, OPTIONS"


def test_a_version_that_is_not_served_is_no_resource(client: httpx.Client) -> None:
    check_problem(client.get("/v3/studies"), 404, "there are v1 and v2")
    check_problem(client.put("/v3/studies"), 404, "no such resource")
    assert client.options("/v3/studies").status_code == 404


class Page(HTMLParser):
    """The links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if (tag, name) == ("a", "href") and value]


@pytest.mark.parametrize(("path", "name"), [("/", "v2"), ("", "v2"), ("/v2", "v2"), ("/v2/", "v2"), ("/V1", "v1")])
def test_the_front_page_leads_on(client: httpx.Client, path: str, name: str) -> None:
    page = client.get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    listed = client.get(path).json()
    assert listed["version"] == VERSION
    assert listed["links"]["studies"].endswith(f"/{name}/studies")
    links = Page(page.text).links
    assert links == list(listed["links"].values())
    for link in links:
        assert client.get(link).status_code in (200, 204)
    assert client.head(path).headers["Content-Type"] == "application/json"


def test_the_front_page_has_no_other_methods_and_other_versions_have_none(client: httpx.Client) -> None:
    refused = client.post("/v2", content=FILE, headers=DICOM)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    for path in ("/v3", "/studie", "/v2/nothing", "/index.html"):
        answer = client.get(path, headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


async def test_the_front_page_needs_neither_sign_in_nor_storage(
    functions: list[Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = "https://viewer.example.org"
    environment = {"AUTHORITY": "https://login.example.org", "AUDIENCE": "a", "VIEWER_URL": viewer}
    async with configured_client(functions, monkeypatch, environment) as unsigned:
        page = await unsigned.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert viewer in Page(page.text).links

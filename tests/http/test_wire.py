"""Requests as they may come over the wire: fields in several lines (RFC 9110 5.3), and from clients of HTTP/1.0."""

import json
import socket
from http.client import HTTPResponse

import httpx
import pytest

from tests.conftest import Server
from tests.support.messages import parts
from tests.support.served_instances import dataset, part10, path_of

JSON = "application/dicom+json"
XML = 'multipart/related; type="application/dicom+xml"'
VIEWER = "http://localhost:3000"
DICOM = {"Content-Type": "application/dicom"}

RESOURCES = {
    "": 'multipart/related; type="application/dicom"',
    "/metadata": JSON,
    "/frames/1": "application/octet-stream",
    "/bulkdata/7FE00010": "application/octet-stream",
    "/rendered": "image/png",
    "/thumbnail": "image/gif",
    "/frames/1/rendered": "image/gif",
    "/frames/1/thumbnail": "image/png",
}


@pytest.fixture(scope="module")
def path(server: Server) -> str:
    """The path of an instance, the only one of its study."""
    image = dataset(PixelData=bytes(64 * 64), Rows=64, Columns=64)
    response = httpx.post(f"{server.base_url}/v2/studies", content=part10(image), headers=DICOM, timeout=60)
    assert response.status_code == 200
    return path_of(image)


def content_type(response: httpx.Response) -> str:
    """The media type without boundary and transfer syntax."""
    assert response.status_code == 200, response.text
    name, *parameters = (text.strip() for text in response.headers["Content-Type"].split(";"))
    return "; ".join([name, *(text for text in parameters if text.startswith("type="))])


@pytest.mark.parametrize("resource", RESOURCES)
def test_accept_in_several_lines_is_one_list(service: httpx.Client, path: str, resource: str) -> None:
    wanted = RESOURCES[resource]
    last = f"*/*;q=0, {wanted};q=0.5"
    for lines in (["text/x-none", wanted], [wanted, "text/x-none"], ["text/x-none, x/y", "", last]):
        response = service.get(path + resource, headers=[("Accept", line) for line in lines])
        assert content_type(response) == wanted, lines
    weighed = [("Accept", f"{wanted};q=0.1"), ("Accept", "*/*;q=0")]
    assert content_type(service.get(path + resource, headers=weighed)) == wanted
    assert service.get(path + resource, headers=[("Accept", "a/b"), ("Accept", "c/d")]).status_code == 406


@pytest.mark.parametrize("lines", [["text/x-none", JSON], ["text/x-none", XML], [f"{XML};q=0.5", f"{JSON};q=0.1"]])
def test_accept_of_searches_stores_and_collections(service: httpx.Client, path: str, lines: list[str]) -> None:
    headers = [("Accept", line) for line in lines]
    study, wanted = path.partition("/series")[0], XML if XML in "".join(lines) else JSON
    searched = (f"{study}/series", f"{study}/instances", f"/studies?StudyInstanceUID={study[9:]}")
    for asked in (*searched, f"{study}/metadata"):
        assert content_type(service.get(asked, headers=headers)) == wanted
    stored = service.post("/studies", content=part10(dataset()), headers=[*headers, *DICOM.items()])
    assert stored.status_code == (200 if JSON in "".join(lines) else 406)
    uids = dict(zip(("studyUID", "seriesUID", "objectUID"), path.split("/")[2::2], strict=True))
    several = [("Accept", "text/x-none"), ("Accept", "image/png")]
    pictured = service.get("/wado", params={"requestType": "WADO", **uids}, headers=several)
    assert content_type(pictured) == "image/png"


@pytest.mark.parametrize(
    ("lines", "is_gzipped"),
    [
        (["br", "gzip"], True),
        (["gzip", "br"], True),
        (["identity", "deflate, gzip;q=0.5"], True),
        (["br", "deflate"], False),
        (["gzip;q=0", "br"], False),
        (["br", "*"], True),
        (["*", "gzip;q=0"], False),
    ],
)
def test_accept_encoding_in_several_lines_is_one_list(
    service: httpx.Client, path: str, lines: list[str], is_gzipped: bool
) -> None:
    headers = [("Accept-Encoding", line) for line in lines]
    with httpx.Client(base_url=service.base_url) as plain:
        del plain.headers["Accept-Encoding"]
        response = plain.get(f"{path}/metadata", headers=headers)
    assert (response.headers.get("Content-Encoding") == "gzip") is is_gzipped
    assert response.json()


@pytest.mark.parametrize("resource", RESOURCES)
def test_if_none_match_in_several_lines_is_one_list(service: httpx.Client, path: str, resource: str) -> None:
    accept = ("Accept", RESOURCES[resource])
    tag = service.get(path + resource, headers=[accept]).headers["ETag"]
    for tags, status in (
        (['"a"', tag], 304),
        ([tag, '"a"'], 304),
        (['"a", "b"', f'"c", W/{tag}'], 304),
        (['"a"', '"b"'], 200),
        (['"a"', tag[1:-1]], 200),
    ):
        response = service.get(path + resource, headers=[accept, *(("If-None-Match", one) for one in tags)])
        assert response.status_code == status, tags
        assert response.headers["ETag"] == tag


@pytest.mark.parametrize("asked", ["/studies", "/studies/1.2/series/1.3/instances/1.4/frames/1", "/wado"])
def test_a_preflight_allows_the_headers_of_all_lines(service: httpx.Client, asked: str) -> None:
    lines = ["authorization, content-type", "traceparent", "x-a,x-b"]
    headers = [("Origin", VIEWER), ("Access-Control-Request-Method", "GET")]
    response = service.options(asked, headers=[*headers, *(("Access-Control-Request-Headers", line) for line in lines)])
    allowed = {name.strip() for name in response.headers["Access-Control-Allow-Headers"].split(",")}
    assert allowed == {"authorization", "content-type", "traceparent", "x-a", "x-b"}


def old(base_url: str, method: str, request: bytes) -> HTTPResponse:
    """The answer to a request of HTTP/1.0, its body not read yet."""
    url = httpx.URL(base_url)
    with socket.create_connection((url.host, url.port or 80), timeout=60) as connection:
        connection.sendall(request)
        response = HTTPResponse(connection, method=method)
        response.begin()
        return response


@pytest.mark.parametrize(
    "resource",
    [
        *("", "?accept=application/dicom", "/metadata", "/frames/1", "/frames/1,1", "/rendered", "/bulkdata/7FE00010"),
        *("/nothing", "/series"),
    ],
)
def test_a_client_of_http_1_0_gets_no_chunks(server: Server, service: httpx.Client, path: str, resource: str) -> None:
    asked = f"/v2{path.partition('/series')[0]}/series" if resource == "/series" else f"/v2{path}{resource}"
    for method in ("GET", "HEAD"):
        # dcmtk, ApacheBench and proxies keep the connection if they may.
        request = f"{method} {asked} HTTP/1.0\r\nHost: localhost\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n"
        answer = old(server.base_url, method, request.encode())
        body, content_type = answer.read(), answer.headers["Content-Type"] or ""
        expected = service.request(method, asked.removeprefix("/v2"), headers={"Accept": "*/*"})
        assert answer.status == expected.status_code
        assert answer.headers["Transfer-Encoding"] is None
        if "boundary" not in content_type:
            assert body == expected.content
        elif method == "GET":
            response = httpx.Response(200, headers={"Content-Type": content_type}, content=body)
            assert [part for _, part in parts(response)] == [part for _, part in parts(expected)]


def test_a_client_of_http_1_0_stores(server: Server) -> None:
    file = part10(dataset())
    head = f"POST /v2/studies HTTP/1.0\r\nContent-Type: application/dicom\r\nContent-Length: {len(file)}\r\n\r\n"
    answer = old(server.base_url, "POST", head.encode() + file)
    assert answer.status == 200
    assert answer.headers["Transfer-Encoding"] is None
    assert "00081199" in json.loads(answer.read())

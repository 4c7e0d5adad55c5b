"""What Microsoft's C# clients send, of 2024 and of the tutorial's days, and what their readers take of the answers."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from local.sample_instances import sample_instances
from tests.conftest import Server

STUDY = "1.2.826.0.1.3680043.8.498.13230779778012324449356534479549187420"
SERIES = "1.2.826.0.1.3680043.8.498.45787841905473114233124723359129632652"
INSTANCE = "1.2.826.0.1.3680043.8.498.47359123102728459884412887463296905395"
FILES = sample_instances()

JSON = "application/dicom+json"
ANY_DICOM = "application/dicom; transfer-syntax=*"
ANY_PARTS = 'multipart/related; type="application/dicom"; transfer-syntax=*'
ANY_FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
MAX_BOUNDARY_LENGTH = 92
MAX_PART_HEADERS = 16
MAX_JSON_DEPTH = 64


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        """The document as System.Text.Json and Newtonsoft.Json read it: no more than 64 deep, numbers as numbers."""
        assert max_depth(self.body) <= MAX_JSON_DEPTH
        document = json.loads(self.body, parse_constant=lambda name: pytest.fail(f"{name} is no number"))
        for data_set in document if isinstance(document, list) else [document]:
            check_data_set(data_set)
        return document

    def parts(self) -> list[tuple[dict[str, str], bytes]]:
        """The parts as MultipartReader reads them: by the boundary of the Content-Type, with CRLF everywhere."""
        content_type = self.headers["Content-Type"]
        boundary = re.search(r'boundary="?([^";]+)"?', content_type)
        assert boundary
        assert len(boundary[1]) <= MAX_BOUNDARY_LENGTH
        assert re.search(r'; type="[a-z/+-]+"', content_type)
        delimiter = f"--{boundary[1]}".encode()
        first, *pieces, last = (b"\r\n" + self.body).split(b"\r\n" + delimiter)
        assert (first, last) == (b"", b"--\r\n")
        return [read_part(piece) for piece in pieces]


def max_depth(text: bytes) -> int:
    depth = deepest = 0
    for mark in re.findall(rb"[\[{\]}]", re.sub(rb'"(?:[^"\\]|\\.)*"', b"", text)):
        depth += 1 if mark in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def check_data_set(data_set: dict[str, Any]) -> None:
    for tag, attribute in data_set.items():
        assert re.fullmatch("[0-9A-F]{8}", tag)
        for value in attribute.get("Value", ()):
            if attribute["vr"] == "SQ":
                check_data_set(value)
            elif attribute["vr"] in ("IS", "US", "UL", "SS", "SL"):
                assert type(value) is int
            elif attribute["vr"] in ("DS", "FD", "FL"):
                assert type(value) in (int, float)


def read_part(piece: bytes) -> tuple[dict[str, str], bytes]:
    head, blank, body = piece.partition(b"\r\n\r\n")
    assert head.startswith(b"\r\n")
    assert blank
    fields = [line.split(": ", 1) for line in head.decode("ascii").split("\r\n")[1:]]
    assert len(fields) <= MAX_PART_HEADERS
    return {name.lower(): value for name, value in fields}, body


class Client:
    """Sends what .NET's HttpClient sends: no header that is not set, a length with every body."""

    def __init__(self, base_url: str, version: str) -> None:
        url = httpx.URL(base_url)
        self._connection = HTTPConnection(url.host, url.port, timeout=60)
        self._prefix = f"/{version}" if version else ""

    def close(self) -> None:
        self._connection.close()

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        self._connection.putrequest(method, self._prefix + path, skip_accept_encoding=True)
        for name, value in headers.items():
            self._connection.putheader(name.replace("_", "-"), value)
        if body is not None:
            self._connection.putheader("Content-Length", str(len(body)))
        self._connection.endheaders(body)
        response = self._connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def store(self, path: str, *files: bytes) -> Answer:
        boundary = str(uuid4())
        pieces = [b"Content-Type: application/dicom\r\n\r\n" + file for file in files]
        delimiter = f"\r\n--{boundary}\r\n".encode()
        body = delimiter[2:] + delimiter.join(pieces) + f"\r\n--{boundary}--\r\n".encode()
        content_type = f'multipart/related; boundary="{boundary}"; type="application/dicom"'
        return self.send("POST", path, body, Accept=JSON, Content_Type=content_type)

    def get(self, path: str, accept: str) -> Answer:
        return self.send("GET", path, Accept=accept)


# Those of 2024 ask for v1 or v2; those of July and August 2021 for the prerelease, or for no version.
@pytest.fixture(params=["v1", "v2", "v1.0-prerelease", ""])
def client(server: Server, request: pytest.FixtureRequest) -> Iterator[Client]:
    opened = Client(server.base_url, request.param)
    opened.send("DELETE", f"/studies/{STUDY}")
    yield opened
    opened.send("DELETE", f"/studies/{STUDY}")
    opened.close()


def of(data_set: dict[str, Any], tag: str) -> list[Any]:
    values: list[Any] = data_set[tag]["Value"]
    return values


def test_the_tutorial_of_the_clients(client: Client) -> None:
    blue, red, green = (FILES[name] for name in ("blue-circle", "red-triangle", "green-square"))
    stored = client.store("/studies/", blue)
    assert stored.status == 200
    assert stored.headers["Content-Type"] == JSON
    assert len(of(stored.json(), "00081199")) == 1
    assert client.store(f"/studies/{STUDY}", green).status == 200
    assert client.send("POST", "/studies", red, Accept=JSON, Content_Type="application/dicom").status == 200
    again = client.store("/studies/", blue, red)
    assert (again.status, again.headers["Content-Type"]) == (409, JSON)
    assert [of(item, "00081197") for item in of(again.json(), "00081198")] == [[45070], [45070]]

    series = f"/studies/{STUDY}/series/{SERIES}"
    instance = f"{series}/instances/{INSTANCE}"
    for path, count in ((f"/studies/{STUDY}", 3), (series, 2)):
        parts = client.get(path, ANY_PARTS).parts()
        assert {header["content-type"].partition(";")[0] for header, _ in parts} == {"application/dicom"}
        assert len(parts) == count
        assert len(client.get(f"{path}/metadata", JSON).json()) == count
    assert client.get(instance, ANY_DICOM).body == bytes(128) + red[128:]
    assert len(client.get(f"{instance}/metadata", JSON).json()) == 1
    ((headers, frame),) = client.get(f"{instance}/frames/1", ANY_FRAMES).parts()
    assert headers["content-type"].startswith("application/octet-stream")
    assert frame in red
    assert client.get(f"{instance}/frames/1", "application/octet-stream; transfer-syntax=*").body == frame
    for path in (f"{instance}/rendered", f"{instance}/frames/1/rendered"):
        assert client.get(path, "image/jpeg").body.startswith(b"\xff\xd8")

    for path, count in (
        (f"/studies?StudyInstanceUID={STUDY}", 1),
        (f"/series?SeriesInstanceUID={SERIES}", 1),
        (f"/studies/{STUDY}/series?SeriesInstanceUID={SERIES}", 1),
        (f"/instances?SOPInstanceUID={INSTANCE}", 1),
        (f"/studies/{STUDY}/instances?SOPInstanceUID={INSTANCE}", 1),
        (f"{series}/instances?SOPInstanceUID={INSTANCE}", 1),
        (f"/series/{SERIES}/instances?SOPInstanceUID={INSTANCE}", 1),
        (f"/series/{SERIES}/instances", 2),
    ):
        answer = client.get(path, JSON)
        assert answer.status == 200, path
        assert len(answer.json()) == count
        # .NET has a Warning only where its agent is a host and port, or a name.
        assert not [text for text in answer.headers.get_all("Warning", []) if not re.match(r"299 [\w.:-]+ \"", text)]
    assert client.get("/studies?PatientID=nobody", JSON).status == 204

    for path in (instance, series, f"/studies/{STUDY}"):
        assert client.send("DELETE", path).status == 204
        missing = client.get(path, ANY_PARTS if path != instance else ANY_DICOM)
        assert (missing.status, missing.headers["Content-Type"]) == (404, "application/problem+json")


TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?(Z|[+-]\d\d:\d\d)")
INT64 = range(-(2**63), 2**63)


def check_change(change: dict[str, Any]) -> None:
    """A change as ChangeFeedEntry takes it: members by name, words of known enumerations, a moment with an offset."""
    assert change["sequence"] in INT64
    assert all(change[name] for name in ("studyInstanceUid", "seriesInstanceUid", "sopInstanceUid", "partitionName"))
    assert change["action"] in ("create", "delete", "update")
    assert change["state"] in ("current", "replaced", "deleted")
    assert TIMESTAMP.fullmatch(change["timestamp"])
    assert None not in change.values()
    check_data_set(change.get("metadata", {}))


def changes(client: Client, path: str) -> Any:
    answer = client.send("GET", path)  # without an Accept header
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"].startswith("application/json")
    return json.loads(answer.body)


def test_the_change_feed_of_the_clients(client: Client) -> None:
    first = changes(client, "/changefeed/latest?includeMetadata=false")
    after = first["sequence"] if first else 0
    client.store("/studies/", FILES["red-triangle"], FILES["green-square"])
    client.send("DELETE", f"/studies/{STUDY}")
    latest = changes(client, "/changefeed/latest")
    check_change(latest)
    assert (latest["sequence"], latest["action"], latest["state"]) == (after + 4, "delete", "deleted")
    start = latest["timestamp"].replace("Z", "0+00:00")  # seven digits
    window = f"startTime={quote(start)}&endTime={quote('2100-01-01T00:00:00.0000000+00:00')}"
    for query in (
        f"?offset={after}&limit=4&includeMetadata=False",
        f"?offset={after}&limit=100",
        f"?{window}&offset=0&limit=100&includeMetadata=True",
        "?startTime=2024-02-29T10%3a11%3a12.0000000%2b01%3a00&endTime=2024-02-29T10%3a11%3a13.0000000%2b01%3a00"
        "&offset=2&limit=100&includeMetadata=True",
    ):
        for change in changes(client, f"/changefeed{query}"):
            check_change(change)


TAG = {"path": "00080030", "vr": "TM", "level": "Study"}  # it is ready at once


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        # The client of 2024, and that of 2021 with Postman's names.
        (
            "application/json; charset=utf-8",
            b'[{"path":"00080030","vr":"TM","level":"Study"}]',
            b'{"queryStatus":"Enabled"}',
        ),
        (
            "application/json",
            b'[{"Path":"StudyTime","VR":null,"PrivateCreator":null,"Level":"Study"}]',
            b'{"QueryStatus":"Disabled"}',
        ),
    ],
)
def test_the_extended_query_tags_of_the_clients(client: Client, content_type: str, body: bytes, status: bytes) -> None:
    path = "/extendedquerytags"
    client.send("DELETE", f"{path}/StudyTime")
    added = client.send("POST", path, body, Content_Type=content_type)
    assert added.status == 202, added.body
    reference = json.loads(added.body)
    assert re.fullmatch("[0-9a-f]{32}", reference["id"])
    operation = client.send("GET", f"/operations/{reference['id']}")
    state = json.loads(operation.body)
    assert (operation.status, state["type"], state["operationId"]) == (200, "reindex", reference["id"])
    assert state["status"] in ("succeeded", "completed")
    assert type(state["percentComplete"]) is int
    assert [url.rpartition("/")[2] for url in state["resources"]] == ["00080030"]

    ready = {**TAG, "status": "Ready", "queryStatus": "Enabled"}
    listed = client.send("GET", f"{path}?limit=100&offset=0")
    assert (listed.status, json.loads(listed.body)) == (200, [ready])
    for name in ("00080030", "StudyTime"):
        assert json.loads(client.send("GET", f"{path}/{name}").body) == ready
    errors = client.send("GET", f"{path}/00080030/errors?limit=100&offset=0")
    assert (errors.status, errors.body) == (200, b"[]")
    updated = client.send("PATCH", f"{path}/00080030", status, Content_Type=content_type)
    assert json.loads(updated.body)["queryStatus"].encode() in status

    again = client.send("POST", path, body, Content_Type=content_type)
    assert (again.status, again.headers["Location"]) == (409, None)
    # One that every search matches refuses all.
    several = (
        b'[{"path":"00101010","vr":"AS","level":"Study"},'
        b'{"path":"00991001","vr":"LO","level":"Instance","privateCreator":"X"},'
        b'{"path":"ManufacturerModelName","level":"Instance"}]'
    )
    assert client.send("POST", path, several, Content_Type=content_type).status == 400
    assert client.send("DELETE", f"{path}/00080030").status == 204
    assert client.send("DELETE", f"{path}/00080030").status == 404
    assert client.send("GET", path).body == b"[]"

"""Clients that go away while they send or receive, or are refused before they have sent everything."""

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.support.measured_server import MIB
from tests.support.served_instances import dataset, part10, path_of
from tests.support.watched_server import WatchedServer, watched

LARGE_BYTES = 32 * MIB  # more than fits in the buffers between the two ends of a connection
DICOM = {"Content-Type": "application/dicom"}
STORED = {"Accept": "application/dicom; transfer-syntax=*"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServer]:
    with watched(tmp_path_factory.mktemp("server") / "log", MAX_STALLED_SECONDS="2") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: WatchedServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.base_url}/v2", timeout=60) as opened:
        yield opened


@pytest.mark.parametrize("is_chunked", [True, False])
def test_nothing_is_kept_of_what_a_client_did_not_send_completely(
    server: WatchedServer, client: httpx.Client, is_chunked: bool
) -> None:
    image = dataset(PixelData=bytes(LARGE_BYTES))
    file = part10(image)
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(file)}"
    head = f"POST /v2/studies/{image.StudyInstanceUID} HTTP/1.1\r\nHost: h\r\nContent-Type: application/dicom"
    half = file[: LARGE_BYTES // 2]
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=60) as connection:
        connection.sendall(f"{head}\r\n{length}\r\n\r\n".encode())
        connection.sendall(b"%x\r\n%s\r\n" % (len(half), half) if is_chunked else half)
    server.wait_for_line(rf"transaction=StoreStudyInstances .* study={image.StudyInstanceUID} end=left")
    assert client.get(path_of(image)).status_code == 404
    assert sum(server.check().values()) == 0
    stored = client.post("/studies", content=file, headers=DICOM)
    assert stored.status_code == 200
    assert client.get(path_of(image), headers=STORED).content == file
    assert client.delete(path_of(image)).status_code == 204


def test_a_client_that_leaves_a_retrieve_stops_it(server: WatchedServer, client: httpx.Client) -> None:
    image = dataset(PixelData=bytes(LARGE_BYTES))
    assert client.post("/studies", content=part10(image), headers=DICOM).status_code == 200
    with client.stream("GET", path_of(image), headers=STORED) as response:
        next(response.iter_raw())
    server.wait_for_line(rf"transaction=RetrieveInstance .* study={image.StudyInstanceUID} end=left")
    assert len(client.get(path_of(image), headers=STORED).content) > LARGE_BYTES
    assert client.delete(path_of(image)).status_code == 204


def test_a_client_that_takes_nothing_is_left(server: WatchedServer, client: httpx.Client) -> None:
    # Linux lets the buffers between a host and its worker grow to 36 MiB.
    image = dataset(PixelData=bytes(3 * LARGE_BYTES))
    assert client.post("/studies", content=part10(image), headers=DICOM).status_code == 200
    request = f"GET /v2{path_of(image)} HTTP/1.1\r\nHost: h\r\nAccept: {STORED['Accept']}\r\n\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=60) as connection:
        connection.sendall(request.encode())
        server.wait_for_line(rf"transaction=RetrieveInstance .* study={image.StudyInstanceUID} end=left")
    assert client.delete(path_of(image)).status_code == 204


@pytest.mark.parametrize("size", [MIB, LARGE_BYTES])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_refusal_reaches_a_client_that_is_still_sending(client: httpx.Client, size: int, is_chunked: bool) -> None:
    pieces = (bytes(MIB) for _ in range(size // MIB))
    headers = {"Content-Type": "text/plain"} | ({} if is_chunked else {"Content-Length": str(size)})
    response = client.post("/studies", content=pieces, headers=headers)
    assert response.status_code == 415
    assert json.loads(response.content)["status"] == 415

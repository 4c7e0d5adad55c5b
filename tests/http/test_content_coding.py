"""A store whose body is gzipped: what is sent that way, and what only says so."""

import gzip
import zlib
from collections.abc import Iterator

import httpx
import pytest

from tests.support.messages import MULTIPART_DICOM, multipart
from tests.support.served_instances import dataset, part10, path_of

GZIP = {"Content-Type": "application/dicom", "Content-Encoding": "gzip"}


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    yield from (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize(
    "lines", [["gzip"], ["x-gzip"], ["GZip"], ["identity, gzip"], ["identity", "gzip"], [",", "gzip"]]
)
@pytest.mark.parametrize("size", [1, 700, 1_000_000])
def test_a_gzipped_body_is_stored_as_what_it_holds(service: httpx.Client, lines: list[str], size: int) -> None:
    image = dataset()
    file = part10(image)
    headers = [("Content-Type", "application/dicom"), *(("Content-Encoding", line) for line in lines)]
    response = service.post("/studies", content=in_pieces(gzip.compress(file), size), headers=headers)
    assert response.status_code == 200, response.text
    assert service.get(path_of(image), headers={"Accept": "application/dicom"}).content == file


def test_a_gzipped_message_of_several_members(service: httpx.Client) -> None:
    images = [dataset(PixelData=bytes(200_000), Rows=400, Columns=500), dataset()]
    body = multipart(map(part10, images))
    members = [gzip.compress(piece) for piece in in_pieces(body, 131_072)] + [gzip.compress(b"")] * 3
    headers = {"Content-Type": MULTIPART_DICOM, "Content-Encoding": "gzip"}
    response = service.post("/studies", content=b"".join(members), headers=headers)
    assert response.status_code == 200, response.text
    assert [service.get(path_of(image)).status_code for image in images] == [200, 200]


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "gzip;q=1", "aes128gcm", "x"])
def test_another_coding_is_refused_and_told_what_is_accepted(service: httpx.Client, coding: str) -> None:
    headers = {"Content-Type": "application/dicom", "Content-Encoding": coding}
    response = service.post("/studies", content=b"anything", headers=headers)
    assert response.status_code == 415
    assert response.headers["Accept-Encoding"] == "gzip"
    assert "Content-Encoding is not supported" in response.json()["detail"]
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("coding", ["", "identity", "identity, identity"])
def test_no_coding_is_no_coding(service: httpx.Client, coding: str) -> None:
    headers = {"Content-Type": "application/dicom", "Content-Encoding": coding}
    assert service.post("/studies", content=part10(dataset()), headers=headers).status_code == 200


FILE = part10(dataset())
PACKED = gzip.compress(FILE)
BROKEN = {
    "not gzip": (FILE, "is not gzip"),
    "a zlib stream": (zlib.compress(FILE), "is not gzip"),
    "a wrong checksum": (PACKED[:-8] + bytes(4) + PACKED[-4:], "is not gzip"),
    "more after it": (PACKED + b"more", "is not gzip"),
    "nothing": (b"", "cut short"),
    "cut in its head": (PACKED[:5], "cut short"),
    "cut in its data": (PACKED[:-30], "cut short"),
    "cut in its checksum": (PACKED[:-1], "cut short"),
    "a second member cut": (PACKED + PACKED[:20], "cut short"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_body_that_is_not_what_its_coding_says_stores_nothing(service: httpx.Client, name: str) -> None:
    body, said = BROKEN[name]
    response = service.post("/studies", content=body, headers=GZIP)
    assert response.status_code == 400
    assert said in response.json()["detail"]

"""Every configurable limit, at its edge: what just fits is served, and one more is refused with the limit's name."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import httpx
import pytest
from azure.functions.decorators.function_app import Function
from pydicom.uid import DeflatedExplicitVRLittleEndian

from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.in_process import app_client
from tests.support.messages import MULTIPART_DICOM, multipart
from tests.support.odd_files import whole
from tests.support.served_instances import dataset, new_uid, part10, path_of

PIXEL_DATA = b"\xe0\x7f\x10\x00"
RLE = "1.2.840.10008.1.2.5"
IMAGE = dataset(NumberOfFrames=3, PixelData=bytes(48))
FILE = part10(IMAGE)
HEADED = part10(dataset(ImageComments="x" * 5000))
DEFLATED, _ = whole(DeflatedExplicitVRLittleEndian)


@dataclass(frozen=True)
class Edge:
    """A request that just fits where the limit is `fits`; `slack` below it, it is refused."""

    path: str
    fits: int
    status: int
    said: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    slack: int = 1


def store(body: bytes, fits: int, said: str, media_type: str = "application/dicom") -> Edge:
    return Edge("/studies", fits, 413, said, body, {"Content-Type": media_type})


QUERY = f"PatientID={new_uid()}"
THREE = multipart([part10(dataset()) for _ in range(3)])
EDGES = {
    "max_request_bytes": store(THREE, len(THREE), "larger than", media_type=MULTIPART_DICOM),
    "max_parts": store(THREE, 3, "parts", media_type=MULTIPART_DICOM),
    "max_part_bytes": store(FILE, len(FILE), "max_part_bytes"),
    "max_header_bytes": replace(
        store(HEADED, HEADED.index(PIXEL_DATA), "besides its Pixel Data"),
        status=409,
        slack=1000,  # of the file meta group, and of the head of an element
    ),
    "max_query_length": Edge(f"/studies?{QUERY}", len(QUERY), 400, "query string is longer than"),
    "max_frames": Edge(f"{path_of(IMAGE)}/frames/1,2,3", 3, 400, "frame list is longer than"),
    "max_decoded_bytes": Edge(
        f"{path_of(IMAGE)}/frames/1",
        16,
        406,
        "takes 16 bytes decoded",
        headers={"Accept": f"application/octet-stream; transfer-syntax={RLE}"},
    ),
    "max_search_limit": Edge("/studies?limit=7", 7, 400, "limit must be a whole number from 1 to 6"),
}
OTHERWISE = {
    "max_request_seconds",
    "max_inflated_bytes",
    "max_stalled_seconds",
    "max_caller_requests",
    "max_searched_postings",
    "max_searched_studies",
    "default_search_limit",
}
# Numbers that bound nothing.
NO_LIMITS = {"backup_retention_days", "operation_retention_days"}

Client = Callable[..., Any]


@pytest.fixture
def client(functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Makes a client of the app with some settings changed."""
    return lambda **changed: app_client(functions, archive, monkeypatch, **changed)


def test_every_limit_has_a_test() -> None:
    limits = {setting.name for setting in fields(Settings) if isinstance(setting.default, int)}
    limits -= {setting.name for setting in fields(Settings) if isinstance(setting.default, bool)}
    assert limits - NO_LIMITS == EDGES.keys() | OTHERWISE, (
        "Add the limit to EDGES; or its name to OTHERWISE, and a test below."
    )


@pytest.mark.parametrize("name", EDGES)
async def test_what_just_fits_is_served_and_one_more_is_refused(client: Client, name: str) -> None:
    edge = EDGES[name]
    async with client() as unlimited:
        await unlimited.post("/studies", content=FILE, headers={"Content-Type": "application/dicom"})

    async def ask(limit: int) -> httpx.Response:
        async with client(**{name: limit}) as limited:
            method = "POST" if edge.body else "GET"
            response: httpx.Response = await limited.request(method, edge.path, content=edge.body, headers=edge.headers)
            return response

    refused = await ask(edge.fits - edge.slack)
    assert (refused.status_code, edge.said in refused.text) == (edge.status, True), refused.text
    served = await ask(edge.fits)
    # An instance that exists already was also read to its end.
    assert served.is_success or "exists already" in served.text or "45070" in served.text, served.text


async def test_an_instance_that_inflates_to_too_much_is_refused(client: Client) -> None:
    async with client(max_inflated_bytes=100) as limited:
        response = await limited.post("/studies", content=DEFLATED, headers={"Content-Type": "application/dicom"})
        assert (response.status_code, "inflate" in response.text) == (409, True), response.text


async def test_a_store_that_takes_too_long_is_abandoned(client: Client) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield FILE[:100]
        await asyncio.sleep(3)
        yield FILE[100:]

    async with client(max_request_seconds=1) as limited:
        response = await limited.post("/studies", content=slowly(), headers={"Content-Type": "application/dicom"})
        assert (response.status_code, "longer than 1 seconds" in response.text) == (503, True), response.text


async def test_searches_are_cut_and_say_so(client: Client) -> None:
    word = f"q{new_uid()[-12:]}"
    async with client() as unlimited:
        for number in range(3):
            image = dataset(PatientName=f"{word}^{number}", StudyID=str(number))
            await unlimited.post("/studies", content=part10(image), headers={"Content-Type": "application/dicom"})

    async def search(query: str, **changed: int) -> tuple[int, str]:
        async with client(**changed) as limited:
            response = await limited.get(f"/studies?{query}")
            found = len(response.json()) if response.status_code == 200 else 0
            return found, response.headers.get("Warning", "")

    cut, more = "The search was cut", "There are more results"
    names = f"PatientName={word}*"
    assert await search(names) == (3, "")
    assert await search(names, default_search_limit=3) == (3, "")
    found, warning = await search(names, default_search_limit=2)
    assert (found, more in warning) == (2, True)
    assert await search(names, max_searched_studies=3) == (3, "")
    found, warning = await search(names, max_searched_studies=2)
    assert (found, cut in warning) == (2, True)
    # The list counts, too.
    assert await search(names, max_searched_postings=1 + 3) == (3, "")
    found, warning = await search(names, max_searched_postings=1 + 2)
    assert (found, cut in warning) == (2, True)
    # The list of all names begins with the study stored last.
    found, warning = await search(f"PatientName=*{word[1:]}*", max_searched_postings=1 + 2)
    assert (found, cut in warning) == (2, True)

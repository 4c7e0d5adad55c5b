"""Storage whose answers break off: each request is answered as unavailable, or its answer is cut off, never whole."""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import httpx
import pytest
import pytest_asyncio
from azure.functions.decorators.function_app import Function

from functions.edge import app
from functions.edge.observation import AnswerCut
from local.server import Host, routes_of
from shared.settings import Settings
from shared.storage import account
from shared.storage.archive import Archive
from tests.conftest import Azurite
from tests.support.cut_storage import Cut, cut_storage
from tests.support.messages import MULTIPART_DICOM, multipart
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import dataset, new_uid, part10, path_of

OCTETS = "application/octet-stream"
IMAGE = dataset(NumberOfFrames=3, Rows=400, Columns=400, PixelData=bytes(480_000))
INSTANCE, STUDY = path_of(IMAGE), f"/studies/{IMAGE.StudyInstanceUID}"
READS = {
    "instance": (INSTANCE, "application/dicom"),
    "study": (STUDY, "*/*"),
    "zip": (STUDY, "application/zip"),
    "frames": (f"{INSTANCE}/frames/1,3", "*/*"),
    "transcoded": (f"{INSTANCE}/frames/1", f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.5"),
    "bulk data": (f"{INSTANCE}/bulkdata/7FE00010", OCTETS),
    "metadata": (f"{STUDY}/metadata", "*/*"),
    "metadata as XML": (f"{INSTANCE}/metadata", 'multipart/related; type="application/dicom+xml"'),
    "rendered": (f"{INSTANCE}/rendered", "*/*"),
    "thumbnail": (f"{STUDY}/thumbnail", "*/*"),
    "WADO-URI": (
        f"/wado?requestType=WADO&studyUID={IMAGE.StudyInstanceUID}&seriesUID={IMAGE.SeriesInstanceUID}"
        f"&objectUID={IMAGE.SOPInstanceUID}",
        "*/*",
    ),
    "search for studies": (f"/studies?StudyInstanceUID={IMAGE.StudyInstanceUID}", "*/*"),
    "search by name": ("/studies?PatientName=Test*", "*/*"),
    "search for instances": (f"{STUDY}/instances", "*/*"),
    "change feed": ("/changefeed?limit=2", "*/*"),
    "change feed without metadata": ("/changefeed?limit=2&includeMetadata=false", "*/*"),
    "window of time": ("/changefeed?limit=2&startTime=2026-01-01T00:00:00Z&endTime=2100-01-01T00:00:00Z", "*/*"),
    "latest change": ("/changefeed/latest", "*/*"),
}


class Cuts:
    """Cuts the answers of storage from the `first` on, counted from 1; none where that is 0."""

    def __init__(self) -> None:
        self.restart(0, Cut.BODY)

    def restart(self, first: int, cut: Cut) -> None:
        self.first, self.cut, self.seen = first, cut, 0
        self._numbers = count(1)

    def __call__(self) -> Cut | None:
        if not self.first or next(self._numbers) < self.first:
            return None
        self.seen += 1
        return self.cut


@pytest.fixture(scope="module")
def cuts() -> Cuts:
    return Cuts()


@pytest.fixture(scope="module")
def without_waiting() -> Iterator[None]:
    options = {"retry_total": 1, "initial_backoff": 0, "increment_base": 0, "retry_backoff_factor": 0}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**options, "random_jitter_range": 0}.items():
            patch.setitem(account._CLIENT_OPTIONS, name, value)
        yield


@pytest_asyncio.fixture(scope="module")
async def client(
    own_azurite: Azurite, shared_raw: RawArchive, functions: list[Function], cuts: Cuts, without_waiting: None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app in this process on storage that `cuts` makes fail, with an image and nothing else.

    A search also removes what deletes have left in the index, and answers although that fails.
    """
    await shared_raw.empty()
    async with cut_storage(own_azurite.port, cuts) as connection_string:
        opened = await Archive.open(Settings(storage_connection_string=connection_string))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app, "of_process", app.App(Settings(anonymous_access=True), archive=opened))
            transport = httpx.ASGITransport(Host(routes_of(functions)))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:7071/v2") as client:
                assert (await store(client, part10(IMAGE))).status_code == 200
                yield client
                cuts.restart(0, Cut.BODY)
                await client.delete(STUDY)
        await opened.close()


async def store(client: httpx.AsyncClient, *files: bytes) -> httpx.Response:
    return await client.post("/studies", content=multipart(list(files)), headers={"Content-Type": MULTIPART_DICOM})


def is_unavailable(response: httpx.Response) -> bool:
    return response.status_code == 503 and "Retry-After" in response.headers


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("name", READS)
async def test_what_is_read_is_unavailable_or_cut(client: httpx.AsyncClient, cuts: Cuts, name: str, cut: Cut) -> None:
    path, accept = READS[name]
    for operation in count(1):
        cuts.restart(operation, cut)
        try:
            response = await client.get(path, headers={"Accept": accept})
        except AnswerCut:  # some of it has been sent
            assert operation > 1
            continue
        if not cuts.seen:
            assert response.status_code == 200
            break
        assert is_unavailable(response), (operation, response.status_code, response.text)
    assert operation > 1


@pytest.mark.parametrize("cut", Cut)
async def test_what_is_changed_is_unavailable_and_can_be_repeated(
    client: httpx.AsyncClient, cuts: Cuts, cut: Cut
) -> None:
    for operation in count(1):
        image = dataset(PatientID=new_uid()[-20:])
        cuts.restart(operation, cut)
        stored = await store(client, part10(image))
        has_failed = cuts.seen > 0
        # Nothing of a 204 is in its body.
        assert stored.status_code == 200 or (has_failed and is_unavailable(stored)), (operation, stored.text)
        cuts.restart(0, cut)
        assert (await store(client, part10(image))).status_code in (200, 409)
        assert (await client.get(path_of(image))).status_code == 200
        cuts.restart(operation, cut)
        deleted = await client.delete(f"/studies/{image.StudyInstanceUID}")
        assert deleted.status_code == 204 or (cuts.seen and is_unavailable(deleted)), (operation, deleted.text)
        cuts.restart(0, cut)
        assert (await client.delete(f"/studies/{image.StudyInstanceUID}")).status_code in (204, 404)
        if not has_failed:
            break
    assert operation > 5

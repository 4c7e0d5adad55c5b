"""The storage operations of each retrieve and search, counted beneath the SDKs: as documented."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from azure.functions.decorators.function_app import Function

from benchmarks import costs
from functions.edge import app
from local.server import Host, routes_of
from shared.settings import Settings
from tests.support.messages import MULTIPART_DICOM, multipart
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import dataset, new_uid, part10, uids_of
from tests.support.storage_operations import Counting
from tests.support.storage_policies import archive_through

UIDS = uids_of(__name__)
STUDY, SERIES, INSTANCES = next(UIDS), next(UIDS), [next(UIDS) for _ in range(5)]
INSTANCE = f"/studies/{STUDY}/series/{SERIES}/instances/{INSTANCES[0]}"
PATIENT_ID, NAME = f"ID{next(UIDS)[-20:]}", f"Q{next(UIDS)[-12:]}"
OCTETS = "application/octet-stream"
RLE = "1.2.840.10008.1.2.5"
ROW, PAGE, BLOB = "GET catalog", "GET catalog", "GET dicom"


@pytest_asyncio.fixture(scope="module")
async def counting() -> Counting:
    return Counting()


@pytest_asyncio.fixture(scope="module")
async def client(
    counting: Counting, functions: list[Function], shared_raw: RawArchive
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app in this process, on an archive of five instances alone, whose operations are counted."""
    await shared_raw.empty()
    with pytest.MonkeyPatch.context() as patch:
        async with archive_through(counting, patch, shared_raw.settings) as counted:
            patch.setattr(app, "of_process", app.App(Settings(anonymous_access=True), archive=counted))
            transport = httpx.ASGITransport(Host(routes_of(functions)))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:7071/v2") as client:
                files = [
                    part10(
                        dataset(
                            StudyInstanceUID=STUDY,
                            SeriesInstanceUID=SERIES,
                            SOPInstanceUID=uid,
                            PatientID=PATIENT_ID,
                            PatientName=f"{NAME}^John",
                            StudyDate="17010203",
                            NumberOfFrames=4,
                            Rows=64,
                            Columns=64,
                            PixelData=bytes(64 * 64 * 4),
                        )
                    )
                    for uid in INSTANCES
                ]
                headers = {"Content-Type": MULTIPART_DICOM}
                response = await client.post("/studies", content=multipart(files), headers=headers)
                assert response.status_code == 200
                yield client
                await client.delete(f"/studies/{STUDY}")


@pytest.mark.parametrize(
    ("path", "accept", "operations"),
    [
        (INSTANCE, "*/*", {ROW: 1, BLOB: 1}),
        (INSTANCE, "application/dicom", {ROW: 1, BLOB: 1}),
        (f"{INSTANCE}/frames/1", OCTETS, {ROW: 1, BLOB: 1}),
        (f"{INSTANCE}/frames/1,2,3", "*/*", {ROW: 1, BLOB: 1}),
        (f"{INSTANCE}/frames/1,3", "*/*", {ROW: 1, BLOB: 2}),
        (f"{INSTANCE}/bulkdata/7FE00010", OCTETS, {ROW: 1, BLOB: 1}),
        (f"{INSTANCE}/bulkdata/00100010", OCTETS, {ROW: 1, BLOB: 1}),
        (f"{INSTANCE}/bulkdata", "*/*", {ROW: 1 + 1, BLOB: 1}),
        (f"{INSTANCE}/pixeldata", "*/*", {ROW: 1, BLOB: 1}),
        (f"/studies/{STUDY}/pixeldata", "*/*", {ROW: 1 + 1, BLOB: 5}),
        (f"{INSTANCE}/metadata", "*/*", {ROW: 1}),
        (f"/studies/{STUDY}/metadata", "*/*", {ROW: 1 + 1}),
        (f"/studies/{STUDY}/series/{SERIES}/metadata", "*/*", {ROW: 1 + 1}),
        (f"/studies/{STUDY}", "*/*", {ROW: 1 + 1, BLOB: 5}),
        (f"/studies/{STUDY}/series/{SERIES}", "*/*", {ROW: 1 + 1, BLOB: 5}),
        (f"/studies/{STUDY}", "application/zip", {ROW: 1 + 1, BLOB: 5}),
        # transcoding and rendering also need the header: a small file is read at once
        (f"{INSTANCE}/frames/1", f"{OCTETS}; transfer-syntax={RLE}", {ROW: 1, BLOB: 1}),
        (f"{INSTANCE}/frames/1,2", f'multipart/related; type="{OCTETS}"; transfer-syntax={RLE}', {ROW: 1, BLOB: 1}),
        (INSTANCE, f"application/dicom; transfer-syntax={RLE}", {ROW: 1, BLOB: 1}),
        (f"{INSTANCE}/rendered", "*/*", {ROW: 1, BLOB: 1}),
        (f"{INSTANCE}/thumbnail", "*/*", {ROW: 1, BLOB: 1}),
        (f"/studies/{STUDY}/rendered", "*/*", {ROW: 1, BLOB: 1}),
        (f"/studies/{STUDY}/thumbnail", "*/*", {ROW: 1, BLOB: 1}),
    ],
)
async def test_a_retrieve(
    client: httpx.AsyncClient, counting: Counting, path: str, accept: str, operations: dict[str, int]
) -> None:
    counting.operations.clear()
    response = await client.get(path, headers={"Accept": accept})
    assert response.status_code == 200
    assert counting.operations == operations
    counting.operations.clear()
    await client.head(path, headers={"Accept": accept})
    assert counting.operations.total() <= sum(operations.values())
    tag = response.headers.get("ETag")
    if tag:
        counting.operations.clear()
        unchanged = await client.get(path, headers={"Accept": accept, "If-None-Match": tag})
        assert unchanged.status_code == 304
        assert counting.operations == {ROW: 1}


async def test_only_the_frame_is_read_of_a_file_with_much_besides(
    client: httpx.AsyncClient, counting: Counting
) -> None:
    uids = {"StudyInstanceUID": new_uid(), "SeriesInstanceUID": new_uid(), "SOPInstanceUID": new_uid()}
    image = dataset(**uids, NumberOfFrames=3, Rows=400, Columns=400, PixelData=bytes(range(256)) * 1875)
    image.DataSetTrailingPadding = bytes(100)  # after Pixel Data
    await client.post("/studies", content=multipart([part10(image)]), headers={"Content-Type": MULTIPART_DICOM})
    study, series, instance = uids.values()
    path = f"/studies/{study}/series/{series}/instances/{instance}"
    for resource, accept, reads in (
        (f"{path}/frames/2/rendered", "image/jpeg", 3),  # what is before the frames, what is after, and the frame
        (f"{path}/frames/1,2,3", f'multipart/related; type="{OCTETS}"; transfer-syntax={RLE}', 1),
        (path, f"application/dicom; transfer-syntax={RLE}", 1),
    ):
        counting.operations.clear()
        response = await client.get(resource, headers={"Accept": accept})
        assert response.status_code == 200
        assert counting.operations == {ROW: 1, BLOB: reads}
    await client.delete(f"/studies/{study}")


@pytest.mark.parametrize("path", [INSTANCE, f"{INSTANCE}/frames/1", f"/studies/{STUDY}"])
async def test_head_reads_no_blob(client: httpx.AsyncClient, counting: Counting, path: str) -> None:
    counting.operations.clear()
    assert (await client.head(path)).status_code == 200
    assert counting.operations == {ROW: 1}


@pytest.mark.parametrize(
    ("path", "operations"),
    [
        (f"/studies?StudyInstanceUID={STUDY}", {PAGE: 1}),
        (f"/studies?PatientID={PATIENT_ID}", {"GET terms": 1, PAGE: 1}),
        (f"/studies?PatientID={PATIENT_ID}&StudyDate=17010101-", {"GET terms": 1, PAGE: 1}),
        (f"/studies?PatientID={PATIENT_ID}&ModalitiesInStudy=OT", {"GET terms": 1, PAGE: 1}),
        (f"/studies?PatientID={PATIENT_ID[:-1]}*", {"GET terms": 1, PAGE: 1}),
        ("/studies?StudyDate=17010101-17011231&limit=1", {"GET terms": 1, PAGE: 1}),
        (f"/studies?PatientName={NAME[:9]}&fuzzymatching=true", {"GET terms": 1, PAGE: 1}),
        (f"/series?SeriesInstanceUID={SERIES}", {"GET terms": 1, PAGE: 1}),
        (f"/instances?SOPInstanceUID={INSTANCES[0]}", {"GET terms": 1, PAGE: 1 + 1}),
        (f"/studies/{STUDY}/series", {PAGE: 1}),
        (f"/studies/{STUDY}/instances", {PAGE: 1 + 1}),
        (f"/studies/{STUDY}/series/{SERIES}/instances", {PAGE: 1 + 1}),
        (f"/studies/{STUDY}/series/{SERIES}/instances?SOPInstanceUID={INSTANCES[0]}", {"GET terms": 1, PAGE: 1 + 1}),
    ],
)
async def test_a_search(client: httpx.AsyncClient, counting: Counting, path: str, operations: dict[str, int]) -> None:
    counting.operations.clear()
    response = await client.get(path)
    assert response.status_code == 200
    assert counting.operations == operations


async def test_the_instances_of_all_series_are_read_together(client: httpx.AsyncClient, counting: Counting) -> None:
    study, series = new_uid(), sorted(new_uid() for _ in range(4))
    uids = {"StudyInstanceUID": study, "PatientID": study[-16:]}
    files = [part10(dataset(**uids, SeriesInstanceUID=uid, SeriesNumber=number)) for number, uid in enumerate(series)]
    await client.post("/studies", content=multipart(files), headers={"Content-Type": MULTIPART_DICOM})
    for query, expected, pages in (
        ("", series, 1),
        ("?SeriesNumber=2", series[2:3], 1),
        (f"?SeriesInstanceUID={series[0]},{series[3]}", [series[0], series[3]], 2),
    ):
        counting.operations.clear()
        response = await client.get(f"/studies/{study}/instances{query}")
        assert [one["0020000E"]["Value"][0] for one in response.json()] == expected
        assert counting.operations["GET catalog"] == 1 + pages
    await client.delete(f"/studies/{study}")


@pytest.mark.parametrize("count", [2, 4, 8])
async def test_instances_by_uid_are_read_where_the_index_has_them(
    client: httpx.AsyncClient, counting: Counting, count: int
) -> None:
    """The study, then each UID in its series, not in all of them: the operations grow with the UIDs."""
    study, uids = new_uid(), [new_uid() for _ in range(count)]
    files = [part10(dataset(StudyInstanceUID=study, SeriesInstanceUID=new_uid(), SOPInstanceUID=uid)) for uid in uids]
    await client.post("/studies", content=multipart(files), headers={"Content-Type": MULTIPART_DICOM})
    counting.operations.clear()
    response = await client.get(f"/instances?SOPInstanceUID={','.join(uids)}")
    assert {one["00080018"]["Value"][0] for one in response.json()} == set(uids)
    assert counting.operations == {"GET terms": count, ROW: 1 + count}
    await client.delete(f"/studies/{study}")


FEED = {"GET journal": 1, "GET feed": 2}


async def test_the_change_feed(client: httpx.AsyncClient, counting: Counting) -> None:
    """Where nothing is to be drained: 3 by sequence number, 6 for a window of time, 1 for each study or instance."""
    size, study = 3, new_uid()
    after = (await client.get("/changefeed/latest")).json()["sequence"]
    start = datetime.now(UTC).isoformat()
    for uids in ({"StudyInstanceUID": study}, {"StudyInstanceUID": new_uid()}):
        files = [part10(dataset(**uids)) for _ in range(size)]
        await client.post("/studies", content=multipart(files), headers={"Content-Type": MULTIPART_DICOM})
    await client.get("/changefeed/latest")
    end = datetime.now(UTC).isoformat()
    times = {"startTime": start, "endTime": end, "includeMetadata": "false"}
    window = {**FEED, "GET feed": 4}
    asked: list[tuple[dict[str, Any], int, dict[str, int]]] = [
        ({"after": after, "includeMetadata": "false"}, 2 * size, {**FEED, "GET catalog": 2}),
        ({"after": after, "limit": size, "includeMetadata": "false"}, size, {**FEED, "GET catalog": 1}),
        ({"after": after}, 2 * size, {**FEED, "GET catalog": 2 * size}),
        ({"after": after + 2 * size}, 0, {"GET journal": 1, "GET feed": 1}),
        (times, 2 * size, {**window, "PATCH feed": 1, "GET catalog": 2}),
        # the end of the window was passed by the first request
        ({**times, "offset": 1}, 2 * size - 1, {**window, "GET catalog": 2}),
        ({"offset": after, "includeMetadata": "false", "limit": 1}, 1, {**FEED, "GET catalog": 1}),
    ]
    for query, count, expected in asked:
        counting.operations.clear()
        response = await client.get("/changefeed", params=query)
        assert len(response.json()) == count
        assert counting.operations == expected, query
    counting.operations.clear()
    await client.get("/changefeed", params={"after": after + 2 * size, "includeMetadata": "false"})
    assert counted(counting) == costs.poll(0)
    await client.get("/changefeed", params={"after": after, "includeMetadata": "false"})
    assert counted(counting) == costs.poll(2)
    await client.get("/changefeed/latest")
    assert counting.operations == {**FEED, "GET catalog": 1}
    counting.operations.clear()
    await client.head("/changefeed", params={"after": after})
    assert counting.operations == FEED


async def test_what_is_drained_after_a_store(client: httpx.AsyncClient, counting: Counting) -> None:
    """For a store, and for each of those that are drained together."""
    latest = (await client.get("/changefeed/latest")).json()["sequence"]
    await client.post("/studies", content=part10(dataset()), headers={"Content-Type": "application/dicom"})
    counting.operations.clear()
    await client.get("/changefeed", params={"after": latest, "includeMetadata": "false"})
    assert counted(counting).table == costs.poll(1).table + costs.drain(1).table
    for stores in (1, 20):
        for _ in range(stores):
            await client.post("/studies", content=part10(dataset()), headers={"Content-Type": "application/dicom"})
        counting.operations.clear()
        await client.get("/changefeed/latest?includeMetadata=false")
        shards = counting.operations.pop("DELETE journal", 0) + counting.operations.pop("POST journal", 0)
        assert 1 <= shards <= 16
        assert counting.operations == {
            "GET journal": 1,
            "GET feed": 2 + 1,  # before the append, and for the answer the head again and the block
            "GET catalog": stores + 1,
            "POST feed": 1,
            "DELETE catalog": stores,
            "PATCH feed": 1,
        }


def counted(counting: Counting) -> costs.Operations:
    """The operations since the last call, in the form that costs are computed from; deletes of blobs are free."""
    asked = dict(counting.operations)
    counting.operations.clear()
    return costs.Operations(
        table=sum(count for name, count in asked.items() if not name.endswith(" dicom")),
        blob_writes=asked.get("PUT dicom", 0),
        blob_reads=asked.get("GET dicom", 0),
    )


async def test_costs_are_computed_from_the_counted_operations(client: httpx.AsyncClient, counting: Counting) -> None:
    study, series, size = new_uid(), new_uid(), 3
    one = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "PatientID": study[-16:]}
    files = [part10(dataset(**one, SOPInstanceUID=new_uid())) for _ in range(size)]
    counting.operations.clear()
    stored = await client.post("/studies", content=multipart(files), headers={"Content-Type": MULTIPART_DICOM})
    assert stored.status_code == 200
    postings = sum(count for name, count in counting.operations.items() if name.endswith(" terms")) - size
    assert counted(counting) == costs.store(size, postings)
    instance = stored.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    for url, expected in {
        instance: costs.retrieve(0.5),
        f"/studies/{study}/metadata": costs.metadata(size),
        f"/studies?PatientID={study[-16:]}": costs.search(1),
    }.items():
        assert (await client.get(url)).status_code == 200
        assert counted(counting) == expected
    await client.delete(f"/studies/{study}")
    assert counted(counting) == costs.delete(size, postings)

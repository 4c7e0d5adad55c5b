"""Searches by extended query tags over HTTP, on an archive of their own: answers, headers, storage operations."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from azure.functions.decorators.function_app import Function
from pydicom.dataset import Dataset

from functions.edge import app
from local import azurite
from local.ports import free_ports
from local.server import Host, routes_of
from shared.archive.extended_tags import NO_TAGS, ExtendedTag, QueryStatus, TagStatus
from shared.archive.operation import LISTER, Operation, OperationStatus, OperationType, new_operation_id
from shared.dicom.attributes import Level
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.tag_table import Tags
from tests.support.messages import MULTIPART_DICOM, multipart
from tests.support.served_instances import dataset, numbered_uids, part10, uids_of
from tests.support.storage_operations import Counting
from tests.support.storage_policies import archive_through

WEIGHT, COMMENTS, DURATION, PRIVATE = "00101030", "00204000", "00189073", "00091001"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OPERATION = new_operation_id(NOW)
READY, ADDING = TagStatus.READY, TagStatus.ADDING
TAGS = NO_TAGS.with_added(
    [
        ExtendedTag(0, (WEIGHT,), "DS", "", Level.STUDY, READY, error_count=3),
        ExtendedTag(0, ("00080070",), "LO", "", Level.SERIES, READY),
        ExtendedTag(0, (DURATION,), "FD", "", Level.INSTANCE, READY),
        ExtendedTag(0, ("0008002A",), "DT", "", Level.INSTANCE, READY),
        ExtendedTag(0, (PRIVATE,), "LO", "ACME", Level.STUDY, READY),
        ExtendedTag(0, ("00081032", "00080100"), "SH", "", Level.STUDY, READY),
        ExtendedTag(0, ("00101010",), "AS", "", Level.STUDY, ADDING, operation_id=OPERATION),
        ExtendedTag(0, ("00102160",), "SH", "", Level.STUDY, ADDING, operation_id="f" * 32),
        ExtendedTag(0, ("00101020",), "DS", "", Level.STUDY, READY, QueryStatus.DISABLED, error_count=1),
    ]
)
UIDS = uids_of(__name__)
STUDIES = [next(UIDS) for _ in range(3)]
SERIES = [next(UIDS) for _ in STUDIES]
INSTANCES = [numbered_uids(count) for count in (12, 3, 1)]
TERMS, ROW = "GET terms", "GET catalog"


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with azurite.running(free_ports(3), None) as running:
        yield Settings(storage_connection_string=running.connection_string, create_storage=True)


@pytest_asyncio.fixture(scope="module")
async def counting() -> Counting:
    return Counting()


@pytest_asyncio.fixture(scope="module")
async def archive(settings: Settings, counting: Counting) -> AsyncIterator[Archive]:
    """Three studies: 1.5, 1.5 and 2 kg; all 12, all 3 and no instances lasting a second."""
    await (await Archive.open(settings)).close()
    with pytest.MonkeyPatch.context() as patch:
        async with archive_through(counting, patch, settings) as opened:
            await opened.tags.replace(await opened.tags.read(), TAGS)
            yield opened


def image(number: int, uid: str) -> Dataset:
    made = dataset(StudyInstanceUID=STUDIES[number], SeriesInstanceUID=SERIES[number], SOPInstanceUID=uid)
    code = Dataset()
    code.CodeValue = f"CODE {number}"
    code.CodeMeaning = "meant"
    made.ProcedureCodeSequence = [code]
    made.PatientWeight, made.PatientSize = ("1.5", "1.50", "2.0")[number], "1.7"
    made.Manufacturer = ("Exam", "Examiner", "Other")[number]
    made.AcquisitionDuration = (1.0, 1.0, 2.5)[number]
    made.AcquisitionDateTime = f"20260{number + 1}01101500+0100"
    made.private_block(0x0009, "ACME" if number else "OTHER", create=True).add_new(0x01, "LO", f"private {number}")
    return made


@pytest_asyncio.fixture(scope="module")
async def client(functions: list[Function], archive: Archive) -> AsyncIterator[httpx.AsyncClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "of_process", app.App(Settings(anonymous_access=True), archive=archive))
        transport = httpx.ASGITransport(Host(routes_of(functions)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:7071/v2") as opened:
            for number, uids in enumerate(INSTANCES):
                files = [part10(image(number, uid)) for uid in uids]
                headers = {"Content-Type": MULTIPART_DICOM}
                response = await opened.post("/studies", content=multipart(files), headers=headers)
                assert response.status_code == 200
            yield opened


async def found(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    response = await client.get(path)
    assert response.status_code in (200, 204), response.text
    results: list[dict[str, Any]] = response.json() if response.content else []
    assert '"~' not in response.text
    return results


@pytest.mark.parametrize(
    ("path", "studies"),
    [
        ("/studies?PatientWeight=1.5", [1, 0]),
        ("/studies?00101030=15e-1", [1, 0]),
        ("/series?PatientWeight=2", [2]),
        ("/series?Manufacturer=exam", [0]),
        ("/series?Manufacturer=Exam*", [1, 0]),
        ("/series?Manufacturer=*m*r", [1]),
        ("/instances?AcquisitionDuration=2.50", [2]),
        ("/instances?AcquisitionDuration=1", [1] * 3 + [0] * 12),
        ("/instances?AcquisitionDateTime=202602", [1] * 3),
        ("/instances?AcquisitionDateTime=20260101091500-20260201091459", [0] * 12),
        ("/instances?AcquisitionDateTime=202602-202604&AcquisitionDuration=2.5", [2]),
        ("/studies?00091001=private*", [2, 1]),
        ("/studies?00091001=private%201&privateCreator=ACME", [1]),
        ("/studies?ProcedureCodeSequence.CodeValue=code%202", [2]),
        ("/studies?00081032.00080100=CODE*", [2, 1, 0]),
        ("/studies?PatientWeight=7", []),
        (f"/studies/{STUDIES[0]}/instances?AcquisitionDuration=1&limit=2", [0] * 2),
        (f"/studies/{STUDIES[0]}/series?Manufacturer=Examiner", []),
        (f"/studies/{STUDIES[0]}/series/{SERIES[0]}/instances?AcquisitionDuration=2.5", []),
        # within a study attributes themselves are matched, whatever becomes of a tag
        (f"/studies?StudyInstanceUID={STUDIES[0]}&PatientSize=1.7", [0]),
        (f"/studies/{STUDIES[0]}/series?PatientAge=&EthnicGroup=*", [0]),
    ],
)
async def test_what_a_search_by_tags_finds(client: httpx.AsyncClient, path: str, studies: list[int]) -> None:
    results = await found(client, path)
    assert [STUDIES.index(one["0020000D"]["Value"][0]) for one in results] == studies
    if "/instances" in path:
        asked = [uid for number in dict.fromkeys(studies) for uid in sorted(INSTANCES[number])]
        assert [one["00080018"]["Value"][0] for one in results] == asked[: len(results)]


@pytest.mark.parametrize(
    ("path", "tag", "values"),
    [
        ("/studies?PatientWeight=2", WEIGHT, [2.0]),
        ("/series?PatientWeight=2", WEIGHT, [2.0]),
        ("/instances?PatientWeight=2", WEIGHT, [2.0]),
        ("/instances?AcquisitionDuration=2.5", DURATION, [2.5]),
        ("/studies?00091001=private%202", PRIVATE, ["private 2"]),
        (f"/studies?StudyInstanceUID={STUDIES[2]}&includefield={PRIVATE}", PRIVATE, ["private 2"]),
        (f"/studies?StudyInstanceUID={STUDIES[2]}&{PRIVATE}=", PRIVATE, ["private 2"]),
        (f"/studies?StudyInstanceUID={STUDIES[2]}", PRIVATE, None),
        (f"/studies?StudyInstanceUID={STUDIES[2]}&includefield=all", PRIVATE, None),
        (f"/studies?StudyInstanceUID={STUDIES[0]}&includefield={PRIVATE}", PRIVATE, None),  # another creator's
        ("/studies?PatientWeight=2", DURATION, None),
    ],
)
async def test_a_tag_is_answered_where_it_is_asked_for(
    client: httpx.AsyncClient, path: str, tag: str, values: list[Any] | None
) -> None:
    (result,) = await found(client, path)
    assert (result[tag]["Value"] if tag in result else None) == values


async def test_a_sequence_is_answered_whole(client: httpx.AsyncClient) -> None:
    (result,) = await found(client, "/studies?ProcedureCodeSequence.CodeValue=CODE%202")
    assert result["00081032"]["Value"][0].keys() == {"00080100", "00080104"}


async def test_names_of_tags_stay_inside(client: httpx.AsyncClient) -> None:
    xml = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    for path, headers in (
        ("/instances?PatientWeight=2&AcquisitionDuration=2.5&includefield=all", {}),
        ("/instances?PatientWeight=2&AcquisitionDuration=2.5&includefield=all", xml),
        ("/studies?PatientWeight=2&includefield=all", xml),
        (f"/studies/{STUDIES[2]}/metadata", {}),
        (f"/studies/{STUDIES[2]}/metadata", xml),
        ("/changefeed", {}),
    ):
        response = await client.get(path, headers=headers)
        assert response.status_code == 200
        assert "~" not in response.text
        assert "AcquisitionDuration" in response.text or DURATION in response.text or "metadata" not in path


@pytest.mark.parametrize(
    ("path", "operations"),
    [
        (f"/studies?StudyInstanceUID={STUDIES[0]}", {ROW: 1}),
        ("/studies?PatientWeight=2", {"GET tags": 1, TERMS: 1, ROW: 1}),
        ("/series?Manufacturer=Exam*", {"GET tags": 1, TERMS: 1, ROW: 2}),
        ("/studies?00091001=private*", {"GET tags": 1, TERMS: 1, ROW: 2}),
        ("/instances?AcquisitionDuration=2.5", {"GET tags": 1, TERMS: 1, ROW: 1 + 1}),
        # all of each series in one query, or a few rows of one
        ("/instances?AcquisitionDuration=1", {"GET tags": 1, TERMS: 1, ROW: 2 + 2}),
        (f"/instances?SOPInstanceUID={','.join(INSTANCES[0][:2])}", {TERMS: 1 + 1, ROW: 1 + 2}),
        (f"/instances?SOPInstanceUID={','.join(INSTANCES[0][:6])}", {TERMS: 6, ROW: 1 + 1}),
        (f"/studies/{STUDIES[0]}/instances?AcquisitionDuration=1", {"GET tags": 1, ROW: 1 + 1}),
        # of two keys, the one with fewer postings
        ("/instances?PatientWeight=2&AcquisitionDuration=2.5", {"GET tags": 1, TERMS: 2, ROW: 2}),
    ],
)
async def test_storage_operations(
    client: httpx.AsyncClient, counting: Counting, path: str, operations: dict[str, int]
) -> None:
    counting.operations.clear()
    await found(client, path)
    assert counting.operations == operations


async def test_for_what_is_only_returned_the_tags_are_read_now_and_then(
    client: httpx.AsyncClient, archive: Archive, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.tags, "_known_since", float("-inf"))
    for operations in ({"GET tags": 1, ROW: 1}, {ROW: 1}):
        counting.operations.clear()
        await found(client, f"/studies?StudyInstanceUID={STUDIES[0]}&includefield={PRIVATE}")
        assert counting.operations == operations
    counting.operations.clear()
    await found(client, f"/studies?StudyInstanceUID={STUDIES[0]}&includefield=PatientWeight,all&PatientAge=")
    assert counting.operations == {ROW: 1}


@pytest.mark.parametrize(
    ("path", "status", "erroneous"),
    [
        ("/studies?PatientWeight=2", 200, "PatientWeight"),
        ("/studies?00101030=7", 204, "00101030"),
        ("/series?00101030=2&Manufacturer=Other", 200, "00101030"),
        ("/series?Manufacturer=Other", 200, None),
        (f"/studies/{STUDIES[0]}/series?PatientSize=1.7", 200, None),  # matched itself
        ("/studies?PatientID=nobody", 204, None),
    ],
)
async def test_the_header_names_tags_that_miss_instances(
    client: httpx.AsyncClient, path: str, status: int, erroneous: str | None
) -> None:
    response = await client.get(path)
    assert (response.status_code, response.headers.get("erroneous-dicom-attributes")) == (status, erroneous)


async def refused(client: httpx.AsyncClient, path: str) -> str:
    response = await client.get(path)
    assert response.status_code == 400
    detail: str = json.loads(response.text)["detail"]
    return detail


async def test_a_tag_that_is_being_added_is_refused_with_its_progress(
    client: httpx.AsyncClient, archive: Archive, counting: Counting
) -> None:
    gone = await refused(client, "/studies?EthnicGroup=x")
    assert gone == "The extended query tag EthnicGroup is being added. No operation makes it ready: add it again."
    operation = Operation(OPERATION, OperationType.REINDEX, OperationStatus.RUNNING, NOW, NOW)
    await archive.operations.create(operation, {})
    url = f"http://localhost:7071/v2/operations/{OPERATION}"
    detail = await refused(client, "/studies?PatientAge=070Y")
    assert detail.startswith("The extended query tag PatientAge is being added. ")
    assert f"the operation {url} has succeeded. percentComplete: 0." in detail
    stored, lister = await archive.operations.read(OPERATION), await archive.operations.read_unit(OPERATION, LISTER)
    assert stored is not None
    assert lister is not None
    await archive.operations.list_units(stored, lister, [{"percent": 25}], None, NOW)
    counting.operations.clear()
    assert "percentComplete: 25." in await refused(client, "/studies?PatientAge=070Y")
    assert counting.operations == {"GET tags": 1, "GET operations": 2}
    stored = await archive.operations.read(OPERATION)
    assert stored is not None
    await archive.operations.change_status(replace(stored, status=OperationStatus.FAILED))
    assert f"The operation {url} has ended (failed)" in await refused(client, "/studies?PatientAge=070Y")


async def test_a_tag_that_is_disabled_is_refused(client: httpx.AsyncClient) -> None:
    detail = await refused(client, "/studies?PatientSize=1.7")
    assert detail.startswith("Query is disabled on specified attribute PatientSize")
    assert "PatientWeight" in await refused(client, "/studies?Rows=1")


async def test_a_tag_is_searched_as_soon_as_it_is_enabled(
    client: httpx.AsyncClient, archive: Archive, settings: Settings
) -> None:
    other = await Archive.open(settings)
    tags: Tags = other.tags
    before = await tags.read()
    disabled = next(tag for tag in before.tags.tags if tag.query_status is QueryStatus.DISABLED)
    enabled = before.tags.with_changed(replace(disabled, query_status=QueryStatus.ENABLED))
    after = await tags.replace(before, enabled)
    assert len(await found(client, "/studies?PatientSize=1.70")) == 3
    await tags.replace(after, before.tags)
    await other.close()
    assert "disabled" in await refused(client, "/studies?PatientSize=1.70")

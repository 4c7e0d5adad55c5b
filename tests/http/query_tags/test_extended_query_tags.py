"""Extended query tags over HTTP, as Microsoft's clients use them: added, listed, changed, removed, and their errors."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from azure.functions.decorators.function_app import Function

from shared.archive.extended_tags import MAX_TAGS, ExtendedTag, RemovedTag, TagStatus
from shared.archive.operation import OperationStatus
from shared.dicom.attributes import Level
from shared.services.operations import engine
from shared.storage.archive import Archive
from shared.storage.queues import Queues
from shared.storage.tag_table import TAG_CACHE_SECONDS, UNSEEN_SECONDS
from tests.support.in_process import app_client
from tests.support.query_tags import AGE, PRIVATE, ROOT, STATION, TAGS, URL, added, check, ended

JSON = {"Content-Type": "application/json; charset=utf-8"}  # as the C# client sends it


async def test_the_life_of_a_tag(client: httpx.AsyncClient, archive: Archive) -> None:
    assert await check(client, await client.get(TAGS), "ExtendedQueryTags") == []
    operation_id = await added(client, AGE, PRIVATE, STATION)  # as the C# client sends them
    operation = {"id": operation_id, "href": f"{URL}/operations/{operation_id}"}
    state = {"status": "Adding", "queryStatus": "Enabled", "operation": operation}
    tags = [AGE | state, PRIVATE | state, {"path": "00081010", "vr": "SH", "level": "Instance"} | state]
    listed = await check(client, await client.get(f"{TAGS}?limit=100&offset=0"), "ExtendedQueryTags")
    assert listed == tags
    assert list(listed[1]) == ["path", "vr", "privateCreator", "level", "status", "queryStatus", "operation"]
    for name, tag in (("PatientAge", tags[0]), ("00101010", tags[0]), ("00991001", tags[1]), ("00081010", tags[2])):
        assert await check(client, await client.get(f"{TAGS}/{name}"), "ExtendedQueryTag") == tag
    found = await check(client, await client.get(f"/operations/{operation_id}"), "Operation", 202)
    assert (found["type"], found["status"]) == ("reindex", "notStarted")
    private = f"{URL}{TAGS}/00991001?privateCreator=X"
    assert found["resources"] == [f"{URL}{TAGS}/00101010", private, f"{URL}{TAGS}/00081010"]

    assert (await client.delete(f"{TAGS}/StationName")).status_code == 204
    await ended(archive, operation_id, OperationStatus.SUCCEEDED)
    ready = {"status": "Ready", "queryStatus": "Enabled"}
    assert (await client.get(f"{TAGS}/PatientAge")).json() == AGE | ready
    assert [tag["path"] for tag in (await client.get(TAGS)).json()] == ["00101010", "00991001"]
    response = await client.patch(f"{TAGS}/00101010", content=b'{"queryStatus":"Disabled"}', headers=JSON)
    disabled = {**AGE, **ready, "queryStatus": "Disabled"}
    assert await check(client, response, "ExtendedQueryTag") == disabled
    assert (await client.get(f"{TAGS}/00101010")).json() == disabled
    response = await client.patch(f"{TAGS}/PatientAge", content=b'{"QueryStatus":"Enabled"}', headers=JSON)
    assert response.json() == AGE | ready

    response = await client.delete(f"{TAGS}/00101010")
    assert (response.status_code, response.content) == (204, b"")
    for gone in (
        await client.get(f"{TAGS}/00101010"),
        await client.delete(f"{TAGS}/PatientAge"),
        await client.patch(f"{TAGS}/00101010", json={"queryStatus": "Enabled"}),
        await client.get(f"{TAGS}/00101010/errors"),
    ):
        assert gone.status_code == 404
    assert await added(client, AGE) != operation_id  # a new POST may come at once
    (_, again), set_ = (await client.get(TAGS)).json(), (await archive.tags.read()).tags
    assert again["status"] == "Adding"
    assert [tag.number for tag in set_.tags] == [2, 4]  # no number is given again


async def test_what_postman_sends(client: httpx.AsyncClient) -> None:
    body = b'[{"Path":"00101010","VR":"AS","PrivateCreator":null,"Level":"Study"}]'
    response = await client.post(TAGS, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 202
    response = await client.patch(f"{TAGS}/00101010", content=b'{"QueryStatus":"Disabled"}', headers=JSON)
    assert response.json()["queryStatus"] == "Disabled"


@pytest.mark.parametrize("url", ["/v1", "/v1.0-prerelease", ""])
async def test_other_versions_have_the_same_tags(client: httpx.AsyncClient, url: str) -> None:
    operation_id = await added(client, AGE)
    tag = (await client.get(f"http://localhost:7071{url}{TAGS.upper()}/PatientAge")).json()
    assert tag["operation"] == {"id": operation_id, "href": f"{ROOT}{url}/operations/{operation_id}"}
    assert (await client.head(f"http://localhost:7071{url}{TAGS}")).status_code == 200


async def test_the_operation_begins_once_no_process_goes_by_the_old_set(
    client: httpx.AsyncClient, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[dict[str, Any], int]] = []

    async def send(_self: Queues, _queue: str, message: dict[str, Any], *, visible_after_seconds: int = 0) -> None:
        sent.append((message, visible_after_seconds))

    monkeypatch.setattr(Queues, "send", send)
    reindex = await added(client, AGE, PRIVATE)
    assert await archive.operations.read_specification(reindex) == {"generation": 1, "numbers": [1, 2]}
    await ended(archive, reindex, OperationStatus.SUCCEEDED)
    assert (await client.delete(f"{TAGS}/00991001")).status_code == 204
    assert [(message["unit"], seconds) for message, seconds in sent] == [(0, UNSEEN_SECONDS)] * 2
    assert UNSEEN_SECONDS > TAG_CACHE_SECONDS
    cleanup = sent[1][0]["operation"]
    assert await archive.operations.read_specification(cleanup) == {"generation": 2, "name": "~LO2", "number": 2}
    response = await client.get(f"/operations/{cleanup}")
    assert (response.status_code, response.json()["type"]) == (202, "dataCleanup")
    assert "resources" not in response.json()
    assert (await client.get("/operations?type=datacleanup")).json()[0]["operationId"] == cleanup


async def test_what_every_search_matches_here_is_ready_at_once(client: httpx.AsyncClient, archive: Archive) -> None:
    nested = "RequestAttributesSequence.ScheduledProcedureStepID"
    operation_id = await added(client, {"path": "StudyTime", "level": "Study"}, {"path": nested, "level": "Series"})
    ready = {"status": "Ready", "queryStatus": "Enabled"}
    assert (await client.get(TAGS)).json() == [
        {"path": "00080030", "vr": "TM", "level": "Study"} | ready,
        {"path": "00400275.00400009", "vr": "SH", "level": "Series"} | ready,
    ]
    operation = await archive.operations.read(operation_id)
    assert operation is not None
    assert operation.status is OperationStatus.SUCCEEDED
    assert await archive.operations.count_open(operation_id) == 0
    before = [one.id async for one in archive.operations.read_all()]
    assert (await client.delete(f"{TAGS}/{nested}")).status_code == 204
    assert [one.id async for one in archive.operations.read_all()] == before  # it has no values
    assert [tag["path"] for tag in (await client.get(TAGS)).json()] == ["00080030"]


async def test_one_post_at_a_time(client: httpx.AsyncClient, archive: Archive) -> None:
    operation_id = await added(client, AGE)
    # Even what is wrong, or there already, has to wait.
    for body in ([STATION], [AGE], [{"path": "nonsense", "level": "Study"}]):
        response = await client.post(TAGS, json=body)
        assert response.status_code == 409
        assert response.headers["Content-Type"].startswith("text/plain")
        assert response.headers["Location"] == f"{URL}/operations/{operation_id}"
        assert response.text == f"There is already an active re-index operation with ID '{operation_id}'"
    assert (await client.post(TAGS, json=[])).status_code == 400  # but not what is no request
    await ended(archive, operation_id, OperationStatus.SUCCEEDED)
    response = await client.post(TAGS, json=[STATION, AGE])
    assert (response.status_code, response.json()["detail"]) == (
        409,
        "One or more extended query tags already exist.",
    )
    assert "Location" not in response.headers
    assert len((await client.get(TAGS)).json()) == 1  # all or nothing
    assert await added(client, STATION)


@pytest.mark.parametrize("status", [OperationStatus.CANCELED, OperationStatus.FAILED])
async def test_what_nobody_makes_ready_is_taken_over(
    client: httpx.AsyncClient, archive: Archive, status: OperationStatus
) -> None:
    first = await added(client, AGE, STATION)
    await ended(archive, first, status)
    assert (await client.get(f"{TAGS}/PatientAge")).json()["operation"]["id"] == first
    second = await added(client, AGE, PRIVATE)
    tags = (await archive.tags.read()).tags
    assert [(tag.number, tag.operation_id) for tag in tags.tags] == [(1, second), (2, first), (3, second)]
    assert (tags.generation, tags.removed) == (2, ())
    assert await archive.operations.read_specification(second) == {"generation": 2, "numbers": [1, 3]}
    # What is asked for otherwise has other values: maintenance removes those that there may be.
    await ended(archive, second, status)
    third = await added(client, {**AGE, "level": "Series"})
    tags = (await archive.tags.read()).tags
    assert [(tag.number, tag.operation_id) for tag in tags.tags] == [(2, first), (3, second), (4, third)]
    assert tags.removed == (RemovedTag(1, "~AS1", 3),)


async def test_tags_of_an_operation_that_never_started_are_taken_over(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    tag = ExtendedTag(0, ("00101010",), "AS", "", Level.STUDY, TagStatus.ADDING, operation_id="0" * 32)
    await archive.tags.change(lambda tags: tags.with_added([tag]))
    operation_id = await added(client, AGE)
    assert [(tag.number, tag.operation_id) for tag in (await archive.tags.read()).tags.tags] == [(1, operation_id)]


async def test_there_is_an_end_to_tags(client: httpx.AsyncClient, archive: Archive) -> None:
    def private(number: int) -> dict[str, str]:
        return {"path": f"0099{0x1000 + number:04X}", "vr": "LO", "level": "Study", "privateCreator": "ACME"}

    many = [private(number) for number in range(MAX_TAGS + 1)]
    response = await client.post(TAGS, json=many)
    assert (response.status_code, response.json()["detail"]) == (
        400,
        "There can be at most 128 extended query tags; there are 0.",
    )
    await ended(archive, await added(client, *many[:-1]), OperationStatus.SUCCEEDED)
    response = await client.post(TAGS, json=[AGE])
    assert (response.status_code, "there are 128" in response.json()["detail"]) == (400, True)
    assert len(await check(client, await client.get(TAGS), "ExtendedQueryTags")) == 100
    pages = [(await client.get(TAGS, params={"limit": 50, "offset": offset})).json() for offset in range(0, 200, 50)]
    assert [tag["path"] for page in pages for tag in page] == [one["path"] for one in many[:-1]]
    assert [len(page) for page in pages] == [50, 50, 28, 0]
    for query in ("limit=0", "limit=201", "offset=-1", "limit=x", "page=1"):
        assert (await client.get(f"{TAGS}?{query}")).status_code == 400


async def test_two_private_creators_with_one_path(client: httpx.AsyncClient, archive: Archive) -> None:
    other = {**PRIVATE, "privateCreator": "Y & Z", "vr": "US"}
    await ended(archive, await added(client, PRIVATE, other), OperationStatus.SUCCEEDED)
    path = f"{TAGS}/00991001"
    for response in (
        await client.get(path),
        await client.patch(path, json={"queryStatus": "Disabled"}),
        await client.delete(path),
        await client.get(f"{path}/errors"),
    ):
        assert response.status_code == 400
        assert "privateCreator" in response.json()["detail"]
    one, another = ({"privateCreator": name} for name in ("X", "Y & Z"))
    assert (await client.get(path, params=another)).json()["vr"] == "US"
    response = await client.patch(path, params=another, json={"queryStatus": "Disabled"})
    assert response.json()["privateCreator"] == "Y & Z"
    assert (await client.get(path, params=one)).json()["queryStatus"] == "Enabled"
    assert (await client.get(f"{path}/errors", params=one)).json() == []
    assert (await client.delete(path, params={"privateCreator": "Q"})).status_code == 404
    assert (await client.delete(path, params=one)).status_code == 204
    assert (await client.get(path)).json()["vr"] == "US"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[]", "missing"),
        ('{"path":"00101010","level":"Study"}', "must be a JSON array"),
        (
            '[{"Path":"00100040"}]',
            "The field '[0].Level' in request body is invalid: The Dicom Tag Property Level must be specified and must "
            "not be null, empty or whitespace",
        ),
        (
            '[{"Path":"00100040","Level":"Studys"}]',
            "The field '$[0].Level' in request body is invalid: Expected value 'Studys' to be one of the following "
            "values: ['Instance', 'Series', 'Study']",
        ),
        ('[{"Path":"00101010","Level":"Study"},{"Path":"PatientAge","Level":"Series"}]', "00101010 is given twice"),
        ('[{"Path":"00101010","Level":"Study"},{"Path":"PatientID","Level":"Study"}]', "already supported"),
        ('[{"path":"ManufacturerModelName","level":"Instance"}]', "already supported"),
        ('[{"path":"00991001","vr":"LO","level":"Instance"}]', "needs a privateCreator"),
        ('[{"path":"RequestAttributesSequence","level":"Series"}]', "not supported"),
    ],
)
async def test_what_is_refused(client: httpx.AsyncClient, body: str, said: str) -> None:
    response = await client.post(TAGS, content=body, headers=JSON)
    assert response.status_code == 400
    assert said in response.json()["detail"]
    assert (await client.get(TAGS)).json() == []


async def test_other_media_types_and_long_bodies_are_refused(client: httpx.AsyncClient) -> None:
    body = json.dumps([AGE]).encode()
    for headers in ({}, {"Content-Type": "text/json"}, {"Content-Type": "application/dicom+json"}):
        assert (await client.post(TAGS, content=body, headers=headers)).status_code == 415
        assert (await client.patch(f"{TAGS}/00101010", content=b"{}", headers=headers)).status_code == 415
    assert (await client.post(TAGS, content=b" " * 256 * 1024 + body, headers=JSON)).status_code == 413


async def test_paths_that_cannot_be_read_are_refused(client: httpx.AsyncClient) -> None:
    for name in ("patientage", "0010101", "0010101G", "00101010.", "x" * 500):
        for response in (
            await client.get(f"{TAGS}/{name}"),
            await client.delete(f"{TAGS}/{name}"),
            await client.get(f"{TAGS}/{name}/errors"),
            await client.patch(f"{TAGS}/{name}", json={"queryStatus": "Enabled"}),
        ):
            assert response.status_code == 400, (name, response.request.method)
    assert (await client.get(f"{TAGS}/00101010")).status_code == 404
    assert (await client.get(f"{TAGS}/00101010?limit=1")).status_code == 400


@pytest.mark.parametrize(
    "body", ["{}", '{"queryStatus":"on"}', '{"queryStatus":null}', '{"queryStatus":"Enabled","level":"Study"}', "[]"]
)
async def test_a_status_that_is_refused(client: httpx.AsyncClient, body: str) -> None:
    await added(client, AGE)
    response = await client.patch(f"{TAGS}/00101010", content=body, headers=JSON)
    assert response.status_code == 400
    assert (await client.get(f"{TAGS}/00101010")).json()["queryStatus"] == "Enabled"


async def test_without_queues_nothing_is_added(
    functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = replace(archive, queues=Queues(None))
    async with app_client(functions, without, monkeypatch) as client:
        response = await client.post(TAGS, json=[AGE])
        assert response.status_code == 503
        assert "has to provision it again" in response.json()["detail"]
        assert (await client.get(TAGS)).json() == []


async def test_without_a_message_the_tags_wait_for_who_asks_again(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_arguments: Any, **_options: Any) -> None:
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setattr(engine, "send", fails)
        assert (await client.post(TAGS, json=[AGE])).status_code == 500
    (tag,) = (await client.get(TAGS)).json()
    assert (await client.get(f"/operations/{tag['operation']['id']}")).json()["status"] == "canceled"
    assert await added(client, AGE) != tag["operation"]["id"]

"""Operations of the served app: what Microsoft's client reads of their state, and what is ours."""

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pytest
from azure.functions.decorators.function_app import Function
from azure.functions.queue import QueueMessage
from azure.storage.blob import ContainerClient
from openapi_schema_validator import OAS31Validator

from functions import maintenance, operation_units
from functions.edge import app
from local.azurite import ROOT, connection_string
from shared.archive.operation import OperationStatus, OperationType
from shared.services.feed import drain
from shared.services.operations.engine import cancel, start
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.queues import Queues
from tests.conftest import Server, serving
from tests.support.in_process import app_client
from tests.support.operation_messages import UNITS, Counting, deliver, messages_of
from tests.support.served_instances import dataset, new_uid, part10

SECONDS = 60
ID = re.compile("[0-9a-f]{32}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app of these tests, whose queue functions run by themselves."""
    with serving(tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def service(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def study(service: httpx.Client) -> str:
    """A study that is stored."""
    image = dataset(StudyInstanceUID=new_uid())
    response = service.post("/v2/studies", content=part10(image), headers={"Content-Type": "application/dicom"})
    assert response.status_code == 200
    return str(image.StudyInstanceUID)


def started(service: httpx.Client, version: str = "v2", **body: Any) -> str:
    """Start an operation; return its URL."""
    response = service.post(f"/{version}/operations", json={"type": "verify", **body})
    assert response.status_code == 202, response.text
    reference = response.json()
    assert reference.keys() == {"id", "href"}
    assert ID.fullmatch(reference["id"])  # Microsoft's client refuses dashes
    assert reference["href"].endswith(
        f"{str(service.base_url).rpartition(':')[2].strip('/')}/{version}/operations/{reference['id']}"
    )
    assert response.headers["Location"] == reference["href"]
    return str(reference["href"])


def ended(service: httpx.Client, href: str) -> dict[str, Any]:
    """Wait as Microsoft's client does, which also reads the body of a 202."""
    give_up = time.monotonic() + SECONDS
    while True:
        response = service.get(href)
        state: dict[str, Any] = response.json()
        if state["status"] not in ("notStarted", "running"):
            assert response.status_code == 200
            assert "Location" not in response.headers
            return state
        assert response.status_code == 202
        assert response.headers["Location"] == href
        assert time.monotonic() < give_up, state
        time.sleep(0.1)


def test_an_archive_is_verified(service: httpx.Client, study: str) -> None:
    href = started(service, digests=True)
    state = ended(service, href)
    assert state["status"] == "succeeded"
    assert state["type"] == "verify"
    assert state["operationId"] == href.rpartition("/")[2]
    assert state["percentComplete"] == 100
    counts = {name: count for name, count in state["results"].items() if name != "postings"}
    assert counts == {"studies": 1, "instances": 1, "blobs": 1, "differenceCount": 0, "differences": []}
    assert state["results"]["postings"] > 5
    for name in ("createdTime", "lastUpdatedTime"):
        assert state[name].endswith("Z")
        assert datetime.fromisoformat(state[name]).tzinfo
    assert "null" not in service.get(href).text


def test_v1_says_completed(service: httpx.Client, study: str) -> None:
    href = started(service, "v1", studies=[study, study])
    state = ended(service, href)
    assert (state["status"], state["results"]["studies"]) == ("completed", 1)
    assert service.get(href.replace("/v1/", "/v2/")).json()["status"] == "succeeded"


def test_any_form_of_a_guid_names_an_operation(service: httpx.Client) -> None:
    href = started(service, studies=[new_uid()])
    ended(service, href)
    plain = href.rpartition("/")[2]
    dashed = "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))
    for form in (plain, plain.upper(), dashed, dashed.upper(), f"{{{dashed}}}", f"({dashed})"):
        for method in ("GET", "HEAD"):
            response = service.request(method, f"/v2/operations/{form}")
            assert response.status_code == 200
        assert service.get(f"/v2/operations/{form}").json()["operationId"] == plain
    for other in ("0" * 32, plain[:-1], f"{plain}0", dashed[:-2], f"{{{dashed}", f"{plain[:8]}-{plain[8:]}", "1.2.3"):
        for path in (other, f"{other}/results"):
            assert service.get(f"/v2/operations/{path}").status_code == 404
        assert service.delete(f"/v2/operations/{other}").status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "not JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "type must be verify"),
        ('{"type": "export"}', "type must be verify"),
        ('{"type": 1}', "type must be verify"),
        ('{"type": "verify", "study": "1.2"}', "unknown member: its members are type, studies, digests"),
        ('{"type": "verify", "studies": "1.2"}', "studies must be an array"),
        ('{"type": "verify", "studies": []}', "and not empty"),
        ('{"type": "verify", "studies": ["1.2", "1..2"]}', r"studies\[1\] is not a UID"),
        ('{"type": "verify", "studies": [1]}', r"studies\[0\] is not a UID"),
        ('{"type": "verify", "digests": "true"}', "digests must be true or false"),
        ('{"type": "verify", "type": "verify"}', "not JSON"),
    ],
)
def test_what_cannot_be_started_is_refused(service: httpx.Client, body: str, said: str) -> None:
    response = service.post("/v2/operations", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert re.search(said, response.json()["detail"])


def test_a_body_is_read_as_microsofts_service_reads_it(service: httpx.Client) -> None:
    body = '{"TYPE": "Verify", /* all */ "Studies": ["1.2.3", "1.2.3",], "digests": null}'
    headers = {"Content-Type": "application/json; charset=utf-8"}
    response = service.post("/v2/operations", content=body, headers=headers)
    assert response.status_code == 202
    assert ended(service, response.json()["href"])["results"]["studies"] == 0
    assert service.post("/v2/operations", content=body, headers={"Content-Type": "text/plain"}).status_code == 415
    long = '{"type": "verify"' + " " * 2 * 1024**2 + "}"
    assert service.post("/v2/operations", content=long, headers=headers).status_code == 413


def test_a_mebibyte_of_studies_is_verified(service: httpx.Client) -> None:
    studies = [new_uid() for _ in range(24_000)]
    response = service.post("/v2/operations", json={"type": "verify", "studies": studies})
    assert len(response.request.content) > 1024**2
    assert response.status_code == 202
    assert service.delete(response.json()["href"]).json()["status"] == "canceled"
    many = service.post("/v2/operations", json={"type": "verify", "studies": [f"{one}.1" for one in studies] + studies})
    assert many.status_code == 413


def test_differences_come_in_pages(service: httpx.Client, server: Server) -> None:
    image = dataset(StudyInstanceUID=new_uid())
    study, headers = image.StudyInstanceUID, {"Content-Type": "application/dicom"}
    assert service.post("/v2/studies", content=part10(image), headers=headers).status_code == 200
    names = [f"{study}/{number:02}.txt" for number in range(21)]
    storage = connection_string(int(server.base_url.rpartition(":")[2]) + 1)
    with ContainerClient.from_connection_string(storage, "dicom") as container:
        for name in names:
            container.upload_blob(name, b"mine")
        href = started(service, studies=[study])
        state = ended(service, href)
        container.delete_blobs(*names)
    assert state["results"]["differenceCount"] == 21
    differences = state["results"]["differences"]
    assert [one["concerns"] for one in differences] == names
    assert differences[0].keys() == {"kind", "study", "concerns", "sentence"}
    assert (differences[0]["kind"], differences[0]["study"]) == ("foreign blob", study)
    for limit in (1, 5, 20, 21, 1000):
        pages, url = [], f"{href}/results?limit={limit}"
        while url:
            response = service.get(url)
            pages.append(response.json())
            url = response.links.get("next", {}).get("url", "")
        assert [one for page in pages for one in page] == differences
        assert [len(page) for page in pages] == [limit] * (21 // limit) + [21 % limit] * bool(21 % limit)
    for query in ("limit=0", "limit=1001", "after=x", "offset=1", "after="):
        assert service.get(f"{href}/results?{query}").status_code == 400


def test_operations_are_listed_newest_first(service: httpx.Client) -> None:
    hrefs = [started(service, studies=[new_uid()]) for _ in range(3)]
    for href in hrefs:
        ended(service, href)
    first = service.get("/v2/operations", params={"limit": 2})
    assert [one["href"] for one in first.json()] == [hrefs[2], hrefs[1]]
    assert first.json()[0].keys() == {"operationId", "type", "status", "createdTime", "lastUpdatedTime", "href"}
    second = service.get(first.links["next"]["url"])
    assert second.json()[0]["href"] == hrefs[0]
    for word in ("succeeded", "Completed"):
        listed = service.get("/v2/operations", params={"status": word, "type": "VERIFY", "limit": 1})
        assert [one["status"] for one in listed.json()] == ["succeeded"]
        assert f"status={word.lower()}" in listed.links["next"]["url"]
    assert service.get("/v1/operations?limit=1").json()[0]["status"] == "completed"
    assert service.get("/v2/operations?status=failed").json() == []
    for query in ("status=done", "type=export", "limit=201", "after=1.2", "before=x"):
        assert service.get(f"/v2/operations?{query}").status_code == 400


def test_what_has_ended_cannot_be_canceled(service: httpx.Client) -> None:
    href = started(service, studies=[new_uid()])
    before = ended(service, href)
    assert service.delete(href).json() == before == service.get(href).json()


def test_answers_are_as_the_api_describes_them(service: httpx.Client) -> None:
    document = service.get("/v2/api.json").json()
    href = started(service, studies=[new_uid()])
    ended(service, href)
    reference = {"id": href.rpartition("/")[2], "href": href}
    answers = {
        "OperationReference": reference,
        "Operation": service.get(href).json(),
        "Operations": service.get("/v2/operations").json(),
        "Differences": service.get(f"{href}/results").json(),
        "Verify": {"type": "verify", "studies": ["1.2"]},
    }
    for name, answer in answers.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        OAS31Validator(schema).validate(answer)


PROGRAM = """
import sys, function_app
names = [function.get_function_name() for function in function_app.app.get_functions()]
print([name for name in names if name.endswith("OperationUnit")])
print(sorted({"functions.operation_units", "azure.storage.queue", "azure.data.tables"} & {*sys.modules}))
"""


@pytest.mark.parametrize(
    ("variable", "has_queues"),
    [("", False), ("ArchiveQueues", True), ("ArchiveQueues__queueServiceUri", True)],
)
def test_units_run_where_the_host_reaches_the_queues(variable: str, has_queues: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ArchiveQueues")}
    environment |= {variable: "x"} if variable else {}
    arguments = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    names, imported = done.stdout.splitlines()
    assert names == ("['RunOperationUnit', 'FailOperationUnit']" if has_queues else "[]")
    assert imported == ("['functions.operation_units']" if has_queues else "[]")


async def test_the_state_shows_how_far_it_is(
    functions: list[Function], archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting()
    async with messages_of(settings) as messages, app_client(functions, archive, monkeypatch) as client:
        operation = await start(archive, OperationType.VERIFY, UNITS)
        url = f"/operations/{operation.id}"

        async def state() -> dict[str, Any]:
            response = await client.get(url)
            assert response.status_code == 202
            assert response.headers["Location"] == f"http://localhost:7071/v2{url}"
            found: dict[str, Any] = response.json()
            return found

        assert (await state())["status"] == "notStarted"
        (lister,) = await messages.take()
        await deliver(archive, settings, lister, work=counting.work)
        assert (await state())["status"] == "running"
        assert "percentComplete" not in await state()
        *units, lister = sorted(await messages.take(), key=lambda one: -one.message.unit)
        await deliver(archive, settings, lister, work=counting.work)
        assert (await state())["percentComplete"] == 0
        await deliver(archive, settings, units[0], work=counting.work)
        assert (await state())["percentComplete"] == 20
        for unit in units[1:]:
            await deliver(archive, settings, unit, work=counting.work)
        await messages.deliver_all(archive, settings, work=counting.work)
        assert (await client.get(url)).json()["percentComplete"] == 100


async def test_results_of_one_that_failed_are_there(
    functions: list[Function], archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(broken=frozenset({3}))
    async with messages_of(settings) as messages, app_client(functions, archive, monkeypatch) as client:
        operation = await start(archive, OperationType.VERIFY, UNITS)
        await messages.deliver_all(archive, settings, work=counting.work)
        state = (await client.get(f"/operations/{operation.id}")).json()
    assert (state["status"], state["results"]["runs"]) == ("failed", 5)
    assert "percentComplete" not in state
    (reason,) = state["results"]["failures"]
    assert reason.startswith("ValueError at ")


async def run(function: Any, body: str, dequeue_count: int = 1) -> None:
    message = QueueMessage(id="1", body=body, dequeue_count=dequeue_count)
    await function.build(None).get_user_function()(message)


async def test_the_queue_functions_say_what_fails_and_loop_for_no_message(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "functions")
    monkeypatch.setattr(app, "of_process", app.App(settings, archive=archive))
    for function in (operation_units.run_operation_unit, operation_units.fail_operation_unit):
        for body in ("", "{}", "[]", "not JSON"):
            await run(function, body)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert said == ["A message could not be handled: it is not one of this service."] * 8
    caplog.clear()
    async with messages_of(settings) as messages:
        operation = await start(archive, OperationType.VERIFY, "no specification of verify")
        (lister,) = await messages.take()
    body = json.dumps(lister.message.content)
    with pytest.raises(operation_units.UnitNotRun) as raised:
        await run(operation_units.run_operation_unit, body)
    assert raised.value.__cause__ is None
    await run(operation_units.run_operation_unit, body, 5)
    await run(operation_units.fail_operation_unit, body)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings[0].startswith(f"A unit of operation {operation.id} is tried again: TypeError at ")
    assert warnings[1].startswith(f"A unit of operation {operation.id} failed: TypeError at ")
    assert len(warnings) == 2
    counted = [
        record.getMessage() for record in caplog.records if "transaction=RunOperationUnit" in record.getMessage()
    ]
    assert [re.findall(r"unit=(\d+) generation=(\d+) tries=(\d+)", line) for line in counted] == [
        [("0", "0", "1")],
        [("0", "0", "5")],
    ]
    found = await archive.operations.read(operation.id)
    assert found is not None
    assert found.status is OperationStatus.FAILED


@pytest.mark.parametrize("is_feed_broken", [False, True])
async def test_maintenance_looks_after_operations(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch, is_feed_broken: bool
) -> None:
    async def fails(*_arguments: Any, **_options: Any) -> None:
        raise ValueError

    if is_feed_broken:
        monkeypatch.setattr(drain, "drain", fails)
    monkeypatch.setattr(app, "of_process", app.App(settings, archive=archive))
    async with messages_of(settings) as messages:
        operation = await start(archive, OperationType.VERIFY, UNITS)
        await cancel(archive, operation.id)
        assert len(await messages.take()) == 1  # and it is lost
    assert await archive.operations.count_open(operation.id) == 1
    timer: Any = maintenance.replay_journal
    with pytest.raises(maintenance.MaintenanceFailed) if is_feed_broken else nullcontext():
        await timer.build(None).get_user_function()(None)
    assert await archive.operations.count_open(operation.id) == 0


async def test_without_queues_nothing_starts_and_the_answer_says_why(
    functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = replace(archive, queues=Queues(None))
    async with app_client(functions, without, monkeypatch) as client:
        response = await client.post("/operations", json={"type": "verify"})
        assert response.status_code == 503
        assert "has to provision it again" in response.json()["detail"]
        assert (await client.get("/operations")).status_code == 200

"""Subscriptions of the served app: made, listed, restarted, ended; and nothing of it where they are switched off."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from azure.functions.decorators.function_app import Function
from openapi_schema_validator import OAS31Validator

from functions.edge import app as edge_app
from local.azurite import ROOT
from shared.services.feed.backfill import prepare
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.feeds import archive_apart
from tests.support.in_process import app_client
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.subscribers import Receiver, receiving

HOSTS = ("127.0.0.1",)


@pytest_asyncio.fixture
async def archive(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Archive]:
    async with archive_apart(replace(settings, subscription_hosts=HOSTS), monkeypatch) as opened:
        await prepare(opened, seconds=30)
        yield opened


@pytest_asyncio.fixture
async def client(
    functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    async with app_client(
        functions, archive, monkeypatch, subscription_hosts=HOSTS, public_base_url="https://dicom.example.org"
    ) as opened:
        yield opened


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def check(client: httpx.AsyncClient, response: httpx.Response, schema: str) -> Any:
    """The body of an answer, which is as documented."""
    document = (await client.get("/api.json")).json()
    OAS31Validator({**document, "$ref": f"#/components/schemas/{schema}"}).validate(response.json())
    return response.json()


async def test_the_life_of_a_subscription(client: httpx.AsyncClient, receiver: Receiver) -> None:
    assert (await client.get("/subscriptions")).json() == []
    response = await client.post("/subscriptions", json={"url": receiver.url, "filter": "Modality=CT"})
    assert response.status_code == 201, response.text
    made = await check(client, response, "NewSubscription")
    assert response.headers["Location"] == f"https://dicom.example.org/v2/subscriptions/{made['id']}"
    assert made["secret"].startswith("whsec_")
    assert receiver.origins == ["dicom.example.org"]
    secret = made.pop("secret")
    path = f"/subscriptions/{made['id']}"
    assert await check(client, await client.get(path), "Subscription") == made
    assert await check(client, await client.get(path.upper().replace("/SUB", "/sub")), "Subscription") == made
    assert await check(client, await client.get("/subscriptions"), "Subscriptions") == [made]
    assert made == {
        "id": made["id"],
        "url": receiver.url,
        "filter": "Modality=CT",
        "events": ["created", "updated", "deleted", "studySettled"],
        "settle": "PT2M",
        "maxEventsPerBatch": 1,
        "status": "active",
        "createdTime": made["createdTime"],
        "deliveredSequence": 0,
    }
    response = await client.patch(path, content=b'{"Status":"ACTIVE", /* again */ "after":0,}', headers=JSON)
    assert await check(client, response, "Subscription") == made
    found = await check(client, await client.get(f"{path}/deliveries"), "Deliveries")
    assert found == {
        "status": "active",
        "deliveredSequence": 0,
        "lastSequence": 0,
        "lagChanges": 0,
        "lagSeconds": 0,
        "failures": 0,
        "settlingStudyCount": 0,
        "settlingStudies": [],
    }
    assert secret not in (await client.get(path)).text
    assert (await client.delete(path)).status_code == 204
    for gone in (await client.delete(path), await client.get(path), await client.get(f"{path}/deliveries")):
        assert gone.status_code == 404
    assert (await client.patch(path, json={"status": "active"})).status_code == 404


JSON = {"Content-Type": "application/json"}


async def test_a_topic(client: httpx.AsyncClient, archive: Archive, functions: list[Function]) -> None:
    topic = "https://dicom.westeurope-1.eventgrid.azure.net/api/events"
    response = await client.post("/subscriptions", json={"eventGridTopic": topic})
    assert (response.status_code, "SUBSCRIPTION_HOSTS" in response.json()["detail"]) == (400, True)
    assert edge_app.of_process is not None
    edge_app.of_process.settings = replace(edge_app.of_process.settings, subscription_hosts=("*.eventgrid.azure.net",))
    made = await check(client, await client.post("/subscriptions", json={"eventGridTopic": topic}), "NewSubscription")
    assert made["eventGridTopic"] == topic
    assert "secret" not in made
    await archive.subscriptions.remove(made["id"])


@pytest.mark.parametrize(
    ("content", "headers", "status", "said"),
    [
        (b"{", JSON, 400, "not JSON"),
        (b"{}", JSON, 400, "url or eventGridTopic"),
        (b'{"url":"https://evil.example.net/"}', JSON, 400, "SUBSCRIPTION_HOSTS"),
        (b'{"url":"http://169.254.169.254/metadata"}', JSON, 400, "SUBSCRIPTION_HOSTS"),
        (b'{"url":"http://127.0.0.1:1/"}', JSON, 400, "OPTIONS"),
        (b'{"url":"http://127.0.0.1:1/","filter":"Rows=1"}', JSON, 400, "Rows"),
        (b'{"url":"http://127.0.0.1:1/","filter":"PatientName=Test"}', JSON, 400, "OPTIONS"),
        (b"{}", {}, 415, "application/json"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "application/json"),
        (b"{}", {**JSON, "Content-Encoding": "br"}, 415, "gzip"),
        (b" " * 70_000, JSON, 413, "65536"),
    ],
)
async def test_what_is_refused(
    client: httpx.AsyncClient, archive: Archive, content: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    response = await client.post("/subscriptions", content=content, headers=headers)
    assert (response.status_code, said in response.json()["detail"]) == (status, True), response.text
    assert "Test" not in response.json()["detail"]
    assert await archive.subscriptions.read_all() == []


async def test_paths(client: httpx.AsyncClient) -> None:
    for path in ("/subscriptions/1", "/subscriptions/" + "g" * 32, "/subscriptions/" + "0" * 32):
        assert (await client.get(path)).status_code == 404
    assert (await client.put("/subscriptions")).status_code == 405
    assert (await client.post("/subscriptions/" + "0" * 32)).status_code == 405
    allow = (await client.options("/subscriptions/" + "0" * 32)).headers["Allow"]
    assert allow == "DELETE, GET, HEAD, OPTIONS, PATCH"


async def test_there_are_not_too_many(
    client: httpx.AsyncClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.services.subscriptions import subscribe

    monkeypatch.setattr(subscribe, "MAX_SUBSCRIPTIONS", 1)
    assert (await client.post("/subscriptions", json={"url": receiver.url})).status_code == 201
    response = await client.post("/subscriptions", json={"url": receiver.url})
    assert (response.status_code, response.json()["detail"]) == (409, "There are 1 subscriptions already.")


async def test_without_queues_there_are_none(
    client: httpx.AsyncClient, archive: Archive, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.queues, "_open_client", None)
    response = await client.post("/subscriptions", json={"url": receiver.url})
    assert (response.status_code, "queues" in response.json()["detail"]) == (503, True)
    assert await archive.subscriptions.read_all() == []


@asynccontextmanager
async def switched_off(
    functions: list[Function], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[httpx.AsyncClient, Archive]]:
    archive = await Archive.open(settings)
    async with app_client(functions, archive, monkeypatch) as client:
        yield client, archive
    await archive.close()


async def test_switched_off(
    functions: list[Function], settings: Settings, monkeypatch: pytest.MonkeyPatch, archive: Archive
) -> None:
    async with switched_off(functions, settings, monkeypatch) as (client, off):
        some = f"/subscriptions/{'0' * 32}"
        for method, path in (
            ("POST", "/subscriptions"),
            ("GET", "/subscriptions"),
            ("GET", some),
            ("PATCH", some),
            ("DELETE", some),
            ("GET", f"{some}/deliveries"),
        ):
            response = await client.request(method, path, json={})
            assert (response.status_code, "SUBSCRIPTION_HOSTS" in response.json()["detail"]) == (404, True)
        monkeypatch.setattr(off.queues, "_open_client", None)  # whoever sent a message would fail
        file, headers = part10(dataset(StudyInstanceUID=new_uid())), {"Content-Type": "application/dicom"}
        assert (await client.post("/studies", content=file, headers=headers)).status_code == 200


def test_switched_off_nothing_of_it_is_imported() -> None:
    code = """
import asyncio, sys
import function_app
import shared.services.write.store, shared.services.feed.change_feed
from shared.settings import Settings
from shared.storage.archive import Archive
asyncio.run(Archive.open(Settings(storage_connection_string="UseDevelopmentStorage=true")))
print([name for name in sys.modules if "subscriptions" in name and name != "functions.subscriptions"],
      [name for name in sys.modules if name in ("shared.storage.wakes", "azure.eventgrid", "azure.storage.queue",
                                                "functions.deliveries")],
      [function.get_function_name() for function in function_app.app.get_functions()].count("DeliverEvents"))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.stdout == "[] [] 0\n", done.stderr


def test_switched_on_there_is_a_function_of_the_queue() -> None:
    code = """
import os
os.environ.update(ArchiveQueues__queueServiceUri="https://a.queue.core.windows.net", SUBSCRIPTION_HOSTS="*")
import function_app
(one,) = [one for one in function_app.app.get_functions() if one.get_function_name() == "DeliverEvents"]
trigger = one.get_trigger().get_dict_repr()
print(trigger["queueName"], trigger["connection"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.stdout == "deliveries ArchiveQueues\n", done.stderr


async def test_a_message_of_the_queue(
    client: httpx.AsyncClient, archive: Archive, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """From a store to its event, through the queue itself."""
    import azure.functions as func
    from azure.storage.queue.aio import QueueServiceClient

    from functions.deliveries import DeliveryFailed, deliver_events

    made = (await client.post("/subscriptions", json={"url": receiver.url, "events": ["created"]})).json()
    image = dataset()
    response = await client.post("/studies", content=part10(image), headers={"Content-Type": "application/dicom"})
    assert response.status_code == 200
    handler = deliver_events._function.get_user_function()
    opened = archive.queues._opened()
    assert isinstance(opened, QueueServiceClient)
    async with asyncio.timeout(30):
        while not receiver.taken:
            async for message in opened.get_queue_client("deliveries").receive_messages(visibility_timeout=60):
                await handler(func.QueueMessage(id=message.id, body=message.content))
                await opened.get_queue_client("deliveries").delete_message(message)
            await asyncio.sleep(0.2)
    assert receiver.taken[0]["data"]["imageSopInstanceUid"] == image.SOPInstanceUID
    assert f"transaction=DeliverEvents subscription={made['id']}" in caplog.text
    await opened.get_queue_client("deliveries").clear_messages()
    with pytest.raises(DeliveryFailed):
        await handler(func.QueueMessage(id="1", body='{"subscription":5}'))

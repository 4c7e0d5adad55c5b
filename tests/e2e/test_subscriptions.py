"""Subscriptions as a subscriber has them: the app is served, with its queue, and somebody else's server is told."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from tests.conftest import Server, serving
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.subscribers import Receiver, receiving

SECONDS = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("subscriptions") / "log"
    with serving(log, SUBSCRIPTION_HOSTS="127.0.0.1", PUBLIC_BASE_URL="") as running:
        yield running


@pytest_asyncio.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{server.base_url}/v2", timeout=60) as opened:
        yield opened


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def until(receiver: Receiver, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(SECONDS):
        while len(receiver.taken) < count:
            receiver.is_asked.clear()
            await receiver.is_asked.wait()
            await asyncio.sleep(0.01)  # it is taken once it is answered
    return receiver.taken


async def store(client: httpx.AsyncClient, study: str) -> str:
    image = dataset(StudyInstanceUID=study)
    response = await client.post("/studies", content=part10(image), headers={"Content-Type": "application/dicom"})
    assert response.status_code == 200
    return str(image.SOPInstanceUID)


async def test_stores_and_deletes_are_told(client: httpx.AsyncClient, receiver: Receiver) -> None:
    made = (await client.post("/subscriptions", json={"url": receiver.url, "settle": "PT3S"})).json()
    study = new_uid()
    stored = [await store(client, study) for _ in range(3)]
    assert (await client.delete(f"/studies/{study}/series/1.2.3")).status_code == 404
    taken = await until(receiver, 4)
    assert [event["data"].get("imageSopInstanceUid") for event in taken[:3]] == stored
    assert (taken[3]["type"].rpartition(".")[2], taken[3]["data"]["numberOfInstances"]) == ("DicomStudySettled", 3)
    for request in receiver.requests:
        Webhook(made["secret"]).verify(request.body, dict(request.headers))
    assert (await client.delete(f"/studies/{study}")).status_code == 204
    await until(receiver, 8)
    assert {event["type"].rpartition(".")[2] for event in receiver.taken[4:7]} == {"DicomImageDeleted"}
    path = f"/subscriptions/{made['id']}"
    assert (await client.get(f"{path}/deliveries")).json()["lagChanges"] == 0
    assert (await client.delete(path)).status_code == 204


async def test_a_receiver_that_was_down_gets_all_of_it(client: httpx.AsyncClient, receiver: Receiver) -> None:
    made = (await client.post("/subscriptions", json={"url": receiver.url, "events": ["created"]})).json()
    receiver.answer = lambda _: 503
    study = new_uid()
    stored = [await store(client, study) for _ in range(3)]
    async with asyncio.timeout(SECONDS):
        await receiver.is_asked.wait()
    receiver.answer = lambda _: 200
    path = f"/subscriptions/{made['id']}"
    assert (await client.patch(path, json={"status": "active"})).status_code == 200
    taken = await until(receiver, 3)
    assert [event["data"]["imageSopInstanceUid"] for event in taken] == stored
    assert (await client.delete(path)).status_code == 204

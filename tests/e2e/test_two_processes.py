"""Clients that use one study at once, in one process of the app and in two, which share nothing but the storage."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack

import httpx
import pytest
import pytest_asyncio

from local import azurite
from local.ports import free_ports
from tests.support.app_process import app_process
from tests.support.invariants import check_study
from tests.support.messages import MULTIPART_DICOM, multipart
from tests.support.raw_archive import RawArchive, opened
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.stores import files_of

INSTANCE_EXISTS = 45070
ROUNDS = 50


@pytest.fixture(scope="module")
def own_azurite() -> Iterator[azurite.Azurite]:
    with azurite.running(free_ports(3), None) as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def raw(own_azurite: azurite.Azurite) -> AsyncIterator[RawArchive]:
    async with opened(own_azurite.connection_string) as archive:
        yield archive


@pytest_asyncio.fixture(scope="module")
async def both(
    own_azurite: azurite.Azurite, raw: RawArchive, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[httpx.AsyncClient]]:
    log = tmp_path_factory.mktemp("processes") / "log"
    port = free_ports(2)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(app_process(number, own_azurite.connection_string, log)) for number in (port, port + 1)
        ]
        for process in processes:
            await process.wait_until_healthy()
        clients = [httpx.AsyncClient(base_url=process.base_url, timeout=120) for process in processes]
        yield clients
        for client in clients:
            await client.aclose()


@pytest.fixture(params=[pytest.param("one", marks=pytest.mark.long), "two"])
def processes(both: list[httpx.AsyncClient], request: pytest.FixtureRequest) -> list[httpx.AsyncClient]:
    """A client of each process."""
    return both if request.param == "two" else both[:1]


async def post(client: httpx.AsyncClient, files: Sequence[bytes]) -> httpx.Response:
    return await client.post("/studies", content=multipart(files), headers={"Content-Type": MULTIPART_DICOM})


async def test_every_instance_of_many_clients_is_there(raw: RawArchive, processes: list[httpx.AsyncClient]) -> None:
    await raw.empty()
    study = new_uid()
    files = [file for _ in range(4) for file in files_of(study, 50)]
    shares = [files[number::16] for number in range(16)]

    async def send(number: int) -> list[int]:
        share = shares[number]
        requests = [share[start : start + 5] for start in range(0, len(share), 5)]
        return [(await post(processes[number % len(processes)], request)).status_code for request in requests]

    statuses = [status for found in await asyncio.gather(*map(send, range(16))) for status in found]
    assert set(statuses) == {200}
    assert await check_study(raw.archive, raw.container, study) == 200
    assert await raw.differences(deep=True) == []


async def test_one_of_many_stores_of_an_instance_wins(raw: RawArchive, processes: list[httpx.AsyncClient]) -> None:
    await raw.empty()
    study = new_uid()
    file = part10(dataset(StudyInstanceUID=study))
    answers = await asyncio.gather(*(post(processes[number % len(processes)], [file]) for number in range(10)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 9}
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [INSTANCE_EXISTS]
    assert len([name async for name in raw.container.list_blob_names()]) == 1
    assert await check_study(raw.archive, raw.container, study) == 1
    assert await raw.differences(deep=True) == []


async def test_stores_against_deletes_of_a_study(raw: RawArchive, processes: list[httpx.AsyncClient]) -> None:
    await raw.empty()
    study = new_uid()
    storing, deleting = processes[0], processes[-1]
    moments = random.Random(1)

    async def delete() -> httpx.Response:
        await asyncio.sleep(moments.uniform(0, 0.15))  # so that it meets every step of the store
        return await deleting.delete(f"/studies/{study}")

    for number in range(ROUNDS):
        await post(storing, files_of(study, 1))
        stored, deleted = await asyncio.gather(post(storing, files_of(study, 1 + number % 3)), delete())
        assert (stored.status_code, deleted.status_code) == (200, 204)
        await check_study(raw.archive, raw.container, study)
        assert await raw.differences() == [], f"after round {number}"


async def test_a_request_for_changes_has_those_of_every_answer_before_it(
    raw: RawArchive, processes: list[httpx.AsyncClient]
) -> None:
    """Stores, deletes and readers on both processes: each reader is told everything once, in one order."""
    await raw.empty()
    stored: list[str] = []
    orders: list[list[int]] = []

    async def write(client: httpx.AsyncClient) -> None:
        for _ in range(8):
            study = new_uid()
            files = files_of(study, 3)
            assert (await post(client, files)).status_code == 200
            stored.append(study)
            if random.random() < 0.3:
                assert (await client.delete(f"/studies/{study}")).status_code == 204
                deleted.append(study)

    async def follow(client: httpx.AsyncClient) -> None:
        after, order = 0, list[int]()
        told: Counter[tuple[str, str]] = Counter()
        while writing or not order:
            before, gone = list(stored), list(deleted)
            while True:
                response = await client.get("/changefeed", params={"after": after, "includeMetadata": "false"})
                assert response.status_code == 200, response.text
                changes = response.json()
                if not changes:
                    break
                order += [change["sequence"] for change in changes]
                told.update((change["studyInstanceUid"], change["action"]) for change in changes)
                after = order[-1]
            if "Warning" not in response.headers:
                assert {told[study, "create"] for study in before} <= {3}
                assert {told[study, "delete"] for study in gone} <= {3}
        orders.append(order)

    deleted: list[str] = []
    writing = {asyncio.create_task(write(client)) for client in (*processes, *processes)}
    for task in writing:
        task.add_done_callback(writing.discard)
    tasks = list(writing)
    await asyncio.gather(*tasks, *(follow(client) for client in (*processes, *processes)))
    longest = max(orders, key=len)
    assert len(longest) == 3 * (len(stored) + len(deleted))
    assert all(order == longest[: len(order)] for order in orders)

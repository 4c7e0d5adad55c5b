"""Instances that the process has read lately: their row and their blob are read at once, and the row decides."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import permutations
from typing import Any

import httpx
import pytest
import pytest_asyncio
from azure.functions.decorators.function_app import Function

from shared.dicom.frame_table import FrameTable
from shared.services.write import ready_instance
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.in_process import app_client
from tests.support.replaced_instance import BLOB, OCTETS, OTHER, RESOURCES, ROW, InOrder, Instance, answer_to
from tests.support.served_instances import dataset, part10
from tests.support.storage_operations import Counting, operation_of
from tests.support.storage_policies import archive_through
from tests.support.stores import store


@pytest.fixture(scope="module")
def stores(archive: Archive, settings: Settings) -> StoreService:
    """Stores as another process does."""
    return StoreService(archive, settings)


@pytest_asyncio.fixture
async def in_order() -> InOrder:
    return InOrder()


@pytest_asyncio.fixture
async def client(
    in_order: InOrder, functions: list[Function], settings: Settings, monkeypatch: pytest.MonkeyPatch, archive: Archive
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a process that holds its operations in order."""
    async with (
        archive_through(in_order, monkeypatch, settings) as own,
        app_client(functions, own, monkeypatch) as client,
    ):
        yield client


@pytest.mark.parametrize("order", list(permutations([ROW, BLOB, OTHER])), ids=" ".join)
@pytest.mark.parametrize("change", [Instance.delete, Instance.replace], ids=["deletes", "replaces"])
@pytest.mark.parametrize(("resource", "accept"), RESOURCES)
async def test_nothing_is_sent_that_was_gone_before(
    client: httpx.AsyncClient,
    in_order: InOrder,
    archive: Archive,
    stores: StoreService,
    resource: str,
    accept: str,
    change: Callable[[Instance], Awaitable[None]],
    order: tuple[str, ...],
) -> None:
    """Whichever comes first. Row and blob wait for each other both ways: neither is sent after the other's answer."""
    instance = Instance(archive, stores)
    await instance.store(10)
    path = instance.path + resource
    old = await answer_to(client, path, accept)
    assert old[0] == 200

    async def in_turn() -> None:
        await in_order.turn(OTHER)
        await change(instance)
        in_order.done[OTHER].set()

    in_order.expect(*order)
    answer, _ = await asyncio.gather(answer_to(client, path, accept), in_turn())
    in_order.expect()
    now = await answer_to(client, path, accept)
    assert now[0] == (404 if change is Instance.delete else 200)
    assert now != old
    if order.index(OTHER) < order.index(ROW):
        assert answer == now
    elif order.index(OTHER) > order.index(BLOB):
        assert answer == old
    else:  # its row was there, its blob no longer
        assert answer[0] == 404


@pytest.mark.parametrize("order", [(ROW, OTHER, BLOB), (BLOB, OTHER, ROW), (OTHER, ROW, BLOB)], ids=" ".join)
@pytest.mark.parametrize("accept", ["application/dicom", "image/png"])
async def test_nothing_is_sent_by_uri_that_was_gone_before(
    client: httpx.AsyncClient,
    in_order: InOrder,
    archive: Archive,
    stores: StoreService,
    accept: str,
    order: tuple[str, ...],
) -> None:
    instance = Instance(archive, stores)
    await instance.store(10)
    study, series, uid = instance.uids.values()
    names = f"requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={uid}"
    path = f"/wado?{names}&contentType={accept}"
    old = await answer_to(client, path, accept)
    assert old[0] == 200

    async def in_turn() -> None:
        await in_order.turn(OTHER)
        await instance.replace()
        in_order.done[OTHER].set()

    in_order.expect(*order)
    answer, _ = await asyncio.gather(answer_to(client, path, accept), in_turn())
    in_order.expect()
    now = await answer_to(client, path, accept)
    assert now[0] == 200
    assert now != old
    if order[0] == ROW:  # its row was there, its blob no longer
        assert answer[0] == 404
    else:
        assert answer == now
    await instance.delete()


@pytest.mark.parametrize(("resource", "accept"), RESOURCES)
async def test_an_entity_tag_is_that_of_now(
    client: httpx.AsyncClient, archive: Archive, stores: StoreService, resource: str, accept: str
) -> None:
    instance = Instance(archive, stores)
    await instance.store(10)
    path = instance.path + resource
    _, _, old = await answer_to(client, path, accept)
    assert old
    assert (await answer_to(client, path, accept, **{"If-None-Match": old}))[0] == 304
    await instance.replace()
    status, _, new = await answer_to(client, path, accept, **{"If-None-Match": old})
    assert (status, new == old) == (200, False)
    await instance.delete()
    assert (await client.head(path, headers={"Accept": accept, "If-None-Match": new or ""})).status_code == 404
    assert (await answer_to(client, path, accept, **{"If-None-Match": new or ""}))[0] == 404


async def test_what_cannot_be_shown_any_more_or_again_is_told_by_what_is_there_now(
    client: httpx.AsyncClient, archive: Archive, stores: StoreService
) -> None:
    """Refusals, too, are only those of the instance as it is."""
    instance = Instance(archive, stores)
    await store(stores, part10(dataset(**instance.uids, PixelData=None)))
    for _ in range(2):
        assert (await client.get(f"{instance.path}/rendered")).status_code == 404
        assert (await client.get(f"{instance.path}/frames/2")).status_code == 404
    await instance.replace()
    assert (await client.get(f"{instance.path}/rendered")).status_code == 200
    assert (await client.get(f"{instance.path}/frames/2")).status_code == 200
    assert (await client.get(f"{instance.path}/frames/3")).status_code == 404
    await instance.delete()


async def test_storage_that_fails_is_no_sign_of_an_instance(
    client: httpx.AsyncClient, archive: Archive, stores: StoreService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that cannot be read decides nothing: neither what was read of the blob is sent, nor that it has gone."""
    instance = Instance(archive, stores)
    await instance.store(10)
    path = f"{instance.path}/frames/1"
    assert (await client.get(path, headers={"Accept": OCTETS})).status_code == 200

    send = InOrder.send

    async def failing(transport: InOrder, request: Any, **options: Any) -> Any:
        if operation_of(request) == ROW:
            raise ConnectionError
        return await send(transport, request, **options)

    with monkeypatch.context() as patch:
        patch.setattr(InOrder, "send", failing)
        assert (await client.get(path, headers={"Accept": OCTETS})).status_code in (500, 503)
    await instance.delete()


async def test_a_long_frame_table_is_read_once(
    functions: list[Function],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    archive: Archive,
    stores: StoreService,
) -> None:
    """In a blob it is an operation more, and one of thousands of frames takes milliseconds: only the first time."""
    monkeypatch.setattr(ready_instance, "MAX_ROW_VALUE_BYTES", 64)
    instance, counting = Instance(archive, stores), Counting()
    await instance.store(10)
    tables = 0
    read = FrameTable.from_bytes

    def count(data: bytes) -> FrameTable:
        nonlocal tables
        tables += 1
        return read(data)

    monkeypatch.setattr(FrameTable, "from_bytes", count)
    async with (
        archive_through(counting, monkeypatch, settings) as own,
        app_client(functions, own, monkeypatch) as client,
    ):
        for blobs in (2, 1, 1):
            counting.operations.clear()
            response = await client.get(f"{instance.path}/frames/2", headers={"Accept": OCTETS})
            assert response.content == bytes([0, 10]) * (16 * 32)
            assert counting.operations == {ROW: 1, BLOB: blobs}
    assert tables == 1
    await instance.delete()

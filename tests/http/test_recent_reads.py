"""What reading an instance again costs, and what is left of it when it is given up, or goes wrong twice."""

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio
from azure.functions.decorators.function_app import Function

from functions.edge import app
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.in_process import app_client
from tests.support.replaced_instance import (
    BLOB,
    NEVER_SECONDS,
    OCTETS,
    RESOURCES,
    RLE,
    ROW,
    InOrder,
    Instance,
    answer_to,
)
from tests.support.served_instances import dataset, part10
from tests.support.storage_operations import Counting, operation_of
from tests.support.storage_policies import archive_through
from tests.support.stores import store


@pytest.fixture(scope="module")
def stores(archive: Archive, settings: Settings) -> StoreService:
    """Stores as another process does."""
    return StoreService(archive, settings)


@pytest.mark.parametrize(
    ("resource", "accept", "method", "headers", "status", "operations"),
    [
        ("", "application/dicom", "GET", {}, 200, {ROW: 1, BLOB: 1}),
        ("", "application/dicom", "HEAD", {}, 200, {ROW: 1}),
        ("", "application/dicom", "GET", {"Range": "bytes=10-20"}, 206, {ROW: 1, BLOB: 1}),
        ("", "application/dicom", "GET", {"Range": "bytes=99999999-"}, 416, {ROW: 1}),
        ("", "application/dicom", "GET", {"If-None-Match": "its own"}, 304, {ROW: 1}),
        ("/frames/1", OCTETS, "HEAD", {}, 200, {ROW: 1}),
        ("/frames/1", OCTETS, "GET", {"If-None-Match": "its own"}, 304, {ROW: 1}),
        ("/frames/3", OCTETS, "GET", {}, 404, {ROW: 1}),
        ("/frames/1/rendered", "image/png", "GET", {"If-None-Match": "its own"}, 304, {ROW: 1}),
        ("/bulkdata/7FE00010", OCTETS, "GET", {"If-None-Match": "its own"}, 304, {ROW: 1}),
        ("", "image/tiff", "GET", {}, 406, {ROW: 1}),
    ],
)
async def test_no_blob_is_read_that_is_not_sent(
    functions: list[Function],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    archive: Archive,
    stores: StoreService,
    resource: str,
    accept: str,
    method: str,
    headers: dict[str, str],
    status: int,
    operations: dict[str, int],
) -> None:
    """A process that remembers an instance makes the same operations as one that does not."""
    instance, counting = Instance(archive, stores), Counting()
    await instance.store(10)
    async with (
        archive_through(counting, monkeypatch, settings) as own,
        app_client(functions, own, monkeypatch) as client,
    ):
        path = instance.path + resource
        _, _, tag = await answer_to(client, path, accept)
        asked = {"Accept": accept, **headers, **({"If-None-Match": tag or ""} if "If-None-Match" in headers else {})}
        for is_remembered in (True, False):
            if not is_remembered:
                own.recent_instances.forget(instance.identifiers)
            counting.operations.clear()
            response = await client.request(method, path, headers=asked)
            assert (response.status_code, counting.operations) == (status, operations)
    await instance.delete()


async def test_a_client_that_has_what_is_there_now_costs_no_blob_where_something_else_is_remembered(
    functions: list[Function],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    archive: Archive,
    stores: StoreService,
) -> None:
    instance, counting = Instance(archive, stores), Counting()
    await instance.store(10)
    path = f"{instance.path}/frames/1"
    async with (
        archive_through(counting, monkeypatch, settings) as own,
        app_client(functions, own, monkeypatch) as client,
    ):
        await answer_to(client, path, OCTETS)
        old = own.recent_instances.get(instance.identifiers)
        assert old is not None
        await instance.replace()
        _, _, tag = await answer_to(client, path, OCTETS)
        own.recent_instances.put(instance.identifiers, old, 1)
        counting.operations.clear()
        assert (await answer_to(client, path, OCTETS, **{"If-None-Match": tag or ""}))[0] == 304
        assert counting.operations == {ROW: 1}
    await instance.delete()


@dataclass
class Hanging(InOrder):
    """Never answers operations of one kind, and notes those that were given up."""

    hangs: str = ""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    given_up: int = 0

    async def send(self, request: Any, **options: Any) -> Any:
        if operation_of(request) != self.hangs:
            return await super().send(request, **options)
        self.begun.set()
        try:
            await asyncio.sleep(NEVER_SECONDS)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        raise AssertionError("Somebody waited for it.")


@pytest_asyncio.fixture
async def hanging() -> Hanging:
    return Hanging()


@pytest_asyncio.fixture
async def hung_client(
    hanging: Hanging, functions: list[Function], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        archive_through(hanging, monkeypatch, settings) as own,
        app_client(functions, own, monkeypatch) as client,
    ):
        yield client
        assert app.of_process is not None
        budgets = app.of_process.process_work.budgets
        assert [purpose for purpose, budget in budgets.items() if budget.taken_bytes] == []


@pytest_asyncio.fixture
async def unnoticed() -> AsyncIterator[None]:
    """No error of a task is left for nobody."""
    left = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: left.append(context))
    yield
    gc.collect()
    await asyncio.sleep(0)
    assert left == []


@pytest.mark.usefixtures("unnoticed")
@pytest.mark.parametrize(("resource", "accept"), RESOURCES)
async def test_a_blob_is_not_waited_for_where_the_row_has_gone(
    hung_client: httpx.AsyncClient,
    hanging: Hanging,
    archive: Archive,
    stores: StoreService,
    resource: str,
    accept: str,
) -> None:
    instance = Instance(archive, stores)
    await instance.store(10)
    assert (await answer_to(hung_client, instance.path + resource, accept))[0] == 200
    await instance.delete()
    hanging.hangs = BLOB
    assert (await answer_to(hung_client, instance.path + resource, accept))[0] == 404
    assert hanging.begun.is_set()
    assert hanging.given_up == 1
    hanging.hangs = ""


@pytest.mark.usefixtures("unnoticed")
@pytest.mark.parametrize("hangs", [ROW, BLOB])
@pytest.mark.parametrize(("resource", "accept"), RESOURCES)
async def test_a_client_that_goes_leaves_nothing_under_way(
    hung_client: httpx.AsyncClient,
    hanging: Hanging,
    archive: Archive,
    stores: StoreService,
    resource: str,
    accept: str,
    hangs: str,
) -> None:
    instance = Instance(archive, stores)
    await instance.store(10)
    assert (await answer_to(hung_client, instance.path + resource, accept))[0] == 200
    hanging.hangs = hangs
    asking = asyncio.ensure_future(answer_to(hung_client, instance.path + resource, accept))
    await hanging.begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert hanging.given_up == 1
    hanging.hangs = ""
    await instance.delete()


@pytest.mark.usefixtures("unnoticed")
async def test_a_row_that_fails_while_the_blob_fails_too(
    hung_client: httpx.AsyncClient, archive: Archive, stores: StoreService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One error is told, the other is not left."""
    instance = Instance(archive, stores)
    await instance.store(10)
    path = f"{instance.path}/frames/1"
    assert (await answer_to(hung_client, path, OCTETS))[0] == 200

    async def failing(_transport: Hanging, _request: Any, **_options: Any) -> Any:
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setattr(Hanging, "send", failing)
        assert (await answer_to(hung_client, path, OCTETS))[0] == 500
    await instance.delete()


@dataclass
class DeletingMeanwhile(InOrder):
    """Another process deletes the instance once its header and part of its frame were read."""

    instance: Instance | None = None
    blobs: int = 0

    async def send(self, request: Any, **options: Any) -> Any:
        if operation_of(request) == BLOB and self.instance is not None:
            self.blobs += 1
            if self.blobs == 3:
                await self.instance.delete()
        return await super().send(request, **options)


@pytest.mark.parametrize("is_remembered", [True, False])
@pytest.mark.parametrize(
    ("resource", "accept"),
    [
        ("/rendered", "image/png"),
        ("/frames/1", f"{OCTETS}; transfer-syntax={RLE}"),
        ("", f"application/dicom; transfer-syntax={RLE}"),
    ],
)
async def test_an_instance_that_goes_while_a_large_frame_is_read_is_not_found(
    functions: list[Function],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    archive: Archive,
    stores: StoreService,
    resource: str,
    accept: str,
    is_remembered: bool,
) -> None:
    """It comes in several operations, all of which are made before the answer has a status."""
    instance, transport = Instance(archive, stores), DeletingMeanwhile()
    await store(stores, part10(dataset(**instance.uids, Rows=2400, Columns=2400, PixelData=bytes(2400 * 2400))))
    async with (
        archive_through(transport, monkeypatch, settings) as own,
        app_client(functions, own, monkeypatch) as client,
    ):
        if is_remembered:
            assert (await client.head(instance.path, headers={"Accept": "application/dicom"})).status_code == 200
        transport.instance = instance
        assert (await answer_to(client, instance.path + resource, accept))[0] == 404
        assert transport.blobs == 3

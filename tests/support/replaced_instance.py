"""An instance that one process stores, deletes and replaces while another reads it, and storage that keeps an order."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx
from azure.core.pipeline.transport import AioHttpTransport

from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, StudyKey
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.storage.archive import Archive
from tests.support.default_partition import resource_of
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.storage_operations import operation_of
from tests.support.stores import store

OCTETS = "application/octet-stream"
RLE = "1.2.840.10008.1.2.5"
ROW, BLOB, OTHER = "GET catalog", "GET dicom", "another process"
RESOURCES = [
    ("", "application/dicom"),
    ("", f"application/dicom; transfer-syntax={RLE}"),
    ("/frames/1", OCTETS),
    ("/frames/1,2", f'multipart/related; type="{OCTETS}"'),
    ("/frames/1", f"{OCTETS}; transfer-syntax={RLE}"),
    ("/frames/2,1", f'multipart/related; type="{OCTETS}"; transfer-syntax={RLE}'),
    ("/rendered", "image/png"),
    ("/frames/1/rendered", "image/png"),
    ("/frames/2,1/rendered", 'multipart/related; type="image/png"'),
    ("/bulkdata/7FE00010", OCTETS),
]
NEVER_SECONDS = 10

Answer = tuple[int, bytes, str | None]


@dataclass
class InOrder(AioHttpTransport):  # type: ignore[misc] # the SDK exports it untyped
    """Has a request's first operation of each kind wait for those that come before it in `order`.

    They wait in vain where they are not sent until another is answered.
    """

    order: list[str] = field(default_factory=list)
    done: dict[str, asyncio.Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def expect(self, *order: str) -> None:
        self.order, self.done = list(order), {name: asyncio.Event() for name in order}

    async def turn(self, name: str) -> None:
        for earlier in self.order[: self.order.index(name)]:
            await asyncio.wait_for(self.done[earlier].wait(), NEVER_SECONDS)

    async def send(self, request: Any, **options: Any) -> Any:
        name = operation_of(request)
        if name not in self.order or self.done[name].is_set():
            return await super().send(request, **options)
        await self.turn(name)
        response = await super().send(request, **options)
        self.done[name].set()
        return response


class Instance:
    """An instance that another process stores and deletes; each time it has other pixels."""

    def __init__(self, archive: Archive, stores: StoreService) -> None:
        self.uids = {name: new_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
        study, series, instance = self.uids.values()
        self.path = f"/studies/{study}/series/{series}/instances/{instance}"
        self.identifiers = InstanceIdentifiers(StudyKey(DEFAULT_PARTITION, study), series, instance)
        self._archive, self._stores = archive, stores
        self._resource = resource_of(study, series, instance)

    async def store(self, level: int) -> None:
        pixels = bytes([0, level]) * (32 * 32)
        image = dataset(
            **self.uids, Rows=32, Columns=32, NumberOfFrames=2, PixelData=pixels, WindowCenter=64, WindowWidth=128
        )
        await store(self._stores, part10(image))

    async def delete(self) -> None:
        await delete(self._archive, self._resource)

    async def replace(self) -> None:
        await self.delete()
        await self.store(90)


async def answer_to(client: httpx.AsyncClient, path: str, accept: str, **headers: str) -> Answer:
    """The status, bytes and entity tag; of a message, its parts."""
    response = await client.get(path, headers={"Accept": accept, **headers})
    kind, _, parameters = response.headers.get("Content-Type", "").partition(";")
    content = response.content
    if kind == "multipart/related":
        content = content.replace(parameters.partition("boundary=")[2].partition(";")[0].strip('"').encode(), b"")
    return response.status_code, content if response.status_code == 200 else b"", response.headers.get("ETag")

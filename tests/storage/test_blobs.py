import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas
from azure.storage.blob.aio import ContainerClient

from shared.errors import NotFound
from shared.services.answer_work import CHUNK_BYTES
from shared.settings import Settings
from shared.storage import account
from shared.storage.account import Account
from shared.storage.archive import Archive
from shared.storage.availability import is_unavailable
from shared.storage.blobs import InstanceBlobs
from tests.conftest import Azurite
from tests.support.http_server import http_server
from tests.support.instance_rows import new_uid

ODD_NAMES = ("=a.b=/1.2/3.dcm", "it's/a+b c", "100%/~x", "é語/&=?#", "a//b")


async def test_a_blob_is_read_whole_and_by_range(archive: Archive) -> None:
    name = f"{new_uid()}/x.dcm"
    await archive.blobs.put(name, bytes(range(256)))
    assert await archive.blobs.read_all(name) == bytes(range(256))
    assert await archive.blobs.read_all(name, 10, 5) == bytes(range(10, 15))
    assert await archive.blobs.read_all(name, 10, 0) == b""
    assert await archive.blobs.read_all(name, 250) == bytes(range(250, 256))


async def test_staged_blocks_are_invisible_until_committed_in_order(archive: Archive) -> None:
    name = f"{new_uid()}/x.dcm"
    await archive.blobs.stage(name, 1, b"second")
    await archive.blobs.stage(name, 0, b"first ")
    with pytest.raises(NotFound):
        await archive.blobs.read_all(name)
    await archive.blobs.commit(name, 2)
    assert await archive.blobs.read_all(name) == b"first second"


async def test_a_large_blob_comes_in_chunks(archive: Archive) -> None:
    name = f"{new_uid()}/x.dcm"
    content = bytes(range(256)) * 4 * 9 * 1024  # 9 MiB
    await archive.blobs.put(name, content)
    chunks = [chunk async for chunk in archive.blobs.read(name)]
    assert b"".join(chunks) == content
    assert list(map(len, chunks)) == [CHUNK_BYTES, CHUNK_BYTES, 1024**2]
    size_bytes, some = await archive.blobs.open(name, 5, CHUNK_BYTES + 3)
    chunks = [chunk async for chunk in some]
    assert list(map(len, chunks)) == [CHUNK_BYTES, 3]
    assert b"".join(chunks) == content[5 : size_bytes + 5]
    size_bytes, some = await archive.blobs.open(name, len(content) - 7, CHUNK_BYTES)
    assert size_bytes == 7
    assert [chunk async for chunk in some] == [content[-7:]]
    await archive.blobs.delete([name])


async def test_no_chunk_is_kept_while_the_next_one_is_read(archive: Archive) -> None:
    name = f"{new_uid()}/x.dcm"
    await archive.blobs.put(name, bytes(5 * CHUNK_BYTES))
    tracemalloc.start()
    try:
        async for chunk in archive.blobs.read(name):
            del chunk
        # As it arrives, and put together.
        assert tracemalloc.get_traced_memory()[1] < 2.5 * CHUNK_BYTES
    finally:
        tracemalloc.stop()
    await archive.blobs.delete([name])


async def test_a_blob_that_goes_while_it_is_read_is_not_found(archive: Archive) -> None:
    """Whoever reads a large frame or all of a file has not answered yet."""
    name = f"{new_uid()}/x.dcm"
    await archive.blobs.put(name, bytes(CHUNK_BYTES + 1))
    chunks = archive.blobs.read(name)
    assert len(await anext(chunks)) == CHUNK_BYTES
    await archive.blobs.delete([name])
    with pytest.raises(NotFound):
        await anext(chunks)


async def test_many_blobs_are_deleted_at_once_and_missing_ones_ignored(archive: Archive) -> None:
    prefix = new_uid()
    names = [f"{prefix}/{number}.dcm" for number in range(300)]
    for name in names[::10]:
        await archive.blobs.put(name, b"x")
    await archive.blobs.delete(names)
    await archive.blobs.delete([])
    for name in names[::10]:
        with pytest.raises(NotFound):
            await archive.blobs.read_all(name)


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_a_blob_is_what_the_sdk_would_write(archive: Archive, azurite: Azurite, name: str) -> None:
    async with ContainerClient.from_connection_string(azurite.connection_string, "dicom") as container:
        for content in (b"old", b"", b"new"):
            await archive.blobs.put(name, content)
            assert await archive.blobs.read_all(name) == content
            download = await container.download_blob(name)
            assert await download.readall() == content
            assert download.properties.content_settings.content_type == "application/dicom"
            assert download.properties.blob_type == "BlockBlob"
        await container.delete_blob(name)


async def test_a_shared_access_signature_signs_a_blob(archive: Archive, azurite: Azurite) -> None:
    settings = dict(part.split("=", 1) for part in azurite.connection_string.split(";") if part)
    signature = generate_account_sas(
        settings["AccountName"],
        settings["AccountKey"],
        ResourceTypes(object=True),
        AccountSasPermissions(read=True, write=True, create=True),
        datetime.now(UTC) + timedelta(hours=1),
    )
    endpoints = (f"{name}={settings[name]}" for name in ("BlobEndpoint", "TableEndpoint"))
    signed = ";".join((*endpoints, f"SharedAccessSignature={signature}"))
    opened = await Archive.open(Settings(storage_connection_string=signed))
    await opened.blobs.put("it's/signed", b"x")
    assert await archive.blobs.read_all("it's/signed") == b"x"
    await opened.close()


async def test_a_container_that_is_missing_is_not_found(azurite: Azurite) -> None:
    opened = Account.of(Settings(storage_connection_string=azurite.connection_string))
    blobs = InstanceBlobs(opened.blobs.get_container_client("missing"), opened.blob_requests)
    with pytest.raises(ResourceNotFoundError, match="ContainerNotFound"):
        await blobs.put("x", b"x")
    await opened.close()


@pytest.mark.parametrize("status", [403, 409, 503, None])
@pytest.mark.parametrize("call", [lambda blobs: blobs.put("x", b"x"), lambda blobs: blobs.read_all("x")])
async def test_a_blob_that_is_refused_is_the_sdks_error(
    monkeypatch: pytest.MonkeyPatch, status: int | None, call: Callable[[InstanceBlobs], Awaitable[object]]
) -> None:
    monkeypatch.setitem(account._CLIENT_OPTIONS, "retry_backoff_factor", 0.01)
    received = list[str]()

    async def answer(request: web.Request) -> web.Response:
        received.append(request.method)
        await request.read()
        if status is None:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=status or 200, headers={"x-ms-error-code": "AuthenticationFailed"})

    async with http_server("/{path:.*}", answer) as url:
        endpoints = f"BlobEndpoint={url}/a;TableEndpoint={url}/a"
        opened = Account.of(Settings(storage_connection_string=f"AccountName=a;AccountKey=a2V5;{endpoints}"))
        blobs = InstanceBlobs(opened.blobs.get_container_client("dicom"), opened.blob_requests)
        with pytest.raises(AzureError) as raised:
            await call(blobs)
        await opened.close()
    is_repeated = status in (503, None)
    assert (len(received) > 1) == is_repeated
    assert is_unavailable(raised.value) == is_repeated
    if status is not None:
        assert isinstance(raised.value, ClientAuthenticationError)
        assert raised.value.status_code == status


@asynccontextmanager
async def answers_of(*answers: web.Response | bytes) -> AsyncIterator[tuple[InstanceBlobs, list[str]]]:
    """Blobs on storage that gives these answers, bytes as they are before a connection ends, and what it was asked."""
    left, asked = list(answers), list[str]()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers["x-ms-range"])
        found = left.pop(0)
        if isinstance(found, web.Response):
            return found
        assert request.transport is not None
        request.transport.write(found)
        request.transport.close()
        return web.Response()

    async with http_server("/{path:.*}", answer) as url:
        endpoints = f"BlobEndpoint={url}/a;TableEndpoint={url}/a"
        opened = Account.of(Settings(storage_connection_string=f"AccountName=a;AccountKey=a2V5;{endpoints}"))
        yield InstanceBlobs(opened.blobs.get_container_client("dicom"), opened.blob_requests), asked
        await opened.close()


def part(content: bytes, **headers: str) -> web.Response:
    return web.Response(status=206, body=content, headers=headers)


async def test_a_body_that_breaks_off_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(account._CLIENT_OPTIONS, "retry_backoff_factor", 0.01)
    cut = b"HTTP/1.1 206 OK\r\nContent-Length: 4\r\nContent-Range: bytes 2-5/9\r\n\r\nab"
    async with answers_of(cut, part(b"abcd", **{"Content-Range": "bytes 2-5/9"})) as (blobs, asked):
        assert await blobs.read_all("x", 2, 4) == b"abcd"
        assert asked == ["bytes=2-5", "bytes=2-5"]


@pytest.mark.parametrize(
    "wrong",
    [
        part(b"abc", **{"Content-Range": "bytes 2-5/9"}),
        part(b"abcde", **{"Content-Range": "bytes 2-5/9"}),
        part(b"abcd", **{"Content-Range": "bytes 3-6/9"}),
        part(b"abcd", **{"Content-Range": "bytes 2-9/9"}),
        part(b"abcd", **{"Content-Range": "bytes 2-5/*"}),
        part(b"abcd"),
        web.Response(body=b"abcd"),
    ],
)
async def test_what_is_not_the_range_is_unavailable(wrong: web.Response) -> None:
    """Nothing is taken for the bytes of a file that storage does not say they are."""
    async with answers_of(wrong) as (blobs, _):
        with pytest.raises(AzureError):
            await blobs.read_all("x", 2, 4)


async def test_a_range_beyond_the_end_is_refused() -> None:
    """Unless the blob is empty; Azurite gives an empty range."""
    answers = [web.Response(status=416, headers={"x-ms-error-code": "InvalidRange"}) for _ in range(2)]
    async with answers_of(*answers) as (blobs, _):
        with pytest.raises(HttpResponseError, match="InvalidRange"):
            await blobs.read_all("x", 3, 1)
        assert await blobs.read_all("x") == b""

"""Instances' Part 10 files as block blobs, each written once under its own name and never overwritten."""

from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from azure.core.exceptions import IncompleteReadError, ResourceNotFoundError, ServiceResponseError
from azure.core.rest import HttpRequest
from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import ContainerClient

from shared.errors import NotFound
from shared.storage.pipeline import Pipeline, error_of

_CHUNK_BYTES: Final = 4 * 1024**2  # one operation each, which is held in memory whole

_BATCH: Final = 50  # of the 256 that a batch may have: it has to end before the SDK gives up on it


class InstanceBlobs:
    """A container of Part 10 files and of what is too large for a catalog row: the archive's, or a backup's."""

    def __init__(
        self, container: ContainerClient, requests: Pipeline, *, content_type: str = "application/dicom"
    ) -> None:
        self._container = container
        self._requests = requests
        self._content = ContentSettings(content_type=content_type)
        self._url, _, self._signature = container.url.partition("?")

    async def put(self, name: str, content: bytes) -> None:
        """Write a whole blob in one operation: Put Blob, for which the SDK takes twice as long."""
        headers = {"x-ms-blob-type": "BlockBlob", "x-ms-blob-content-type": str(self._content.content_type)}
        headers |= {"Content-Type": "application/octet-stream", "Content-Length": str(len(content))}
        response = await self._requests.send_request(
            HttpRequest("PUT", self._url_of(name), headers=headers, content=content)
        )
        if response.status_code != HTTPStatus.CREATED:
            error_code = response.headers.get("x-ms-error-code", "")
            raise error_of(response, error_code, "Storage refused a blob.")

    async def stage(self, name: str, index: int, block: bytes) -> None:
        """Stage block `index`, counted from 0, of a blob; it expires in a week unless `commit` makes it visible."""
        await self._container.get_blob_client(name).stage_block(_block_id(index), block, length=len(block))

    async def commit(self, name: str, block_count: int) -> None:
        """Make the blob of the staged blocks 0 to `block_count` - 1, in that order."""
        blocks = [BlobBlock(_block_id(index)) for index in range(block_count)]
        await self._container.get_blob_client(name).commit_block_list(blocks, content_settings=self._content)

    async def exists(self, name: str) -> bool:
        """Whether there is a visible blob of this name."""
        return await self._container.get_blob_client(name).exists()

    async def open(self, name: str, offset: int = 0, length: int | None = None) -> tuple[int, AsyncIterator[bytes]]:
        """How many bytes a range has, to the blob's end by default, and these bytes, in chunks of at most 4 MiB.

        Raises NotFound for a blob that does not exist, as does reading for one that goes meanwhile. Reading raises the
        SDK's error where the answer breaks off, even if its end cannot be told from that of a shorter one.
        """
        most_bytes = _CHUNK_BYTES if length is None else min(length, _CHUNK_BYTES)
        blob_bytes, chunk = await self._read_range(name, offset, most_bytes)
        size_bytes = blob_bytes - offset if length is None else min(length, blob_bytes - offset)
        first = [chunk]
        del chunk

        async def read() -> AsyncIterator[bytes]:
            if size_bytes:
                yield first.pop()
            for start in range(_CHUNK_BYTES, size_bytes, _CHUNK_BYTES):  # none is kept while the next one is read
                yield (await self._read_range(name, offset + start, min(_CHUNK_BYTES, size_bytes - start)))[1]

        return size_bytes, read()

    async def read(self, name: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of a range, as `open` gives them; it is opened, and raises what that raises, at the first step."""
        if length == 0:  # storage has no empty ranges
            return
        _, chunks = await self.open(name, offset, length)
        async for chunk in chunks:
            yield chunk
            del chunk  # not kept while the next one is read

    async def read_all(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """All bytes of a range that is known to be small. Raises NotFound."""
        return b"".join([chunk async for chunk in self.read(name, offset, length)])

    def list(self, prefix: str) -> AsyncIterator[str]:
        """The names of the visible blobs that begin with `prefix`, in order, 5,000 an operation."""
        return self._container.list_blob_names(name_starts_with=prefix)

    async def list_sizes(self, prefix: str) -> AsyncIterator[tuple[str, int]]:
        """The names and sizes in bytes of the visible blobs that begin with `prefix`, in order, 5,000 an operation."""
        async for blob in self._container.list_blobs(name_starts_with=prefix):
            yield blob.name, blob.size

    async def list_folder_pages(self, token: str | None = None) -> AsyncIterator[tuple[Sequence[str], str | None]]:
        """The names of `list_folders`, as many as an operation gives, and the token of the next ones, None at the end.

        With a token it begins there.
        """
        pages: Any = self._container.walk_blobs(delimiter="/").by_page(token)
        async for page in pages:
            names = [item.name async for item in page]
            yield names, pages.continuation_token or None

    async def list_folders(self, prefix: str = "") -> AsyncIterator[str]:
        """The blobs' names up to the first slash after `prefix`, with it, each once, in order, 5,000 an operation."""
        async for item in self._container.walk_blobs(name_starts_with=prefix, delimiter="/"):
            yield item.name

    async def delete(self, names: Sequence[str]) -> None:
        """Delete blobs, a batch of 50 an operation; a blob that is already gone is no error."""
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            answers = await self._container.delete_blobs(*batch, raise_on_any_failure=False)
            async for answer in answers:
                if answer.status_code not in (202, 404):
                    answer.raise_for_status()

    async def _read_range(self, name: str, offset: int, length: int) -> tuple[int, bytes]:
        """How many bytes a blob has, and those of a range, as many as there are, in one operation.

        Get Blob, for which the SDK takes twice as long. Raises NotFound.
        """
        headers = {"x-ms-range": f"bytes={offset}-{offset + length - 1}"}
        response = await self._requests.send_request(HttpRequest("GET", self._url_of(name), headers=headers))
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and not offset:
            return 0, b""
        if response.status_code != HTTPStatus.PARTIAL_CONTENT:
            error = error_of(response, response.headers.get("x-ms-error-code", ""), "Storage did not send a blob.")
            if isinstance(error, ResourceNotFoundError):
                raise NotFound("The instance has been deleted.") from error
            raise error
        content = response.content
        sent, _, whole = response.headers.get("Content-Range", "").partition("/")
        if sent != f"bytes {offset}-{offset + len(content) - 1}" or not whole.isdecimal():
            raise ServiceResponseError("Storage's answer does not say that it is this range of the blob.")
        if len(content) != min(length, int(whole) - offset):
            raise IncompleteReadError(f"The blob broke off after {len(content)} of {length} bytes.")
        return int(whole), content

    def _url_of(self, name: str) -> str:
        return f"{self._url}/{quote(name, safe='/~')}{self._signature and f'?{self._signature}'}"

    async def check(self) -> None:
        """Ask for the container's properties; raises the SDK's error when storage does not answer."""
        await self._container.get_container_properties()


def _block_id(index: int) -> str:
    # All block ids of a blob must have the same length.
    return b64encode(b"%08d" % index).decode()

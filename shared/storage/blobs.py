"""Instances' Part 10 files as block blobs, each written once under its own name and never overwritten."""

from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from azure.core.exceptions import IncompleteReadError, ResourceNotFoundError
from azure.core.rest import HttpRequest
from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import ContainerClient

from shared.errors import NotFound
from shared.storage.pipeline import Pipeline, error_of

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
        url = f"{self._url}/{quote(name, safe='/~')}{self._signature and f'?{self._signature}'}"
        headers = {"x-ms-blob-type": "BlockBlob", "x-ms-blob-content-type": str(self._content.content_type)}
        headers |= {"Content-Type": "application/octet-stream", "Content-Length": str(len(content))}
        response = await self._requests.send_request(HttpRequest("PUT", url, headers=headers, content=content))
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

        Raises NotFound for a blob that does not exist. Reading raises the SDK's error where the answer breaks off, even
        if its end cannot be told from that of a shorter one.
        """
        try:
            download = await self._container.download_blob(name, offset, length)
        except ResourceNotFoundError as error:
            raise NotFound("The instance has been deleted.") from error

        async def read() -> AsyncIterator[bytes]:
            received = 0
            async for chunk in download.chunks():
                received += len(chunk)
                yield chunk
            if received < download.size:
                raise IncompleteReadError(f"The blob broke off after {received} of {download.size} bytes.")

        return download.size, read()

    async def read(self, name: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of a range, as `open` gives them; it is opened, and raises what that raises, at the first step."""
        if length == 0:  # storage has no empty ranges
            return
        _, chunks = await self.open(name, offset, length)
        async for chunk in chunks:
            yield chunk

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

    async def check(self) -> None:
        """Ask for the container's properties; raises the SDK's error when storage does not answer."""
        await self._container.get_container_properties()


def _block_id(index: int) -> str:
    # All block ids of a blob must have the same length.
    return b64encode(b"%08d" % index).decode()

"""One instance on its way into storage: parsed and hashed as its bytes pass, invisible until it is published."""

import asyncio
import hashlib
from collections.abc import Coroutine
from typing import Any

from shared.dicom_file import DicomFileError, DicomFileLimits, DicomFileReader, DicomInstance
from shared.storage import keys
from shared.storage.blobs import BLOCK_BYTES, InstanceBlobs


class InstanceUpload:
    """Takes a Part 10 file in chunks and stages it. `gate` bounds what all uploads of the process have under way.

    A file that is not DICOM, or names itself by no valid UIDs, is read to its end without being kept.
    """

    def __init__(self, blobs: InstanceBlobs, gate: asyncio.Semaphore, limits: DicomFileLimits, version: str) -> None:
        self.version = version
        self.size_bytes = 0
        self._blobs = blobs
        self._gate = gate
        self._reader = DicomFileReader(limits=limits)
        self._digest = hashlib.sha256()
        self._block = bytearray()
        self._staged: list[asyncio.Task[None]] = []
        self._failure: DicomFileError | None = None

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the bytes stored."""
        return self._digest.hexdigest()

    async def receive(self, chunk: bytes) -> None:
        """Take the next bytes; waits when too much is under way. Raises when storage failed."""
        if self._failure is not None:
            return
        try:
            # Parsing a header takes milliseconds; after it, a chunk is only looked through.
            parsing = not self._reader.is_header_read
            kept = await asyncio.to_thread(self._reader.feed, chunk) if parsing else self._reader.feed(chunk)
        except DicomFileError as error:
            self._failure = error
            return
        self._keep(kept)
        identity = self._reader.identity
        if identity is None or len(self._block) <= BLOCK_BYTES:
            return
        if identity.identifiers is None:
            self._block.clear()
            return
        name = keys.instance_blob(identity.identifiers, self.version)
        while len(self._block) > BLOCK_BYTES:
            block = bytes(self._block[:BLOCK_BYTES])
            del self._block[:BLOCK_BYTES]
            await self._stage(name, block)

    async def finish(self) -> DicomInstance:
        """The whole file has been received: what it is. Raises DicomFileError when it is no DICOM file, or cut."""
        try:
            if self._failure is not None:
                raise self._failure
            rest, instance = await asyncio.to_thread(self._reader.finish)
        except DicomFileError:
            await self.abandon()
            raise
        self._keep(rest)
        return instance

    async def publish(self, name: str) -> None:
        """Make the finished file visible as the blob `name`, of its own identifiers and version."""
        if not self._staged:
            async with self._gate:
                await self._blobs.put(name, bytes(self._block))
            return
        await self._stage(name, bytes(self._block))
        await asyncio.gather(*self._staged)
        await self._blobs.commit(name, len(self._staged))

    async def abandon(self) -> None:
        """Wait for what is under way and drop the rest; staged blocks expire by themselves."""
        self._block.clear()
        await asyncio.gather(*self._staged, return_exceptions=True)

    def _keep(self, content: bytes) -> None:
        self._digest.update(content)
        self._block += content
        self.size_bytes += len(content)

    async def _stage(self, name: str, block: bytes) -> None:
        for task in self._staged:
            if task.done():
                task.result()
        await self._gate.acquire()
        staging = self._blobs.stage(name, len(self._staged), block)
        self._staged.append(asyncio.create_task(self._then_release(staging)))

    async def _then_release(self, operation: Coroutine[Any, Any, None]) -> None:
        try:
            await operation
        finally:
            self._gate.release()

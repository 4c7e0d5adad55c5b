"""One instance on its way into storage: parsed and hashed as its bytes pass, invisible until it is published."""

import asyncio
import hashlib
from collections.abc import Coroutine
from typing import Any, Final

from shared.dicom.dicom_file import DicomFileError, DicomFileLimits, DicomFileReader, DicomInstance
from shared.dicom.identifiers import InstanceIdentifiers
from shared.dicom.validation import Findings, Rules, validate
from shared.services.turns import Turns
from shared.services.write.back_pressure import MAX_BLOCK_BYTES, BackPressure
from shared.services.write.header_room import HeaderRoom
from shared.storage import blob_names
from shared.storage.blobs import InstanceBlobs

_STEP_BYTES: Final = 32 * 1024  # scanned in a few milliseconds, even if they are thousands of fragments
_LIGHT_STEP_BYTES: Final = 256 * 1024
_PART_BYTES: Final = 256 * 1024  # about what a complete part takes besides its bytes, mostly for its attributes


class InstanceUpload:
    """Takes a Part 10 file in chunks and stages it. Ends with `finish`, and then `publish`, or with `abandon`.

    A file that is not DICOM, or lacks valid UIDs, is read to its end without being kept.
    """

    def __init__(
        self,
        blobs: InstanceBlobs,
        pressure: BackPressure,
        limits: DicomFileLimits,
        partition: str,
        blob_version: str,
    ) -> None:
        self.blob_version = blob_version
        self.size_bytes = 0
        self._blobs = blobs
        self._partition = partition
        self._pressure = pressure
        self._reader = DicomFileReader(limits=limits)
        self._digest = hashlib.sha256()
        self._block = bytearray()
        self._staged: list[asyncio.Task[None]] = []
        self._is_refused = False
        self._is_identified = False
        self._identifiers: InstanceIdentifiers | None = None
        self._is_arriving = True
        self._noted_bytes = 0
        self._header_room = HeaderRoom(pressure.headers)
        self._turns = Turns()

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the bytes stored."""
        return self._digest.hexdigest()

    @property
    def held_bytes(self) -> int:
        """About how much memory the file takes, not counting the bytes being staged."""
        return len(self._block) + self._reader.held_bytes + max(self._reader.attributes_bytes, _PART_BYTES)

    async def receive(self, chunk: bytes) -> None:
        """Take the next bytes; waits while too much is under way. Raises when storage failed, and Unavailable."""
        begin = 0
        while begin < len(chunk):
            end = begin + (_LIGHT_STEP_BYTES if self._reader.is_light else _STEP_BYTES)
            await self._receive(chunk[begin:end])
            await self._turns.next()
            begin = end

    async def _receive(self, chunk: bytes) -> None:
        if self._is_refused:
            return
        try:
            # Parsing a header takes milliseconds; after it, bytes are only scanned.
            parsing = not self._reader.is_header_read
            kept = await asyncio.to_thread(self._read, chunk) if parsing else self._read(chunk)
        except DicomFileError:
            self._is_refused = True
            self._block.clear()
            self._arrived()
            return
        self._block += kept
        await self._header_room.grow(self._reader.held_bytes + self._reader.attributes_bytes)
        if not self._is_identified and self._reader.identity is not None:
            self._is_identified = True
            self._identifiers = self._reader.identity.identifiers_in(self._partition)
        if self._is_identified and self._identifiers is None:
            self._block.clear()
        while self._identifiers is not None and len(self._block) > self._pressure.block_bytes:
            block_bytes = min(len(self._block), MAX_BLOCK_BYTES)
            with memoryview(self._block) as held, held[:block_bytes] as beginning:
                block = bytes(beginning)
            del self._block[:block_bytes]
            await self._stage(blob_names.instance_blob(self._identifiers, self.blob_version), block)
        self._note_arriving()

    async def finish(self, rules: Rules) -> tuple[DicomInstance, Findings]:
        """The instance and what `validate` finds by the rules, once its whole file has been received.

        Raises DicomFileError when that is not DICOM, or cut.
        """
        self._arrived()
        try:
            finished = self._finish(rules) if self._reader.is_light else await asyncio.to_thread(self._finish, rules)
        except DicomFileError:
            await self.abandon()
            raise
        rest, instance, findings = finished
        self._block += rest
        return instance, findings

    async def publish(self, name: str) -> None:
        """Make the finished file visible as the blob `name`, made of its identifiers and blob version."""
        if not self._staged:
            async with self._pressure.uploads:
                await self._blobs.put(name, bytes(self._block))
            return
        await self._stage(name, bytes(self._block))
        try:
            await asyncio.gather(*self._staged)
            await self._blobs.commit(name, len(self._staged))
        finally:
            self._staged.clear()  # their errors would keep the file, and be kept by it

    async def abandon(self) -> None:
        """Wait for what is under way and drop the rest; staged blocks expire by themselves."""
        self._arrived()
        self._block.clear()
        await asyncio.gather(*self._staged, return_exceptions=True)
        self._staged.clear()

    def _read(self, chunk: bytes) -> bytes:
        """Read a chunk; return the bytes to store, hashed and counted."""
        return self._hashed(self._reader.feed(chunk))

    def _finish(self, rules: Rules) -> tuple[bytes, DicomInstance, Findings]:
        rest, instance = self._reader.finish()
        return self._hashed(rest), instance, validate(instance.metadata, rules)

    def _hashed(self, content: bytes) -> bytes:
        self._digest.update(content)
        self.size_bytes += len(content)
        return content

    def _note_arriving(self) -> None:
        size_bytes = len(self._block) if self._is_arriving else 0
        self._pressure.arriving_bytes += size_bytes - self._noted_bytes
        self._noted_bytes = size_bytes

    def _arrived(self) -> None:
        self._is_arriving = False
        self._note_arriving()
        self._header_room.release()

    async def _stage(self, name: str, block: bytes) -> None:
        await asyncio.gather(*(task for task in self._staged if task.done()))
        await self._pressure.uploads.acquire()
        staging = self._blobs.stage(name, len(self._staged), block)
        self._staged.append(asyncio.create_task(self._then_release(staging)))

    async def _then_release(self, operation: Coroutine[Any, Any, None]) -> None:
        try:
            await operation
        finally:
            self._pressure.uploads.release()

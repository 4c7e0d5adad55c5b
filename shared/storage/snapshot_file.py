"""The file of a snapshot: a study's rows, one a line, compressed by gzip, whose checksum tells whether it is whole."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final

from shared.storage.blobs import InstanceBlobs
from shared.storage.snapshot_rows import entity_of, line_of

_GZIP: Final = 31  # zlib's number of the format, with the largest window
_LEVEL: Final = 1  # most of a row is compressed already
_BLOCK_BYTES: Final = 4 * 1024**2
_PIECE_BYTES: Final = 1024**2


class DamagedSnapshot(Exception):
    """A snapshot's file cannot be read to its end."""


class SnapshotWriter:
    """Writes a snapshot in bounded memory; nothing of it is visible before `commit`, or without it."""

    def __init__(self, blobs: InstanceBlobs, name: str) -> None:
        self._blobs = blobs
        self._name = name
        self._compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
        self._held = bytearray()
        self._blocks = 0

    async def add(self, entities: Iterable[Mapping[str, Any]]) -> None:
        """Write rows. Raises ValueError for values that rows of ours do not have."""
        self._held += await asyncio.to_thread(self._compressed, entities)
        if len(self._held) >= _BLOCK_BYTES:
            await self._stage()

    async def commit(self) -> None:
        """Make the snapshot visible."""
        self._held += self._compressor.flush()
        if not self._blocks:
            await self._blobs.put(self._name, bytes(self._held))
            return
        await self._stage()
        await self._blobs.commit(self._name, self._blocks)

    async def _stage(self) -> None:
        await self._blobs.stage(self._name, self._blocks, bytes(self._held))
        self._blocks += 1
        self._held.clear()

    def _compressed(self, entities: Iterable[Mapping[str, Any]]) -> bytes:
        return b"".join(self._compressor.compress(line_of(entity)) for entity in entities)


async def read_rows(blobs: InstanceBlobs, name: str) -> AsyncIterator[dict[str, Any]]:
    """The rows of a snapshot, in bounded memory. Raises DamagedSnapshot, perhaps after some rows."""
    decompressor = zlib.decompressobj(wbits=_GZIP)
    held = b""
    async for chunk in blobs.read(name):
        rest, may_have_more = chunk, True
        while may_have_more:
            try:
                piece = await asyncio.to_thread(decompressor.decompress, rest, _PIECE_BYTES)
                *lines, held = (held + piece).split(b"\n")
                entities = [entity_of(line) for line in lines]
            except (KeyError, ValueError, zlib.error) as error:
                raise DamagedSnapshot from error
            for entity in entities:
                yield entity
            rest, may_have_more = decompressor.unconsumed_tail, len(piece) == _PIECE_BYTES
    if held or not decompressor.eof:
        raise DamagedSnapshot

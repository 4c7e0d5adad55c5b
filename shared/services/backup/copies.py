"""Copying blobs of instances between an archive and its backup: in bounded memory, and only as they were stored."""

import hashlib
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from shared.archive.instance import InstanceFacts
from shared.storage import blob_names
from shared.storage.blobs import InstanceBlobs

_PIECE_BYTES: Final = 64 * 1024


class DamagedBlob(Exception):
    """A blob's content is not what was stored."""


class _Check(Protocol):
    """Looks at a blob's bytes as they pass."""

    def update(self, chunk: bytes) -> None: ...

    def is_right(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class CopiedBlob:
    """A blob of an instance, and how to tell that it is whole."""

    name: str
    facts: InstanceFacts

    def check(self) -> _Check:
        """A new check of the blob's bytes: files have a digest, the others are deflated, with a checksum."""
        is_file = self.name == blob_names.instance_blob(self.facts.identifiers, self.facts.blob_version)
        return _OfFile(self.facts) if is_file else _Deflated()


def blobs_to_copy(facts: InstanceFacts) -> Iterator[CopiedBlob]:
    """All blobs of an instance."""
    return (CopiedBlob(name, facts) for name in blob_names.blobs_of(facts))


async def copy(blob: CopiedBlob, source: tuple[InstanceBlobs, str], target: tuple[InstanceBlobs, str]) -> int:
    """Copy a blob from one container and name to another; return its size in bytes.

    The copy is visible only once it is whole. Raises NotFound, and DamagedBlob where it is not what was stored.
    """
    container, name = target
    size_bytes, chunks = await source[0].open(source[1])
    block_count, block = 0, b""
    async for is_last, block in _with_last(_checked(blob, chunks)):
        if not is_last or block_count:
            await container.stage(name, block_count, block)
            block_count += 1
    if block_count:
        await container.commit(name, block_count)
    else:
        await container.put(name, block)
    return size_bytes


async def _checked(blob: CopiedBlob, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    check = blob.check()
    async for chunk in chunks:
        check.update(chunk)
        yield chunk
    if not check.is_right():
        raise DamagedBlob


async def _with_last(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[bool, bytes]]:
    """Each chunk, and whether it is the last one, which is known only once all have been checked."""
    held = None
    async for chunk in chunks:
        if held is not None:
            yield False, held
        held = chunk
    if held is not None:
        yield True, held


class _OfFile:
    def __init__(self, facts: InstanceFacts) -> None:
        self._digest = hashlib.sha256()
        self._sha256 = facts.sha256

    def update(self, chunk: bytes) -> None:
        self._digest.update(chunk)

    def is_right(self) -> bool:
        return self._digest.hexdigest() == self._sha256


class _Deflated:
    def __init__(self) -> None:
        self._decompressor = zlib.decompressobj()

    def update(self, chunk: bytes) -> None:
        with suppress(zlib.error):  # then it never comes to its end
            piece = self._decompressor.decompress(chunk, _PIECE_BYTES)
            while len(piece) == _PIECE_BYTES:
                piece = self._decompressor.decompress(self._decompressor.unconsumed_tail, _PIECE_BYTES)

    def is_right(self) -> bool:
        return self._decompressor.eof and not self._decompressor.unused_data

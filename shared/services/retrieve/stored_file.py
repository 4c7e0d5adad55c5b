"""An instance's Part 10 file, read in pieces; a deflated one, which cannot be read so, is inflated first."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.archive.instance import Elsewhere, InstanceFacts, InstanceWithFrames
from shared.dicom.frame_table import FrameTable
from shared.dicom.transfer_syntaxes import DEFLATED, EXPLICIT_VR_LITTLE_ENDIAN
from shared.errors import NotAcceptable, NotFound
from shared.services.answer_work import CHUNK_BYTES, AnswerWork, Purpose
from shared.storage import blob_names

if TYPE_CHECKING:
    from shared.storage.archive import Archive


_LARGE_TABLE_BYTES: Final = 1024  # deflated; a table of equal frames has a hundred thousand in two thousand bytes
_MOST_INFLATED: Final = 1000  # bytes of a table for one that is stored
_MAX_TABLE_BYTES: Final = 32 * 1024**2

PARSED_BYTES: Final = 10
"""Bytes of memory for a byte of a header, once it is parsed."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file whose data set is not deflated, and the places of its contents.

    `path` is the instance's, below the service's URL. `header_bytes` is where Pixel Data begins, `frames` None where
    there is none. ``read(offset, length)`` gives the bytes of a range in chunks of at most 4 MiB; its first step raises
    NotFound when the instance has since been deleted. `is_held`: the answer holds memory for all of it and its header.
    """

    path: str
    transfer_syntax_uid: str
    header_bytes: int
    size_bytes: int
    frames: FrameTable | None
    read: Callable[[int, int], AsyncIterator[bytes]]
    is_held: bool = False

    @property
    def bytes_around_pixels(self) -> int:
        """How long the file is without Pixel Data."""
        return self.size_bytes if self.frames is None else self.header_bytes + self.size_bytes - self.frames.end_offset

    @property
    def parsed_header_bytes(self) -> int:
        """About how much memory the file without Pixel Data takes, once it is parsed."""
        return PARSED_BYTES * self.bytes_around_pixels

    async def read_all(self, offset: int, length: int) -> bytes:
        """The bytes of a range, all at once."""
        return b"".join([chunk async for chunk in self.read(offset, length)])

    def frame_table(self) -> FrameTable:
        """The places of the frames. Raises NotFound where the instance has none."""
        if self.frames is None:
            raise NotFound("The instance has no Pixel Data, so no frames.")
        return self.frames


async def open_file(archive: "Archive", record: InstanceWithFrames, work: AnswerWork) -> StoredFile:
    """The file of an instance.

    Raises NotFound when the instance has since been deleted, NotAcceptable when it inflates to too many bytes.
    """
    blob = blob_names.instance_blob(record.identifiers, record.blob_version)
    if record.transfer_syntax_uid in DEFLATED:
        return await _inflated(archive, record, work)

    def read(offset: int, length: int) -> AsyncIterator[bytes]:
        return archive.blobs.read(blob, offset, length)

    return StoredFile(
        record.identifiers.path,
        record.transfer_syntax_uid,
        record.header_bytes,
        record.size_bytes,
        await _frame_table(archive, record, work),
        read,
    )


async def _frame_table(archive: "Archive", record: InstanceWithFrames, work: AnswerWork) -> FrameTable | None:
    stored = record.frames
    if stored is None:
        return None
    if isinstance(stored, bytes) and len(stored) <= _LARGE_TABLE_BYTES:
        return FrameTable.from_bytes(stored)
    blob = blob_names.frames_blob(record.identifiers, record.blob_version)
    recent = archive.recent_tables.get(blob)
    if recent is not None:
        await work.hold(Purpose.TABLE, recent.held_bytes)
        return recent
    if stored is Elsewhere.IN_BLOB:
        stored = await archive.blobs.read_all(blob)
    await work.hold(Purpose.TABLE, min(_MOST_INFLATED * len(stored), _MAX_TABLE_BYTES))
    table = await asyncio.to_thread(FrameTable.from_bytes, stored)
    work.hold_only(Purpose.TABLE, table.held_bytes)
    archive.recent_tables.put(blob, table, table.held_bytes)
    return table


async def _inflated(archive: "Archive", record: InstanceFacts, work: AnswerWork) -> StoredFile:
    from shared.dicom.dicom_file import DicomFileError, DicomFileLimits, inflate_file  # pydicom

    work.check(record.size_bytes)
    await work.hold(Purpose.FILE, record.size_bytes + work.max_decoded_bytes)
    deflated = await archive.blobs.read_all(blob_names.instance_blob(record.identifiers, record.blob_version))
    limits = DicomFileLimits(max_inflated_bytes=work.max_decoded_bytes)
    try:
        data, instance = await work.run(lambda: inflate_file(deflated, limits=limits))
    except DicomFileError as error:
        raise NotAcceptable(f"The instance is stored deflated: {error}") from error
    file = StoredFile(
        record.identifiers.path,
        EXPLICIT_VR_LITTLE_ENDIAN,
        instance.header_bytes,
        instance.size_bytes,
        instance.frames,
        read_of(data),
        is_held=True,
    )
    work.hold_only(Purpose.FILE, len(data) + file.parsed_header_bytes)
    return file


def read_of(data: bytes) -> Callable[[int, int], AsyncIterator[bytes]]:
    """The `read` of a file that is held in memory as `data`."""

    async def read(offset: int, length: int) -> AsyncIterator[bytes]:
        end = min(offset + length, len(data))
        for start in range(offset, end, CHUNK_BYTES):
            yield data[start : min(start + CHUNK_BYTES, end)]

    return read

"""An instance's Part 10 file, read in pieces; a deflated one, which cannot be read so, is inflated first."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.archive.instance import Elsewhere, InstanceFacts, InstanceWithFrames
from shared.dicom.frame_table import FrameTable
from shared.dicom.transfer_syntaxes import DEFLATED, EXPLICIT_VR_LITTLE_ENDIAN
from shared.errors import NotAcceptable, NotFound
from shared.services.retrieve.pixel_work import PixelWork
from shared.storage import blob_names

if TYPE_CHECKING:
    from shared.storage.archive import Archive


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file whose data set is not deflated, and the places of its contents.

    `path` is the instance's, below the service's URL. `header_bytes` is where Pixel Data begins, `frames` None where
    there is none. ``read(offset, length)`` gives the bytes of a range in chunks of at most 4 MiB; its first step raises
    NotFound when the instance has since been deleted.
    """

    path: str
    transfer_syntax_uid: str
    header_bytes: int
    size_bytes: int
    frames: FrameTable | None
    read: Callable[[int, int], AsyncIterator[bytes]]

    async def read_all(self, offset: int, length: int) -> bytes:
        """The bytes of a range, all at once."""
        return b"".join([chunk async for chunk in self.read(offset, length)])

    def frame_table(self) -> FrameTable:
        """The places of the frames. Raises NotFound where the instance has none."""
        if self.frames is None:
            raise NotFound("The instance has no Pixel Data, so no frames.")
        return self.frames


async def open_file(archive: "Archive", record: InstanceWithFrames, work: PixelWork) -> StoredFile:
    """The file of an instance.

    Raises NotFound when the instance has since been deleted, NotAcceptable when it inflates to too many bytes.
    """
    blob = blob_names.instance_blob(record.identifiers, record.blob_version)
    if record.transfer_syntax_uid in DEFLATED:
        return await _inflated(archive, record, work)

    def read(offset: int, length: int) -> AsyncIterator[bytes]:
        return archive.blobs.read(blob, offset, length)

    table = record.frames
    if table is Elsewhere.IN_BLOB:
        table = await archive.blobs.read_all(blob_names.frames_blob(record.identifiers, record.blob_version))
    return StoredFile(
        record.identifiers.path,
        record.transfer_syntax_uid,
        record.header_bytes,
        record.size_bytes,
        FrameTable.from_bytes(table) if table is not None else None,
        read,
    )


async def _inflated(archive: "Archive", record: InstanceFacts, work: PixelWork) -> StoredFile:
    from shared.dicom.dicom_file import DicomFileError, DicomFileLimits, inflate_file  # pydicom

    work.check(record.size_bytes)
    deflated = await archive.blobs.read_all(blob_names.instance_blob(record.identifiers, record.blob_version))
    limits = DicomFileLimits(max_inflated_bytes=work.max_decoded_bytes)
    try:
        data, instance = await work.run(lambda: inflate_file(deflated, limits=limits))
    except DicomFileError as error:
        raise NotAcceptable(f"The instance is stored deflated: {error}") from error

    return StoredFile(
        record.identifiers.path,
        EXPLICIT_VR_LITTLE_ENDIAN,
        instance.header_bytes,
        instance.size_bytes,
        instance.frames,
        read_of(data),
    )


def read_of(data: bytes) -> Callable[[int, int], AsyncIterator[bytes]]:
    """The `read` of a file that is held in memory as `data`."""

    async def read(offset: int, length: int) -> AsyncIterator[bytes]:
        yield data[offset : offset + length]

    return read

"""An instance's Part 10 file, read in pieces; a deflated one, no piece of which can be read, is inflated first."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from struct import unpack
from typing import Final, Literal

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from shared.dicom_file import DicomFileError, DicomFileLimits, inflate_file
from shared.element_values import raw_value
from shared.errors import NotAcceptable, NotFound
from shared.frames import FrameTable
from shared.parsing import Element, element_of
from shared.part10 import FileMeta, read_header
from shared.records import InstanceRecord
from shared.services.pixel_work import PixelWork
from shared.storage import keys
from shared.storage.archive import Archive
from shared.transfer_syntaxes import DEFLATED, EXPLICIT_VR_LITTLE_ENDIAN

_NUMBER_OF_FRAMES: Final = 0x00280008
_BITS_ALLOCATED: Final = 0x00280100
_MAX_IS_LENGTH: Final = 12  # PS3.5 6.2
_HELD_FOR_A_BYTE: Final = 10  # of a header that is parsed
_PIXEL_DATA_HEAD_BYTES: Final = 6  # its tag and, in Explicit VR, its VR


@dataclass(frozen=True, slots=True)
class Header:
    """All of a file but its Pixel Data, whose tag is `pixel_data_tag`, 0 where there is none.

    `pixel_data_vr` is its VR as encoded, "" in Implicit VR. `limits` are those to read the sequences within.
    """

    meta: FileMeta
    data_set: Dataset
    limits: DicomFileLimits
    pixel_data_tag: int
    pixel_data_vr: str

    @property
    def frame_count(self) -> int:
        """What Number of Frames says; 1 where it says nothing that is a number."""
        text = (raw_value(self.data_set, _NUMBER_OF_FRAMES) or b"").decode("latin-1").strip("\0 ")
        return int(text) if len(text) <= _MAX_IS_LENGTH and text.isdecimal() and int(text) else 1

    def elements(self) -> dict[BaseTag, Element]:
        """The elements of the data set, which pydicom converts where it is asked for a value: so not in place."""
        found = {tag: element_of(self.data_set, tag) for tag in self.data_set.keys()}  # noqa: SIM118
        return {tag: element for tag, element in found.items() if element is not None}

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """How the bytes of a number are ordered."""
        return "little" if self.meta.encoding.is_little_endian else "big"

    @property
    def bits_allocated(self) -> int:
        """How many bits a sample takes; 0 where the data set does not say."""
        return int.from_bytes((raw_value(self.data_set, _BITS_ALLOCATED) or b"")[:2], self.byte_order)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file whose data set is not deflated, and where what lies in it.

    `path` is the instance's, below the service's URL. `header_bytes` is where Pixel Data begins, `frames` None where
    there is none. ``read(offset, length)`` gives the bytes of a range in chunks of at most 4 MiB; its first step raises
    NotFound when the instance was deleted meanwhile.
    """

    path: str
    transfer_syntax_uid: str
    header_bytes: int
    size_bytes: int
    frames: FrameTable | None
    read: Callable[[int, int], AsyncIterator[bytes]]

    async def read_all(self, offset: int, length: int) -> bytes:
        """The bytes of a range at once."""
        return b"".join([chunk async for chunk in self.read(offset, length)])

    async def header(self, work: PixelWork) -> Header:
        """All of the file but its Pixel Data. Raises NotAcceptable for a file that a later reader refuses."""
        beginning = await self.read_all(0, self.header_bytes + _PIXEL_DATA_HEAD_BYTES)
        data, head = beginning[: self.header_bytes], beginning[self.header_bytes :]
        if self.frames is not None and self.frames.end_offset < self.size_bytes:
            data += await self.read_all(self.frames.end_offset, self.size_bytes - self.frames.end_offset)
        # The store that accepted the file may have had a higher limit than the default.
        limits = DicomFileLimits(max_header_bytes=max(len(data), DicomFileLimits().max_header_bytes))
        async with work.holding(_HELD_FOR_A_BYTE * len(data)):
            try:
                meta, data_set = await work.run(lambda: read_header(data, limits))
            except DicomFileError as error:
                raise NotAcceptable(f"The instance cannot be sent otherwise than it is stored: {error}") from error
        order = "<" if meta.encoding.is_little_endian else ">"
        group, element = unpack(f"{order}HH", head[:4]) if self.frames is not None else (0, 0)
        vr = "" if meta.encoding.is_implicit_vr else head[4:].decode("latin-1")
        return Header(meta, data_set, limits, group << 16 | element, vr)

    def frame_table(self) -> FrameTable:
        """The places of the frames. Raises NotFound where the instance has none."""
        if self.frames is None:
            raise NotFound("The instance has no Pixel Data, so no frames.")
        return self.frames


async def open_file(archive: Archive, record: InstanceRecord, work: PixelWork) -> StoredFile:
    """The file of an instance, the record read `with_frames`.

    Raises NotFound when the instance was deleted meanwhile, NotAcceptable when it inflates to too much.
    """
    blob = keys.instance_blob(record.identifiers, record.version)
    if record.transfer_syntax_uid in DEFLATED:
        return await _inflated(archive, record, work)

    def read(offset: int, length: int) -> AsyncIterator[bytes]:
        return archive.blobs.read(blob, offset, length)

    table = record.frames
    if table is None:
        table = await archive.blobs.read_all(keys.frames_blob(record.identifiers, record.version))
    return StoredFile(
        record.identifiers.path,
        record.transfer_syntax_uid,
        record.header_bytes,
        record.size_bytes,
        FrameTable.from_bytes(table) if table else None,
        read,
    )


async def _inflated(archive: Archive, record: InstanceRecord, work: PixelWork) -> StoredFile:
    work.check(record.size_bytes)
    deflated = await archive.blobs.read_all(keys.instance_blob(record.identifiers, record.version))
    limits = DicomFileLimits(max_inflated_bytes=work.max_decoded_bytes)
    try:
        data, instance = await work.run(lambda: inflate_file(deflated, limits=limits))
    except DicomFileError as error:
        raise NotAcceptable(f"The instance is stored deflated: {error}") from error

    async def read(offset: int, length: int) -> AsyncIterator[bytes]:
        yield data[offset : offset + length]

    return StoredFile(
        record.identifiers.path,
        EXPLICIT_VR_LITTLE_ENDIAN,
        instance.header_bytes,
        instance.size_bytes,
        instance.frames,
        read,
    )

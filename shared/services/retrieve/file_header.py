"""All of a stored file but its Pixel Data: needed to transcode it, to render it, or to read a value."""

from dataclasses import dataclass
from struct import unpack
from typing import Final, Literal

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from shared.dicom.element_values import raw_value
from shared.dicom.file_meta import FileMeta, read_header
from shared.dicom.parsing import DicomFileError, DicomFileLimits, Element, element_of
from shared.errors import NotAcceptable
from shared.services.answer_work import AnswerWork, Purpose
from shared.services.retrieve.stored_file import StoredFile

_NUMBER_OF_FRAMES: Final = 0x00280008
_BITS_ALLOCATED: Final = 0x00280100
_MAX_IS_LENGTH: Final = 12  # PS3.5 6.2
_PIXEL_DATA_HEAD_BYTES: Final = 6  # its tag and, in Explicit VR, its VR
_QUICK_BYTES: Final = 8192  # of a header; parsed in a millisecond, and in six if it has as many elements as it can


@dataclass(frozen=True, slots=True)
class Header:
    """All of a file but its Pixel Data, whose tag is `pixel_data_tag`, 0 where there is none.

    `pixel_data_vr` is its VR as encoded, "" in Implicit VR. Sequences are read within `limits`. One that `is_short` is
    worked on at once: another thread would take longer to begin.
    """

    meta: FileMeta
    data_set: Dataset
    limits: DicomFileLimits
    pixel_data_tag: int
    pixel_data_vr: str
    is_short: bool

    @property
    def frame_count(self) -> int:
        """Number of Frames; 1 where it is absent or not a positive number."""
        text = (raw_value(self.data_set, _NUMBER_OF_FRAMES) or b"").decode("latin-1").strip("\0 ")
        return int(text) if len(text) <= _MAX_IS_LENGTH and text.isdecimal() and int(text) else 1

    def elements(self) -> dict[BaseTag, Element]:
        """A copy of the data set's elements, since pydicom converts elements in place when asked for their values."""
        found = {tag: element_of(self.data_set, tag) for tag in self.data_set.keys()}  # noqa: SIM118
        return {tag: element for tag, element in found.items() if element is not None}

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """The byte order of numbers."""
        return "little" if self.meta.encoding.is_little_endian else "big"

    @property
    def bits_allocated(self) -> int:
        """The bits that a sample takes; 0 where the data set does not say."""
        return int.from_bytes((raw_value(self.data_set, _BITS_ALLOCATED) or b"")[:2], self.byte_order)


async def read_header_of(file: StoredFile, work: AnswerWork) -> Header:
    """All of the file but its Pixel Data. Raises NotAcceptable for a stored file that can no longer be parsed."""
    if not file.is_held:
        await work.hold(Purpose.FILE, file.parsed_header_bytes)
    beginning = await file.read_all(0, file.header_bytes + _PIXEL_DATA_HEAD_BYTES)
    data, head = beginning[: file.header_bytes], beginning[file.header_bytes :]
    if file.frames is not None and file.frames.end_offset < file.size_bytes:
        data += await file.read_all(file.frames.end_offset, file.size_bytes - file.frames.end_offset)
    # The store that accepted the file may have had a higher limit than the default.
    limits = DicomFileLimits(max_header_bytes=max(len(data), DicomFileLimits().max_header_bytes))
    try:
        if len(data) <= _QUICK_BYTES:
            meta, data_set = read_header(data, limits)
        else:
            meta, data_set = await work.run(lambda: read_header(data, limits))
    except DicomFileError as error:
        raise NotAcceptable(f"The instance cannot be sent otherwise than it is stored: {error}") from error
    order = "<" if meta.encoding.is_little_endian else ">"
    group, element = unpack(f"{order}HH", head[:4]) if file.frames is not None else (0, 0)
    vr = "" if meta.encoding.is_implicit_vr else head[4:].decode("latin-1")
    return Header(meta, data_set, limits, group << 16 | element, vr, len(data) <= _QUICK_BYTES)

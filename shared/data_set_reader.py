"""Reads a data set as its bytes arrive: what comes before Pixel Data, Pixel Data as it passes, and what comes after."""

from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from shared.dicom_json import BULK_DATA, to_json
from shared.element_values import BULK_VRS, NOTHING_INHERITED, dictionary_vr, raw_value
from shared.frame_layout import frame_table
from shared.frames import FrameTable
from shared.parsing import DicomFileError, DicomFileLimits, ElementReader, Encoding
from shared.pixel_data import PIXEL_DATA_TAGS, PixelDataScanner

_EXTENDED_OFFSET_TABLE: Final = 0x7FE00001
_EXTENDED_OFFSET_TABLE_LENGTHS: Final = 0x7FE00002

Metadata = dict[str, dict[str, Any]]


class DataSetReader:
    """Takes the chunks of one data set, inflated and cut anywhere. Offsets are bytes of the data set.

    `metadata` is None until everything before Pixel Data has been read. `pixel_data_offset` is where that element
    begins; None where there is none, or it has not come yet.
    """

    def __init__(self, encoding: Encoding, *, is_native: bool, limits: DicomFileLimits) -> None:
        self._is_native = is_native
        self._limits = limits
        self._header: ElementReader | None = ElementReader(encoding, limits=limits, stop=PIXEL_DATA_TAGS.__contains__)
        self._encoding = encoding
        self._inherited = NOTHING_INHERITED
        self._extended_offsets = (b"", b"")
        self._scanner: PixelDataScanner | None = None
        self._tail = bytearray()
        self._is_finished = False
        self.metadata: Metadata | None = None
        self.pixel_data_offset: int | None = None

    def feed(self, chunk: bytes) -> None:
        """Read a chunk. Raises DicomFileError."""
        if self._scanner is not None:
            self._pass(self._scanner, chunk)
        elif self._header is not None and self._header.feed(chunk):
            self._end_header(self._header)

    def finish(self) -> Metadata:
        """The metadata, Pixel Data and what follows it included, when all chunks have been fed.

        Raises DicomFileError where the data set is cut short. A second call returns the same.
        """
        if self._header is not None:
            self._header.feed(b"", is_last=True)
            self._end_header(self._header)
        metadata = self.metadata or {}
        if self._scanner is None or self._is_finished:
            return metadata
        if not self._scanner.is_complete:
            raise DicomFileError("The file is cut short in its Pixel Data.")
        following = self._following()
        if not following.keys().isdisjoint(metadata):
            raise DicomFileError("An attribute stands both before and after Pixel Data.")
        self._is_finished = True
        self.metadata = dict(sorted((metadata | _pixel_data_attribute(self._scanner) | following).items()))
        return self.metadata

    def frames(self, data_set_offset: int) -> FrameTable | None:
        """The frames, after `finish`, of a stored file in which the data set begins at `data_set_offset`."""
        if self._scanner is None or self.metadata is None:
            return None
        return frame_table(
            self._scanner,
            self.metadata,
            data_set_offset,
            is_native=self._is_native,
            extended_offsets=self._extended_offsets,
        )

    def _end_header(self, header: ElementReader) -> None:
        data_set = header.data_set
        self.metadata = to_json(data_set, limits=self._limits)
        self._inherited = self._inherited.by(data_set)
        self._extended_offsets = (
            raw_value(data_set, _EXTENDED_OFFSET_TABLE) or b"",
            raw_value(data_set, _EXTENDED_OFFSET_TABLE_LENGTHS) or b"",
        )
        self._header, self._encoding = None, header.encoding
        if header.stopped_at is not None:
            self.pixel_data_offset = header.position
            byte_order = "<" if header.encoding.is_little_endian else ">"
            self._scanner = PixelDataScanner(header.stopped_at, byte_order, limits=self._limits)
            self._pass(self._scanner, header.data[header.stopped_at.offset :])

    def _pass(self, scanner: PixelDataScanner, chunk: bytes) -> None:
        self._tail += scanner.feed(chunk)
        if len(self._tail) > self._limits.max_header_bytes:
            raise DicomFileError(f"More than {self._limits.max_header_bytes} bytes follow Pixel Data.")

    def _following(self) -> Metadata:
        reader = ElementReader(self._encoding, limits=self._limits, is_certain=True)
        reader.feed(bytes(self._tail), is_last=True)
        return to_json(reader.data_set, inherited=self._inherited, limits=self._limits)


def _pixel_data_attribute(scanner: PixelDataScanner) -> Metadata:
    head = scanner.head
    vr = head.vr or "UN"
    if vr not in BULK_VRS or vr == "UN":
        vr = dictionary_vr(BaseTag(head.tag), Dataset())
        if vr not in BULK_VRS:
            vr = "OB" if scanner.is_encapsulated else "OW"  # PS3.5 A.4 and A.1
    tag = f"{head.tag:08X}"
    return {tag: {"vr": vr, "BulkDataURI": f"{BULK_DATA}/{tag}"} if head.length else {"vr": vr}}

"""Reads a data set as its bytes arrive: what comes before Pixel Data, Pixel Data as it passes, and what comes after."""

from typing import Any, Final

from shared.dicom_json import BULK_DATA, Inherited, to_json
from shared.elements import DataSet, DicomFileError, DicomFileLimits, ElementWalker, Encoding, is_implicit_vr
from shared.frame_layout import frame_table
from shared.frames import FrameTable
from shared.pixel_data import PIXEL_DATA_TAGS, PixelDataScanner
from shared.value_representations import BULK_VRS, decided_vr, dictionary_vr

_EXTENDED_OFFSET_TABLE: Final = 0x7FE00001
_EXTENDED_OFFSET_TABLE_LENGTHS: Final = 0x7FE00002
_OFFSET_TABLES: Final = (_EXTENDED_OFFSET_TABLE, _EXTENDED_OFFSET_TABLE_LENGTHS)
_FIRST_BYTES: Final = 8  # of the first element, to see whether it has a VR

Metadata = dict[str, dict[str, Any]]


class DataSetReader:
    """Takes the chunks of one data set, inflated and cut anywhere. Offsets are bytes of the data set.

    `metadata` is None until everything before Pixel Data has been read. `pixel_data_offset` is where that element
    begins; None where there is none, or it has not come yet.
    """

    def __init__(self, encoding: Encoding, *, is_native: bool, limits: DicomFileLimits) -> None:
        self._encoding = encoding
        self._is_native = is_native
        self._limits = limits
        self._buffer = bytearray()
        self._walker: ElementWalker | None = None
        self._inherited = Inherited()
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
            return
        self._buffer += chunk
        if self._walker is None and len(self._buffer) < _FIRST_BYTES:
            return
        walker = self._walker or self._begin()
        if len(self._buffer) >= walker.needed and walker.advance(is_last=False):
            self._end_header(walker)

    def finish(self) -> Metadata:
        """The metadata, Pixel Data and what follows it included, when all chunks have been fed.

        Raises DicomFileError where the data set is cut short. A second call returns the same.
        """
        metadata = self.metadata
        if metadata is None:
            walker = self._walker or self._begin()
            walker.advance(is_last=True)
            metadata = self._end_header(walker)
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

    def _begin(self) -> ElementWalker:
        if len(self._buffer) >= _FIRST_BYTES:
            # As pydicom does: what is there goes before what was declared.
            self._encoding = Encoding(is_implicit_vr(self._buffer, 0), self._encoding.byte_order)
        self._walker = ElementWalker(
            self._buffer, 0, self._encoding, limits=self._limits, stop=PIXEL_DATA_TAGS.__contains__
        )
        return self._walker

    def _end_header(self, walker: ElementWalker) -> Metadata:
        data_set = DataSet(walker.elements, self._buffer, self._encoding.byte_order)
        self.metadata = to_json(data_set, limits=self._limits)
        self._inherited = self._inherited.by(data_set, walker.elements)
        values = {element.tag: data_set.value(element) for element in walker.elements if element.tag in _OFFSET_TABLES}
        if len(values) == len(_OFFSET_TABLES):
            self._extended_offsets = (values[_EXTENDED_OFFSET_TABLE], values[_EXTENDED_OFFSET_TABLE_LENGTHS])
        if walker.stopped_at is not None:
            self.pixel_data_offset = walker.position
            self._scanner = PixelDataScanner(walker.stopped_at, self._encoding.byte_order, limits=self._limits)
            self._pass(self._scanner, bytes(self._buffer[walker.stopped_at.offset :]))
        self._walker, self._buffer = None, bytearray()
        return self.metadata

    def _pass(self, scanner: PixelDataScanner, chunk: bytes) -> None:
        self._tail += scanner.feed(chunk)
        if len(self._tail) > self._limits.max_header_bytes:
            raise DicomFileError(f"More than {self._limits.max_header_bytes} bytes follow Pixel Data.")

    def _following(self) -> Metadata:
        walker = ElementWalker(self._tail, 0, self._encoding, limits=self._limits)
        walker.advance(is_last=True)
        data_set = DataSet(walker.elements, self._tail, self._encoding.byte_order)
        return to_json(data_set, inherited=self._inherited, limits=self._limits)


def _pixel_data_attribute(scanner: PixelDataScanner) -> Metadata:
    head = scanner.head
    vr = head.vr or "UN"
    if vr not in BULK_VRS or vr == "UN":
        vr = decided_vr(dictionary_vr(head.tag, {}), is_encapsulated=scanner.is_encapsulated)
    tag = f"{head.tag:08X}"
    return {tag: {"vr": vr, "BulkDataURI": f"{BULK_DATA}/{tag}"} if head.length else {"vr": vr}}

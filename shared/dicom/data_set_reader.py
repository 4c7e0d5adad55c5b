"""Reads a data set as its bytes arrive: what comes before Pixel Data, Pixel Data as it passes, and what comes after.

Before Pixel Data, short elements are read together, and long ones one by one without being held: see `LONG_BYTES`.
"""

from dataclasses import astuple
from typing import Any, Final

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from shared.dicom.bulk_data_uris import BULK_DATA
from shared.dicom.dicom_json import MAX_INLINE_BYTES, JsonConverter, is_attribute
from shared.dicom.element_reader import ElementReader
from shared.dicom.element_values import BULK_VRS, NOTHING_INHERITED, SPECIFIC_CHARACTER_SET, dictionary_vr, raw_value
from shared.dicom.frame_layout import frame_table
from shared.dicom.frame_table import FrameTable
from shared.dicom.items import UNDEFINED_LENGTH
from shared.dicom.long_elements import LONG_BYTES, BulkValueReader, ItemsReader
from shared.dicom.parsing import (
    LONG_HEAD_BYTES,
    DicomFileError,
    DicomFileLimits,
    Element,
    Encoding,
    Head,
    HeadCount,
    too_large,
    too_long,
)
from shared.dicom.pixel_data import PIXEL_DATA_TAGS, PixelDataScanner

IDENTIFIERS: Final = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)
"""The tags of the UIDs that identify an instance: its SOP class, its own, its study and its series."""

_ELEMENT_BYTES: Final = 900  # of memory, for a short element or item, besides its bytes
_ITEM_TIMES: Final = 16  # its bytes, for an item of a long sequence; more where its elements are few bytes each

_LIGHT_COUNT: Final = 400  # elements
_LIGHT_BYTES: Final = 8 * 1024  # with no more than some thousand values
_LIGHT_TAIL_BYTES: Final = 1024

_LAST_IDENTIFIER: Final = max(IDENTIFIERS)
_FILE_META_GROUP: Final = 0x0002
_EXTENDED_OFFSET_TABLE: Final = 0x7FE00001
_EXTENDED_OFFSET_TABLE_LENGTHS: Final = 0x7FE00002
_EXTENDED_OFFSET_TABLES: Final = frozenset({_EXTENDED_OFFSET_TABLE, _EXTENDED_OFFSET_TABLE_LENGTHS})

Metadata = dict[str, dict[str, Any]]


class DataSetReader:
    """Reads the chunks of one data set, inflated and cut anywhere. Offsets are bytes of the data set.

    `identification` has the attributes among IDENTIFIERS as soon as all have passed, if tags ascend; `metadata` has
    everything once all before Pixel Data has been read; both are None until then. `pixel_data_offset` is where that
    element begins; None where there is none, or it has not come yet.
    """

    def __init__(self, encoding: Encoding, *, transfer_syntax_uid: str, limits: DicomFileLimits) -> None:
        self._transfer_syntax_uid = transfer_syntax_uid
        self._limits = limits
        self._converter = JsonConverter(limits)
        self._heads = HeadCount(limits)
        self._encoding = encoding
        self._elements: dict[BaseTag, Element] = {}
        self._long_attributes: Metadata = {}
        self._reader: ElementReader | ItemsReader | BulkValueReader = self._element_reader(is_certain=False)
        self._reader_offset = 0  # where its first byte lies
        self._header_bytes = 0
        self._short_count = 0
        self._short_bytes = 0
        self._inherited = NOTHING_INHERITED
        self._extended_offsets = (b"", b"")
        self._scanner: PixelDataScanner | None = None
        self._tail = bytearray()
        self._is_finished = False
        self.identification: Metadata | None = None
        self.metadata: Metadata | None = None
        self.pixel_data_offset: int | None = None

    @property
    def held_bytes(self) -> int:
        """About how many bytes of the data set are held."""
        return self._reader.held_bytes + len(self._tail)

    @property
    def attributes_bytes(self) -> int:
        """About how much memory the short elements take that have been read, as elements and then as metadata.

        The item that is arriving counts, too.
        """
        item_bytes = _ITEM_TIMES * self._reader.held_bytes if isinstance(self._reader, ItemsReader) else 0
        most_bytes = self._limits.max_elements_at_once * _ELEMENT_BYTES
        return self._short_bytes + self._short_count * _ELEMENT_BYTES + min(item_bytes, most_bytes)

    @property
    def is_light(self) -> bool:
        """Whether the rest takes a few milliseconds at most: few values have been read, and Pixel Data is native."""
        return (
            self._scanner is not None
            and not self._scanner.is_encapsulated
            and self._short_count <= _LIGHT_COUNT
            and self._short_bytes <= _LIGHT_BYTES
            and len(self._tail) <= _LIGHT_TAIL_BYTES
        )

    @property
    def assumptions(self) -> set[str]:
        """What had to be assumed to read the data set, in words."""
        return self._heads.assumptions | self._converter.assumptions

    def feed(self, chunk: bytes) -> None:
        """Read a chunk. Raises DicomFileError."""
        if self._scanner is not None:
            self._pass(self._scanner, chunk)
            return
        self._header_bytes += len(chunk)
        self._read_header(chunk, is_last=False)

    def finish(self) -> Metadata:
        """The metadata, including Pixel Data and what follows it, once all chunks have been fed.

        Raises DicomFileError where the data set is cut short. A second call returns the same.
        """
        if self.metadata is None:
            self._read_header(b"", is_last=True)
        metadata = self.metadata or {}
        if self._scanner is None or self._is_finished:
            return metadata
        if not self._scanner.is_complete:
            raise DicomFileError("The file is cut short in its Pixel Data.")
        following = self._following()
        if not following.keys().isdisjoint(metadata):
            raise DicomFileError("An attribute stands both before and after Pixel Data.")
        self._is_finished = True
        self.metadata = _in_order(metadata | _pixel_data_attribute(self._scanner) | following)
        return self.metadata

    def frames(self, data_set_offset: int) -> FrameTable | None:
        """The frames of a stored file whose data set begins at `data_set_offset`; only after `finish`."""
        if self._scanner is None or self.metadata is None:
            return None
        return frame_table(
            self._scanner,
            self.metadata,
            data_set_offset,
            transfer_syntax_uid=self._transfer_syntax_uid,
            extended_offsets=self._extended_offsets,
        )

    def _read_header(self, chunk: bytes, *, is_last: bool) -> None:
        rest: bytes | None = chunk
        while rest is not None and self.metadata is None:
            if isinstance(self._reader, ElementReader):
                rest = self._read_elements(self._reader, rest, is_last=is_last)
            else:
                rest = self._read_long(self._reader, rest, is_last=is_last)
        header_bytes = self._header_bytes if self.pixel_data_offset is None else self.pixel_data_offset
        if header_bytes > self._limits.max_header_bytes + LONG_HEAD_BYTES:
            raise too_large(self._limits)

    def _read_elements(self, reader: ElementReader, chunk: bytes, *, is_last: bool) -> bytes | None:
        """Read short elements up to a long one's head or Pixel Data; return what follows, None if it has not come."""
        head_count, position = self._heads.count, reader.position
        is_over = reader.feed(chunk, stop=self._is_to_stop, is_last=is_last)
        self._short_count += self._heads.count - head_count
        self._short_bytes += reader.position - position
        if self._short_bytes + reader.held_bytes - reader.position > self._limits.max_short_bytes:
            raise DicomFileError(
                f"The data set has more than {self._limits.max_short_bytes} bytes besides sequences and bulk values."
            )
        if not is_over:
            return None
        self._encoding = reader.encoding
        for tag, element in reader.elements.items():
            self._elements[tag] = element  # the last one of each tag
            self._long_attributes.pop(f"{tag:08X}", None)
        head = reader.stopped_at
        if head is None:
            self._end_header()
            return None
        following = reader.data[head.offset :]
        if head.tag in PIXEL_DATA_TAGS:
            self.pixel_data_offset = self._reader_offset + reader.position
            self._end_header()
            head = head._replace(offset=self._reader_offset + head.offset)
            self._scanner = PixelDataScanner(head, "<" if self._encoding.is_little_endian else ">", limits=self._limits)
            self._pass(self._scanner, following)
            return None
        self._reader_offset += head.offset
        if head.length != UNDEFINED_LENGTH and self._reader_offset + head.length > self._limits.max_header_bytes:
            raise too_long(head, self._limits)
        if head.tag > _LAST_IDENTIFIER and self.identification is None:
            self._identify()
        self._reader = self._long_reader(head)
        return following

    def _read_long(self, reader: ItemsReader | BulkValueReader, chunk: bytes, *, is_last: bool) -> bytes | None:
        following = reader.feed(chunk, is_last=is_last)
        if following is None:
            return None
        if is_attribute(reader.head.tag):
            self._long_attributes[f"{reader.head.tag:08X}"] = reader.attribute
            self._elements.pop(BaseTag(reader.head.tag), None)
        self._reader_offset += reader.value_bytes
        self._reader = self._element_reader(is_certain=True)
        return following

    def _element_reader(self, *, is_certain: bool) -> ElementReader:
        return ElementReader(self._encoding, limits=self._limits, heads=self._heads, is_certain=is_certain)

    def _is_to_stop(self, head: Head) -> bool:
        if self._reader_offset + head.offset <= LONG_HEAD_BYTES:
            _check_first(head.tag)
        if head.tag in PIXEL_DATA_TAGS:
            return True
        if head.tag == SPECIFIC_CHARACTER_SET:  # pydicom reads it, and refuses some, whatever its VR
            return False
        return head.length >= LONG_BYTES and (self._is_sequence(head) or self._bulk_vr(head) is not None)

    def _is_sequence(self, head: Head) -> bool:
        return head.vr == "SQ" or (head.vr is None and dictionary_vr(BaseTag(head.tag), self._data_set()) == "SQ")

    def _bulk_vr(self, head: Head) -> str | None:
        """The VR of a long value that is passed over unread, as it is a bulk value; None for any other element."""
        if head.length == UNDEFINED_LENGTH or head.tag in _EXTENDED_OFFSET_TABLES:
            return None
        empty = RawDataElement(BaseTag(head.tag), head.vr, head.length, b"", 0, *astuple(self._encoding))
        data_set = self._data_set()
        vr = NOTHING_INHERITED.by(data_set).vr(empty, data_set)
        return vr if vr in BULK_VRS or head.length > MAX_INLINE_BYTES else None

    def _long_reader(self, head: Head) -> ItemsReader | BulkValueReader:
        uri = f"{BULK_DATA}/{head.tag:08X}"
        if not self._is_sequence(head):
            return BulkValueReader(head, {"vr": self._bulk_vr(head), "BulkDataURI": uri})
        inherited, converter = NOTHING_INHERITED.by(self._data_set()), self._converter

        def convert(item: Dataset, number: int) -> dict[str, Any]:
            return converter.item(item, f"{uri}/{number}", inherited)

        return ItemsReader(head, self._encoding, uri, convert, limits=self._limits, heads=self._heads)

    def _data_set(self) -> Dataset:
        """The short elements read so far."""
        reading = self._reader.elements if isinstance(self._reader, ElementReader) else {}
        return Dataset(self._elements | reading)

    def _identify(self) -> None:
        elements = {tag: element for tag, element in self._elements.items() if tag in IDENTIFIERS}
        self.identification = JsonConverter(self._limits).attributes(Dataset(elements), BULK_DATA, NOTHING_INHERITED)

    def _end_header(self) -> None:
        data_set = Dataset(self._elements)
        short = self._converter.shortened(data_set, BULK_DATA, NOTHING_INHERITED)
        self.metadata = _in_order(short | self._long_attributes)
        if self.identification is None:
            self._identify()
        self._inherited = self._inherited.by(data_set)
        self._extended_offsets = (
            raw_value(data_set, _EXTENDED_OFFSET_TABLE) or b"",
            raw_value(data_set, _EXTENDED_OFFSET_TABLE_LENGTHS) or b"",
        )
        self._elements = {}
        self._reader = self._element_reader(is_certain=True)

    def _pass(self, scanner: PixelDataScanner, chunk: bytes) -> None:
        self._tail += scanner.feed(chunk)
        if len(self._tail) > self._limits.max_header_bytes:
            raise DicomFileError(f"More than {self._limits.max_header_bytes} bytes follow Pixel Data.")

    def _following(self) -> Metadata:
        reader = self._element_reader(is_certain=True)
        reader.feed(bytes(self._tail), is_last=True)
        if self.pixel_data_offset == 0:
            _check_first(next(iter(reader.elements), 0))
        return self._converter.shortened(reader.data_set, BULK_DATA, self._inherited)


def _check_first(tag: int) -> None:
    """Refuse a first element that would pass for one of the file meta group, once it is inflated behind that."""
    if tag >> 16 == _FILE_META_GROUP:
        raise DicomFileError("The data set begins with an element of the file meta group.")


def _in_order(attributes: Metadata) -> Metadata:
    return dict(sorted(attributes.items()))


def _pixel_data_attribute(scanner: PixelDataScanner) -> Metadata:
    head = scanner.head
    vr = head.vr or "UN"
    if vr not in BULK_VRS or vr == "UN":
        vr = dictionary_vr(BaseTag(head.tag), Dataset())
        if vr not in BULK_VRS:
            vr = "OB" if scanner.is_encapsulated else "OW"  # PS3.5 A.4 and A.1
    tag = f"{head.tag:08X}"
    return {tag: {"vr": vr, "BulkDataURI": f"{BULK_DATA}/{tag}"} if head.length else {"vr": vr}}

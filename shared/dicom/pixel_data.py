"""Walks Pixel Data as its bytes pass, and notes where its frames can be found, without holding any of it.

Native Pixel Data (PS3.5 8.1) is a value of known length. Encapsulated Pixel Data (PS3.5 A.4) is a sequence of items:
the Basic Offset Table, then fragments, then a delimiter.
"""

from array import array
from typing import Final

from shared.dicom.items import ITEM, ITEM_HEAD_BYTES, SEQUENCE_DELIMITATION, UNDEFINED_LENGTH, tag_and_length
from shared.dicom.parsing import DicomFileError, DicomFileLimits, Head

FLOAT_PIXEL_DATA: Final = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA: Final = 0x7FE00009
PIXEL_DATA: Final = 0x7FE00010
PIXEL_DATA_TAGS: Final = frozenset({FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA})

_BEGINS_OF_IMAGE: Final = (
    b"\xff\xd8\xff",  # JPEG of any process
    b"\xff\x4f\xff\x51",  # JPEG 2000
    b"\x00\x00\x00\x0cjP  ",  # JP2
    *(bytes((count, 0, 0, 0, 64, 0, 0, 0)) for count in range(1, 16)),  # RLE: segments, and where the first one begins
)
_BEGIN_OF_IMAGE_BYTES: Final = 8
_END_OF_IMAGE: Final = b"\xff\xd9"  # JPEG EOI, JPEG 2000 EOC
_END_OF_IMAGE_WINDOW: Final = 10  # padding may follow the marker; pydicom looks as far back


class PixelDataScanner:
    """Reads the chunks of the value of Pixel Data, whose element has `head`. Offsets are those of the data set.

    When `is_complete`, all of the value has passed. Then `value_bytes` is its length, without the delimiter;
    `fragment_offsets` are those of the items' tags, except the Basic Offset Table's; `begins_of_image` and
    `ends_of_image` have a 1 for each fragment that begins as a JPEG, JPEG 2000 or RLE image does, or ends as one of
    the first two; and `offset_table` is the value of that table.
    """

    def __init__(self, head: Head, byte_order: str, *, limits: DicomFileLimits) -> None:
        self._byte_order = byte_order
        self._limits = limits
        self.head = head
        self.is_encapsulated = head.length == UNDEFINED_LENGTH
        self.value_bytes = 0 if self.is_encapsulated else head.length
        self.is_complete = head.length == 0
        self.fragment_offsets = array("Q")
        self.begins_of_image = bytearray()
        self.ends_of_image = bytearray()
        self.offset_table = bytearray()
        self._to_pass = self.value_bytes
        self._item_head = bytearray()
        self._item_count = 0
        self._first_bytes = b""
        self._last_bytes = b""

    @property
    def is_big_endian(self) -> bool:
        """Whether words have their high byte first."""
        return self._byte_order == ">"

    def feed(self, chunk: bytes) -> bytes:
        """Pass over a chunk, and return the part of it that follows Pixel Data.

        Raises DicomFileError where items do not follow one another, or are too many.
        """
        position = 0
        while position < len(chunk) and not self.is_complete:
            if self._to_pass:
                end = min(position + self._to_pass, len(chunk))
                self._to_pass -= end - position
                if self.is_encapsulated:
                    self._note(chunk, position, end)
                if not self._to_pass:
                    self._end_value()
            else:
                end = min(position + ITEM_HEAD_BYTES - len(self._item_head), len(chunk))
                self._item_head += chunk[position:end]
                if len(self._item_head) == ITEM_HEAD_BYTES:
                    self._begin_item()
            position = end
        return chunk[position:]

    def _begin_item(self) -> None:
        tag, length = tag_and_length(self._item_head, is_little_endian=not self.is_big_endian)
        self._item_head.clear()
        if tag == SEQUENCE_DELIMITATION:
            self.is_complete = True
            return
        if tag != ITEM or length == UNDEFINED_LENGTH:
            raise DicomFileError(f"A fragment is expected {self.value_bytes} bytes into Pixel Data.")
        self._item_count += 1
        if self._item_count > 1:
            self.fragment_offsets.append(self.head.offset + self.value_bytes)
            if len(self.fragment_offsets) > self._limits.max_fragments:
                raise DicomFileError(f"Pixel Data has more than {self._limits.max_fragments} fragments.")
        self.value_bytes += ITEM_HEAD_BYTES + length
        self._to_pass = length
        if not length:
            self._end_value()

    def _note(self, chunk: bytes, position: int, end: int) -> None:
        if self._item_count > 1:
            missing = _BEGIN_OF_IMAGE_BYTES - len(self._first_bytes)
            self._first_bytes += chunk[position : min(position + missing, end)]
            window = chunk[max(position, end - _END_OF_IMAGE_WINDOW) : end]
            self._last_bytes = (self._last_bytes + window)[-_END_OF_IMAGE_WINDOW:]
        elif len(self.offset_table) <= 4 * self._limits.max_fragments:  # a longer one cannot fit the frames
            self.offset_table += chunk[position:end]

    def _end_value(self) -> None:
        if not self.is_encapsulated:
            self.is_complete = True
        elif self._item_count > 1:
            self.begins_of_image.append(self._first_bytes.startswith(_BEGINS_OF_IMAGE))
            self.ends_of_image.append(_END_OF_IMAGE in self._last_bytes)
            self._first_bytes = self._last_bytes = b""

"""Native Pixel Data of an instance (PS3.5 8.1), read as one value, not frame by frame."""

from collections.abc import AsyncIterator
from struct import unpack
from typing import Final

from shared.dicom.byte_order import swapped
from shared.errors import NotFound
from shared.services.retrieve.file_header import Header
from shared.services.retrieve.stored_file import StoredFile

_WORD_VRS: Final = {16: "OW", 32: "OL", 64: "OV"}  # by Bits Allocated


def word_vr(header: Header) -> str:
    """The VR whose words native Pixel Data is made of: of 16 bits in OW (PS3.5 6.2), however long its pixels are."""
    vr = header.pixel_data_vr
    return vr if vr == "OW" else _WORD_VRS.get(header.bits_allocated, vr)


async def little_endian_pixels(file: StoredFile, header: Header) -> AsyncIterator[bytes]:
    """The value of native Pixel Data; big endian words are swapped."""
    table = file.frame_table()
    chunks = file.read(table.value_offset, table.value_bytes)
    if header.meta.encoding.is_little_endian:
        async for chunk in chunks:
            yield chunk
        return
    vr = word_vr(header)
    kept = b""
    async for chunk in chunks:
        data = kept + chunk
        whole = len(data) - len(data) % 8  # no word is longer
        kept = data[whole:]
        yield swapped(data[:whole], vr)
    yield swapped(kept, vr)


async def pixels_of_tag(file: StoredFile, tag: int, offset: int, length: int) -> AsyncIterator[bytes]:
    """A range of the value of little endian native Pixel Data; raises NotFound where its element has another tag.

    The element's head is read along with the first byte, in the same operation.
    """
    value_offset = file.frame_table().value_offset
    skipped = value_offset - file.header_bytes if offset == 0 else 0
    async for chunk in file.read(value_offset + offset - skipped, length + skipped):
        if skipped and unpack("<HH", chunk[:4]) != divmod(tag, 1 << 16):
            raise NotFound("The instance has no such bulk value.")
        yield chunk[skipped:]
        skipped = 0

"""The frames of a stored instance, and how to decode them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from shared.imaging.decoding import DecodedFrame, decode_frame
from shared.imaging.image_pixels import ImagePixels
from shared.services.retrieve.file_header import Header, read_header_of
from shared.services.retrieve.pixel_work import PixelWork
from shared.services.retrieve.stored_file import StoredFile
from shared.services.retrieve.stored_frames import frame_ranges

_KEYWORDS: Final = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A file that has Pixel Data, its header, and how the bytes of its frames make images."""

    file: StoredFile
    header: Header
    pixels: ImagePixels
    max_decoded_bytes: int

    def check(self, work: PixelWork, frame_numbers: Iterable[int]) -> None:
        """Raises NotFound for a frame number, from 1, that does not exist, NotAcceptable for too large a frame."""
        for number in frame_numbers:
            ranges = frame_ranges(self.file.frame_table(), number)
            work.check(max(sum(length for _, length in ranges), self.pixels.frame_bytes))

    def decode(self, frame: bytes) -> DecodedFrame:
        """Decode the bytes of a frame as they are stored. Slow. Raises NotAcceptable."""
        return decode_frame(
            frame,
            self.file.transfer_syntax_uid,
            self.pixels,
            max_frame_bytes=self.max_decoded_bytes,
            vr=self.header.pixel_data_vr or "OB",
        )


async def open_image(file: StoredFile, work: PixelWork) -> StoredImage:
    """The image of a file. Raises NotFound where it has no Pixel Data, NotAcceptable where that makes no image."""
    file.frame_table()
    header = await read_header_of(file, work)
    pixels = ImagePixels.of(Dataset(header.elements()), _KEYWORDS[header.pixel_data_tag])
    return StoredImage(file, header, pixels, work.max_decoded_bytes)

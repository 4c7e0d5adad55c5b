"""The frames of a stored instance, and how to decode them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydicom.dataset import Dataset

from shared.dicom.frame_layout import SHARED_CHROMA
from shared.imaging import codec_process
from shared.imaging.color_spaces import RGB
from shared.imaging.decoding import DecodedFrame
from shared.imaging.image_pixels import ImagePixels
from shared.services.answer_work import AnswerWork
from shared.services.retrieve.file_header import Header, read_header_of
from shared.services.retrieve.stored_file import StoredFile
from shared.services.retrieve.stored_frames import frame_bytes

_KEYWORDS: Final = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A file that has Pixel Data, its header, and how the bytes of its frames make images."""

    file: StoredFile
    header: Header
    pixels: ImagePixels
    max_decoded_bytes: int

    def stored_bytes(self, work: AnswerWork, frame_number: int) -> int:
        """How many bytes of the file a frame takes. Raises NotFound, NotAcceptable where they are too many."""
        size_bytes = frame_bytes(self.file.frame_table(), frame_number)
        work.check(size_bytes)
        return size_bytes

    def check(self, work: AnswerWork, frame_numbers: Sequence[int]) -> None:
        """Raises NotAcceptable for too large a frame, by number from 1; of a range, only the first is looked at."""
        work.check(self.pixels.frame_bytes)
        for number in frame_numbers[:1] if isinstance(frame_numbers, range) else frame_numbers:
            self.stored_bytes(work, number)

    def decoding_bytes(self, stored_bytes: int) -> int:
        """How many bytes `decode` holds at most for a frame of `stored_bytes`, that and its result included."""
        return codec_process.decoding_bytes(stored_bytes, self.file.transfer_syntax_uid, self.pixels)

    def decode(self, frame: bytes, *, keeps_ybr: bool = False) -> DecodedFrame:
        """Decode the bytes of a frame as they are stored, as `decode_frame` does. Slow. Raises NotAcceptable."""
        return codec_process.decode(
            frame,
            self.file.transfer_syntax_uid,
            self.pixels,
            max_frame_bytes=self.max_decoded_bytes,
            vr="OB" if self.file.frame_table().is_swapped else self.header.pixel_data_vr or "OB",
            keeps_ybr=keeps_ybr,
        )


async def open_image(file: StoredFile, work: AnswerWork) -> StoredImage:
    """The image of a file. Raises NotFound where it has no Pixel Data, NotAcceptable where that makes no image."""
    file.frame_table()
    header = await read_header_of(file, work)
    return StoredImage(file, header, pixels_of(file, header), work.max_decoded_bytes)


def pixels_of(file: StoredFile, header: Header) -> ImagePixels:
    """How the bytes of a file's frames make images. Raises NotFound and NotAcceptable, as `open_image` does."""
    pixels = ImagePixels.of(Dataset(header.elements()), _KEYWORDS[header.pixel_data_tag])
    if pixels.photometric_interpretation in SHARED_CHROMA and file.frame_table().frame_bits == 8 * pixels.frame_bytes:
        # Native pixels of three samples: decoders of JPEG leave them behind, with the name of what was encoded.
        return replace(pixels, photometric_interpretation=RGB)
    return pixels

"""Frames of an instance in another transfer syntax than the stored one (PS3.18 8.7.3), one at a time."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from numpy import packbits

from shared.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from shared.errors import NotAcceptable
from shared.imaging import codec_process
from shared.imaging.decoding import DecodedFrame
from shared.imaging.encoding import pixels_encoded
from shared.imaging.image_pixels import ImagePixels
from shared.services.answer_work import AnswerWork, Purpose
from shared.services.prefetch import fetch_ahead
from shared.services.retrieve.stored_file import StoredFile
from shared.services.retrieve.stored_frames import frame_path, read_frames, read_together
from shared.services.retrieve.stored_image import StoredImage, open_image
from shared.web.content import Content, in_memory

_AHEAD: Final = 1  # frames transcoded before the client needs them


@dataclass(frozen=True, slots=True)
class TranscodedFrame:
    """A frame in the requested transfer syntax, and the description of its image there."""

    data: bytes
    pixels: ImagePixels


async def frames_in(
    file: StoredFile, work: AnswerWork, frame_numbers: Sequence[int], transfer_syntax_uid: str, media_type: str
) -> AsyncIterator[Content]:
    """Frames by number from 1, in the order asked for.

    The first step raises NotFound for a frame that does not exist; the step that comes to a frame that cannot be
    transcoded raises NotAcceptable.
    """
    image = await open_image(await read_together(file, frame_numbers, work), work)
    async with aclosing(transcoded_frames(image, work, frame_numbers, transfer_syntax_uid)) as frames:
        numbers = iter(frame_numbers)
        async for frame in frames:
            yield in_memory(frame_path(file, next(numbers)), media_type, transfer_syntax_uid, frame.data)


async def transcoded_frames(
    image: StoredImage, work: AnswerWork, frame_numbers: Sequence[int], transfer_syntax_uid: str
) -> AsyncGenerator[TranscodedFrame, None]:
    """Frames by number from 1, which exist, in that order; the next is transcoded while one is used.

    Raises NotAcceptable as `frames_in` does.
    """
    image.check(work, frame_numbers)
    await work.hold(Purpose.RESULT, min(_AHEAD + 1, len(frame_numbers)) * image.pixels.frame_bytes)
    await work.hold_chunk(image.file.size_bytes)
    making_bytes = 2 * image.pixels.frame_bytes
    if transfer_syntax_uid != EXPLICIT_VR_LITTLE_ENDIAN:
        making_bytes = codec_process.encoding_bytes(transfer_syntax_uid, image.pixels)

    async def transcode(numbered: tuple[int, Callable[[], Awaitable[bytes]]]) -> TranscodedFrame:
        frame_number, read = numbered
        decoding_bytes = image.decoding_bytes(image.stored_bytes(work, frame_number))
        async with work.holding(max(decoding_bytes, making_bytes)):
            frame = [await read()]
            try:
                # Nobody keeps the frame as it is stored while it is encoded.
                return await work.run(lambda: _transcoded(image.decode(frame.pop()), transfer_syntax_uid))
            except NotAcceptable as error:
                raise NotAcceptable(f"Frame {frame_number} cannot be transcoded: {error}") from error

    async with aclosing(fetch_ahead(read_frames(image.file, frame_numbers), transcode, lambda: _AHEAD)) as frames:
        async for frame in frames:
            yield frame


def _transcoded(frame: DecodedFrame, transfer_syntax_uid: str) -> TranscodedFrame:
    if transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN:
        return TranscodedFrame(_native(frame), frame.pixels)
    encoded = codec_process.encode(frame, transfer_syntax_uid)
    return TranscodedFrame(encoded, pixels_encoded(frame.pixels, transfer_syntax_uid))


def _native(frame: DecodedFrame) -> bytes:
    if frame.pixels.bits_allocated == 1:
        return packbits(frame.samples, axis=None, bitorder="little").tobytes()  # PS3.5 8.1.1
    return frame.samples.tobytes()

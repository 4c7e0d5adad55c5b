"""Frames of an instance in another transfer syntax than the stored one (PS3.18 8.7.3), one at a time."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from shared.dicom.byte_order import swapped
from shared.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, NATIVE
from shared.errors import NotAcceptable
from shared.imaging import codec_process
from shared.imaging.color_spaces import YBR_FULL
from shared.imaging.encoding import pixels_encoded
from shared.imaging.image_pixels import ImagePixels
from shared.imaging.native_frames import described_bytes, in_described_colors, native_bytes
from shared.services.answer_work import AnswerWork, Purpose
from shared.services.prefetch import fetch_ahead
from shared.services.retrieve.native_pixels import word_vr
from shared.services.retrieve.stored_file import StoredFile
from shared.services.retrieve.stored_frames import frame_path, incomplete_warning, read_frames, read_together
from shared.services.retrieve.stored_image import StoredImage, open_image
from shared.web.content import Content, in_memory

Transcoded = TypeVar("Transcoded")

_AHEAD: Final = 1  # frames transcoded before the client needs them


@dataclass(frozen=True, slots=True)
class TranscodedFrame:
    """A frame in the requested transfer syntax, and the description of its image there.

    `codestream_uid` is the transfer syntax that it was encoded in before.
    """

    data: bytes
    pixels: ImagePixels
    codestream_uid: str


async def frames_in(
    file: StoredFile, work: AnswerWork, frame_numbers: Sequence[int], transfer_syntax_uid: str, media_type: str
) -> AsyncIterator[Content]:
    """Frames by number from 1, in the order asked for, with the colors and the layout that the metadata says.

    The first step raises NotFound for a frame that does not exist; the step that comes to a frame that cannot be
    transcoded raises NotAcceptable.
    """
    image = await open_image(await read_together(file, frame_numbers, work), work)
    async with aclosing(transcoded_frames(image, work, frame_numbers, transfer_syntax_uid, _as_described)) as frames:
        numbers = iter(frame_numbers)
        async for frame in frames:
            number = next(numbers)
            content = in_memory(frame_path(file, number), media_type, transfer_syntax_uid, frame)
            yield replace(content, warning=incomplete_warning(file.frame_table(), number))


def transcode_frame(image: StoredImage, frame: bytes, transfer_syntax_uid: str) -> TranscodedFrame:
    """A frame, as it is stored, in a native or encoded transfer syntax. Slow. Raises NotAcceptable."""
    decoded = image.decode(frame)
    if transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN:
        return TranscodedFrame(native_bytes(decoded), decoded.pixels, decoded.codestream_uid)
    encoded = codec_process.encode(decoded, transfer_syntax_uid)
    return TranscodedFrame(encoded, pixels_encoded(decoded.pixels, transfer_syntax_uid), decoded.codestream_uid)


def _as_described(image: StoredImage, frame: bytes, transfer_syntax_uid: str) -> bytes:
    """A frame as one expects it who has the metadata, which describes the stored image."""
    described = image.pixels
    if transfer_syntax_uid != EXPLICIT_VR_LITTLE_ENDIAN:
        decoded = image.decode(frame, keeps_ybr=described.photometric_interpretation == YBR_FULL)
        return codec_process.encode(in_described_colors(decoded, described), transfer_syntax_uid)
    if image.file.transfer_syntax_uid in NATIVE:
        return swapped(frame, "OB" if image.file.frame_table().is_swapped else word_vr(image.header))
    return described_bytes(image.decode(frame, keeps_ybr=described.photometric_interpretation == YBR_FULL), described)


async def transcoded_frames(
    image: StoredImage,
    work: AnswerWork,
    frame_numbers: Sequence[int],
    transfer_syntax_uid: str,
    transcode: Callable[[StoredImage, bytes, str], Transcoded],
) -> AsyncGenerator[Transcoded, None]:
    """What ``transcode(image, frame, transfer_syntax_uid)`` makes of existing frames, by number from 1, in that order.

    It gets each as it is stored; the next is transcoded while one is used. Raises NotAcceptable as `frames_in` does.
    """
    making_bytes = 2 * image.pixels.frame_bytes
    if transfer_syntax_uid != EXPLICIT_VR_LITTLE_ENDIAN:
        making_bytes = codec_process.encoding_bytes(transfer_syntax_uid, image.pixels)
    image.check(work, frame_numbers)
    await work.hold(Purpose.RESULT, min(_AHEAD + 1, len(frame_numbers)) * image.pixels.frame_bytes)
    await work.hold_chunk(image.file.size_bytes)

    async def transcode_next(numbered: tuple[int, Callable[[], Awaitable[bytes]]]) -> Transcoded:
        frame_number, read = numbered
        decoding_bytes = image.decoding_bytes(image.stored_bytes(work, frame_number))
        async with work.holding(max(decoding_bytes, making_bytes)):
            frame = [await read()]
            try:
                return await work.run(lambda: transcode(image, frame.pop(), transfer_syntax_uid))
            except NotAcceptable as error:
                raise NotAcceptable(f"Frame {frame_number} cannot be transcoded: {error}") from error

    async with aclosing(fetch_ahead(read_frames(image.file, frame_numbers), transcode_next, lambda: _AHEAD)) as frames:
        async for frame in frames:
            yield frame

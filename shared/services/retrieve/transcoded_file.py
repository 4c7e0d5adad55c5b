"""A whole instance in another transfer syntax than the stored one; its frames are transcoded while it is sent."""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from pydicom.dataset import Dataset

from shared.dicom.element_values import NOTHING_INHERITED
from shared.dicom.explicit_vr import element_head, explicit_vr_little_endian
from shared.dicom.items import UNDEFINED_LENGTH, encoded_item, sequence_delimitation
from shared.dicom.parsing import DicomFileError
from shared.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, NATIVE
from shared.errors import NotAcceptable
from shared.imaging.transcoded_attributes import code_string, transcoded_attributes
from shared.services.answer_work import AnswerWork
from shared.services.retrieve.file_header import Header, read_header_of
from shared.services.retrieve.native_pixels import little_endian_pixels
from shared.services.retrieve.stored_file import StoredFile
from shared.services.retrieve.stored_frames import incomplete_warning, read_together
from shared.services.retrieve.stored_image import StoredImage, open_image, pixels_of
from shared.services.retrieve.transcoding import TranscodedFrame, transcode_frame, transcoded_frames
from shared.web.content import Content, in_memory, started
from shared.web.offers import DICOM

_MAX_NATIVE_BYTES: Final = 0xFFFFFFFE  # the largest even length of 32 bits
_NUMBER_OF_FRAMES: Final = 0x00280008
_PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
_FLOAT_VRS: Final = {0x7FE00008: "OF", 0x7FE00009: "OD"}

Replaced = Mapping[int, tuple[str, bytes] | None]


async def transcoded_file(file: StoredFile, work: AnswerWork, transfer_syntax_uid: str) -> Content:
    """The Part 10 file of an instance in another transfer syntax; its first frame is already transcoded.

    An instance without Pixel Data has nothing to compress: it comes in Explicit VR Little Endian. Raises NotAcceptable
    for what cannot be transcoded.
    """
    table = file.frames
    if table is None:
        header = await read_header_of(file, work)
        beginning, _ = await _around(header, work, EXPLICIT_VR_LITTLE_ENDIAN, {})
        return in_memory(file.path, DICOM, EXPLICIT_VR_LITTLE_ENDIAN, beginning)
    file = await read_together(file, range(1, table.frame_count + 1), work)
    is_native = file.transfer_syntax_uid in NATIVE and not table.is_encapsulated
    if not is_native or transfer_syntax_uid != EXPLICIT_VR_LITTLE_ENDIAN:
        return await _with_frames(await open_image(file, work), work, transfer_syntax_uid)
    header = await read_header_of(file, work)
    await work.hold_chunk(file.size_bytes)
    around = await _around(header, work, transfer_syntax_uid, _true_colors(file, header))
    pixels = little_endian_pixels(file, header)
    return _with_native(file, header, header.bits_allocated, table.value_bytes, around, pixels)


def _true_colors(file: StoredFile, header: Header) -> Replaced:
    """The Photometric Interpretation of native pixels; nothing where they make no image: they are sent all the same."""
    with suppress(NotAcceptable):
        return {_PHOTOMETRIC_INTERPRETATION: ("CS", code_string(pixels_of(file, header).photometric_interpretation))}
    return {}


async def _with_frames(image: StoredImage, work: AnswerWork, transfer_syntax_uid: str) -> Content:
    file, header, table = image.file, image.header, image.file.frame_table()
    if not table.frame_count:
        raise NotAcceptable(f"The instance cannot be transcoded: {table.unavailable}")
    numbers = range(1, table.frame_count + 1)
    frames = await started(_checked(transcoded_frames(image, work, numbers, transfer_syntax_uid, transcode_frame)))
    first = await anext(frames)
    replaced = transcoded_attributes(header.data_set, first.pixels, first.codestream_uid)
    if table.frame_count != header.frame_count:
        replaced = {**replaced, _NUMBER_OF_FRAMES: ("IS", b"%d" % table.frame_count)}
    around = await _around(header, work, transfer_syntax_uid, replaced)
    if transfer_syntax_uid != EXPLICIT_VR_LITTLE_ENDIAN:
        content = _encapsulated(file, header, transfer_syntax_uid, around, _items(first, frames))
        return replace(content, warning=incomplete_warning(table, table.frame_count))
    size_bytes = table.frame_count * first.pixels.frame_bytes
    if first.pixels.bits_allocated == 1 and first.pixels.rows * first.pixels.columns % 8:
        raise NotAcceptable("Frames of single bits that do not fill whole bytes cannot be transcoded.")
    return _with_native(file, header, first.pixels.bits_allocated, size_bytes, around, _data(first, frames))


async def _around(
    header: Header, work: AnswerWork, transfer_syntax_uid: str, replaced: Replaced
) -> tuple[bytes, bytes]:
    """What comes before and after the Pixel Data element."""
    tag = header.pixel_data_tag or 1 << 32  # without one, everything is before it
    elements = header.elements()
    first, last = (
        Dataset({number: element for number, element in elements.items() if (number < tag) is is_before})
        for is_before in (True, False)
    )
    inherited = NOTHING_INHERITED.by(header.data_set)

    def write() -> tuple[bytes, bytes]:
        return (
            header.meta.transcoded(transfer_syntax_uid)
            + explicit_vr_little_endian(first, replaced=replaced, limits=header.limits),
            explicit_vr_little_endian(last, inherited=inherited, limits=header.limits),
        )

    try:
        return await work.run(write)
    except DicomFileError as error:
        raise NotAcceptable(f"The instance cannot be transcoded: {error}") from error


def _with_native(
    file: StoredFile,
    header: Header,
    bits_allocated: int,
    value_bytes: int,
    around: tuple[bytes, bytes],
    pixels: AsyncIterator[bytes],
) -> Content:
    padding = b"\0" * (value_bytes % 2)
    if value_bytes > _MAX_NATIVE_BYTES:
        raise NotAcceptable("The instance has more than 4 GiB of pixels, which only fit it compressed.")
    vr = _FLOAT_VRS.get(header.pixel_data_tag, "OW" if bits_allocated > 8 else "OB")
    head = element_head(header.pixel_data_tag, vr, value_bytes + len(padding))
    beginning, end = around

    async def read(_offset: int, _length: int) -> AsyncIterator[bytes]:
        yield beginning + head
        async for chunk in pixels:
            yield chunk
        yield padding + end

    size_bytes = len(beginning) + len(head) + value_bytes + len(padding) + len(end)
    return Content(file.path, DICOM, EXPLICIT_VR_LITTLE_ENDIAN, size_bytes, read, is_ranged=False)


def _encapsulated(
    file: StoredFile,
    header: Header,
    transfer_syntax_uid: str,
    around: tuple[bytes, bytes],
    items: AsyncIterator[bytes],
) -> Content:
    """With one fragment per frame, and an empty Basic Offset Table, since frames are sent before all are encoded."""
    beginning, end = around
    head = element_head(header.pixel_data_tag, "OB", UNDEFINED_LENGTH) + encoded_item(b"")

    async def read(_offset: int, _length: int) -> AsyncIterator[bytes]:
        yield beginning + head
        async for item in items:
            yield item
        yield sequence_delimitation() + end

    return Content(file.path, DICOM, transfer_syntax_uid, None, read, is_ranged=False)


async def _checked(frames: AsyncIterator[TranscodedFrame]) -> AsyncIterator[TranscodedFrame]:
    """The same frames. Raises NotAcceptable where one differs in kind from the first, which the header describes."""
    first = None
    async for frame in frames:
        first = first or frame.pixels
        if frame.pixels != first:
            raise NotAcceptable("The frames decode to images of different kinds.")
        yield frame


async def _data(first: TranscodedFrame, others: AsyncIterator[TranscodedFrame]) -> AsyncIterator[bytes]:
    yield first.data
    async for frame in others:
        yield frame.data


async def _items(first: TranscodedFrame, others: AsyncIterator[TranscodedFrame]) -> AsyncIterator[bytes]:
    async for data in _data(first, others):
        yield encoded_item(data)

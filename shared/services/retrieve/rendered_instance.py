"""What is shown of one instance (PS3.18 10.4.1.1.3 and 4): pictures of its frames; a document or video as it is."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from shared.archive.instance import InstanceFacts, InstanceWithFrames
from shared.dicom.bulk_values import NoSuchBulkValue
from shared.dicom.element_values import raw_value
from shared.dicom.transfer_syntaxes import DEFLATED, frame_media_type, is_video
from shared.errors import NotFound
from shared.imaging.frame_attributes import FrameAttributes
from shared.imaging.pictures import RENDERING_COPIES, largest_form_bytes, render
from shared.services.answer_work import AnswerWork, Purpose
from shared.services.retrieve.stored_file import StoredFile, open_file
from shared.services.retrieve.stored_frames import incomplete_warning, read_frames, read_together, stored_frame
from shared.services.retrieve.stored_image import open_image
from shared.services.retrieve.stored_value import open_value
from shared.storage.archive import Archive
from shared.web.content import Content, in_memory
from shared.web.offers import DOCUMENTS
from shared.web.rendering_parameters import RenderingParameters

_ENCAPSULATED_DOCUMENT: Final = "00420011"
_ENCAPSULATED_DOCUMENT_LENGTH: Final = 0x00420015
_ANIMATED: Final = "image/gif"


def media_type_as_it_is(record: InstanceFacts) -> str | None:
    """The media type of a document or a video, which is shown as it is; None for an image."""
    if is_video(record.transfer_syntax_uid):
        return frame_media_type(record.transfer_syntax_uid)
    return DOCUMENTS.get(record.sop_class_uid)


def can_be_rendered(record: InstanceWithFrames, *, is_thumbnail: bool = False) -> bool:
    """Whether an instance has something to show; only images have thumbnails."""
    if media_type_as_it_is(record) is not None:
        return not is_thumbnail
    return record.frames is not None or record.transfer_syntax_uid in DEFLATED


async def picture(
    archive: Archive,
    record: InstanceWithFrames,
    work: AnswerWork,
    media_type: str,
    parameters: RenderingParameters,
    frame_numbers: Sequence[int] | None,
    thumbnail_pixels: int | None = None,
) -> Content:
    """What is shown of an instance, in one of its media types.

    `frame_numbers` count from 1; None is the first frame or, in an animated picture, all. Raises NotFound for a frame
    that does not exist, NotAcceptable for one that cannot be decoded, or not be rendered as asked, and BadRequest for a
    region outside the image.
    """
    file = await open_file(archive, record, work)
    if media_type == media_type_as_it_is(record):
        return await _as_it_is(file, work, media_type)
    if frame_numbers is None:
        is_animated = media_type == _ANIMATED and thumbnail_pixels is None
        frame_numbers = range(1, max(file.frame_table().frame_count, 1) + 1) if is_animated else [1]
    return await _rendered(file, work, media_type, parameters, frame_numbers, thumbnail_pixels)


async def _rendered(
    file: StoredFile,
    work: AnswerWork,
    media_type: str,
    parameters: RenderingParameters,
    frame_numbers: Sequence[int],
    thumbnail_pixels: int | None,
) -> Content:
    work.check_frames(len(frame_numbers))
    image = await open_image(await read_together(file, frame_numbers, work), work)
    stored_bytes = [image.stored_bytes(work, number) for number in frame_numbers]
    work.check(sum(stored_bytes))
    header, last = image.header, max(frame_numbers)
    if header.is_short:
        attributes = FrameAttributes.of(header.data_set, last)
    else:
        attributes = await work.run(lambda: FrameAttributes.of(header.data_set, last))
    form_bytes = largest_form_bytes(
        image.pixels,
        attributes,
        media_type,
        parameters,
        frame_number=frame_numbers[0],
        thumbnail_pixels=thumbnail_pixels,
    )
    work.check(form_bytes)
    work.check(len(frame_numbers) * image.pixels.frame_bytes)

    def render_frames(frames: deque[bytes]) -> bytes:
        return render(
            (image.decode(frames.popleft()) for _ in frame_numbers),
            attributes,
            media_type,
            parameters,
            frame_numbers=frame_numbers,
            thumbnail_pixels=thumbnail_pixels,
        )

    frames_path = ",".join(map(str, frame_numbers))
    path = f"{file.path}/frames/{frames_path}/{'thumbnail' if thumbnail_pixels else 'rendered'}"
    await work.hold(Purpose.RESULT, len(frame_numbers) * form_bytes)
    decoding_bytes = image.decoding_bytes(max(stored_bytes))
    others_bytes = sum(stored_bytes) - max(stored_bytes)
    async with work.holding(others_bytes + max(decoding_bytes, RENDERING_COPIES * form_bytes)):
        frames = deque([await read() async for _, read in read_frames(image.file, frame_numbers)])
        shown = await work.run(lambda: render_frames(frames))
    work.hold_only(Purpose.RESULT, len(shown))
    warning = incomplete_warning(image.file.frame_table(), last)
    return replace(in_memory(path, media_type, None, shown), warning=warning)


async def _as_it_is(file: StoredFile, work: AnswerWork, media_type: str) -> Content:
    path = f"{file.path}/rendered"
    if is_video(file.transfer_syntax_uid):
        video = await stored_frame(file, 1, media_type, work)
        return Content(path, media_type, None, video.size_bytes, video.read)
    try:
        document = await open_value(file, _ENCAPSULATED_DOCUMENT, work)
    except NoSuchBulkValue as error:
        raise NotFound("The instance has no document.") from error
    length = int.from_bytes(raw_value(document.others, _ENCAPSULATED_DOCUMENT_LENGTH) or b"", document.byte_order)
    # The last byte may be padding.
    size_bytes = length if document.size_bytes - length == 1 else document.size_bytes
    return Content(path, media_type, None, size_bytes, document.read)

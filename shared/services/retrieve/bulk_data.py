"""The Retrieve transaction for bulk values (PS3.18 10.4.1.1.5), which metadata refers to by a BulkDataURI."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from pydicom.dataset import Dataset

from shared.archive.instance import InstanceWithFrames
from shared.dicom.bulk_data_uris import BULK_DATA, PIXEL_DATA_PATHS
from shared.dicom.bulk_values import NoSuchBulkValue
from shared.dicom.element_values import raw_value
from shared.dicom.identifiers import InstanceIdentifiers
from shared.dicom.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, OCTET_STREAM
from shared.errors import NotFound
from shared.services.answer_work import AnswerWork
from shared.services.retrieve.file_header import read_header_of
from shared.services.retrieve.frames import frames_of
from shared.services.retrieve.native_pixels import little_endian_pixels, pixels_of_tag
from shared.services.retrieve.remembered import Remembered, find_again
from shared.services.retrieve.stored_file import StoredFile, open_file
from shared.services.retrieve.stored_value import open_value
from shared.storage.archive import Archive
from shared.web.content import Content, Parts, Representations, Unread
from shared.web.content_negotiation import Offer
from shared.web.offers import bulk_value_offers, frame_offers

_ENCAPSULATED_DOCUMENT: Final = "00420011"
_DOCUMENT_TYPE: Final = 0x00420012
_MEDIA_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9.+\-]+")


async def retrieve_bulk_value(
    archive: Archive, identifiers: InstanceIdentifiers, path: str, work: AnswerWork
) -> Representations | Unread | Remembered:
    """What the value named by a BulkDataURI's `path` can be sent as, which only its file says. Raises NotFound.

    Encapsulated Pixel Data is sent as its frames, one part each.
    """

    def represent(record: InstanceWithFrames, work: AnswerWork) -> Unread:
        async def read() -> Representations:
            return await _read_value(await open_file(archive, record, work), path, work)

        return Unread(version=(record.blob_version, path), read=read)

    return await find_again(archive, identifiers, work, represent)


async def _read_value(file: StoredFile, path: str, work: AnswerWork) -> Representations:
    table = file.frames
    if path in PIXEL_DATA_PATHS and table is not None and table.is_encapsulated:
        if table.unavailable:
            raise NotFound(table.unavailable)
        return _all_frames(file, table.frame_count, work)
    value = await bulk_value(file, work, path)

    async def open_value(offer: Offer) -> Content:
        # dicomweb-client asks for a range of the value, and would take a range of the message for it.
        is_ranged = value.is_ranged and not offer.is_multipart
        return replace(value, media_type=offer.media_type, is_ranged=is_ranged)

    return Representations(version=None, offers=bulk_value_offers(value.media_type), open=open_value)


def _all_frames(file: StoredFile, frame_count: int, work: AnswerWork) -> Representations:
    numbers = range(1, frame_count + 1)

    async def open_frames(offer: Offer) -> Content | Parts:
        return await frames_of(file, numbers, offer, work)

    offers = frame_offers(file.transfer_syntax_uid, are_several=frame_count > 1)
    return Representations(version=None, offers=offers, open=open_frames)


async def bulk_value(file: StoredFile, work: AnswerWork, path: str) -> Content:
    """The value that the `path` of a BulkDataURI names; words are little endian (PS3.18 8.7.3).

    An Encapsulated Document has the media type that the instance gives it; every other value is octets. Encapsulated
    Pixel Data is sent as frames, not from here. Raises NotFound.
    """
    location = f"{file.path}/{BULK_DATA}/{path}"
    table = file.frames
    if path in PIXEL_DATA_PATHS and table is not None and not table.is_encapsulated:
        return await _pixel_data(file, work, path, location, table.value_bytes)
    try:
        value = await open_value(file, path, work)
    except NoSuchBulkValue as error:
        raise NotFound("The instance has no such bulk value.") from error
    return Content(location, *_types(path, value.others), value.size_bytes, value.read)


def _types(path: str, data_set: Dataset) -> tuple[str, str | None]:
    """The media type of a value, and the transfer syntax if it is octets.

    A document has the media type that its instance gives it (PS3.3 C.24.2).
    """
    text = (raw_value(data_set, _DOCUMENT_TYPE) or b"").decode("latin-1").strip("\0 ").lower()
    if path == _ENCAPSULATED_DOCUMENT and _MEDIA_TYPE.fullmatch(text) and text != OCTET_STREAM:
        return text, None
    return OCTET_STREAM, EXPLICIT_VR_LITTLE_ENDIAN


async def _pixel_data(file: StoredFile, work: AnswerWork, path: str, location: str, size_bytes: int) -> Content:
    if file.transfer_syntax_uid != EXPLICIT_VR_BIG_ENDIAN:
        await work.hold_chunk(size_bytes)

        def read_range(offset: int, length: int) -> AsyncIterator[bytes]:
            return pixels_of_tag(file, int(path, 16), offset, length)

        return Content(location, OCTET_STREAM, EXPLICIT_VR_LITTLE_ENDIAN, size_bytes, read_range)
    header = await read_header_of(file, work)
    if header.pixel_data_tag != int(path, 16):
        raise NotFound("The instance has no such bulk value.")
    await work.hold_chunk(size_bytes)

    def read(_offset: int, _length: int) -> AsyncIterator[bytes]:
        return little_endian_pixels(file, header)

    return Content(location, OCTET_STREAM, EXPLICIT_VR_LITTLE_ENDIAN, size_bytes, read, is_ranged=False)

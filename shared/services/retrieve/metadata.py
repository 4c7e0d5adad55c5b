"""The Retrieve transaction for metadata (PS3.18 10.4.1.1.2), which each store keeps in rows."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Final

from shared.archive.instance import InstanceMetadata
from shared.dicom.dicom_json_reader import read_attributes
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.errors import NotFound, Unavailable
from shared.services.answer_work import CHUNK_BYTES, AnswerWork
from shared.services.pieces import PIECE_BYTES, made_in_thread
from shared.services.retrieve.stored_instances import at_least_one, find_instance_metadata, is_deleted, only
from shared.services.retrieve.stored_metadata import MetadataText, stored_metadata
from shared.services.turns import Turns
from shared.web.content import Content, Parts, Representations, Stream
from shared.web.content_negotiation import Offer
from shared.web.offers import DICOM_XML, METADATA

if TYPE_CHECKING:
    from shared.storage.archive import Archive

_PAGE_BYTES: Final = CHUNK_BYTES  # that storage returns at most of rows
_ROW_BYTES: Final = 512 * 1024  # of memory, for the metadata of an instance and what is made of them


async def retrieve_metadata(
    archive: "Archive", resource: ResourceIdentifiers, service_url: str, work: AnswerWork
) -> Representations:
    """What the metadata of a study's or a series' instances can be sent as. Raises NotFound.

    BulkDataURIs are absolute, under `service_url`, ``scheme://host/version``.
    """
    etag = await archive.catalog.read_etag(resource)
    none = f"There is no such {resource.level.word}."
    if etag is None:
        raise NotFound(none)
    records = archive.catalog.read_metadata(resource.study, resource.series_instance_uid)
    return _representations(archive, etag, at_least_one(records, none), service_url, work, _PAGE_BYTES)


async def retrieve_instance_metadata(
    archive: "Archive", identifiers: InstanceIdentifiers, service_url: str, work: AnswerWork
) -> Representations:
    """What the metadata of an instance can be sent as; see `retrieve_metadata`. Raises NotFound."""
    record = await find_instance_metadata(archive, identifiers)

    return _representations(archive, record.blob_version, only(record), service_url, work, _ROW_BYTES)


def _representations(
    archive: "Archive",
    version: str,
    records: AsyncIterator[InstanceMetadata],
    service_url: str,
    work: AnswerWork,
    held_bytes: int,
) -> Representations:
    async def open_metadata(offer: Offer) -> Parts | Stream:
        await work.hold_chunk(held_bytes)
        if offer.is_multipart:
            return Parts(xml_documents(archive, records, service_url, work))
        return Stream(offer.media_type, json_array(archive, records, service_url, work), is_text=True)

    return Representations(version=(version,), offers=METADATA, open=open_metadata, is_text=True)


async def json_array(
    archive: "Archive", records: AsyncIterator[InstanceMetadata], service_url: str, work: AnswerWork
) -> AsyncIterator[bytes]:
    """The metadata of instances as the text of one JSON array.

    Bulk values have absolute URIs under `service_url`, ``scheme://host/version``. Yields nothing where there is no
    instance. Raises Unavailable for an instance that exists without its metadata.
    """
    text, turns = bytearray(), Turns()
    separator = b"["
    async for _, one in _texts(archive, records, service_url, work):
        text += separator
        separator = b","
        for piece in one.pieces():
            text += piece
            if len(text) >= PIECE_BYTES:
                yield bytes(text)
                text.clear()
            await turns.next()
    if separator == b",":
        yield bytes(text) + b"]"


async def xml_documents(
    archive: "Archive", records: AsyncIterator[InstanceMetadata], service_url: str, work: AnswerWork
) -> AsyncIterator[Content]:
    """The metadata of instances, each as an XML document (PS3.19 A.1)."""
    async for record, text in _texts(archive, records, service_url, work):
        yield xml_document(f"{record.identifiers.path}/metadata", text.pieces(), work)


def xml_document(path: str, text: Iterator[bytes], work: AnswerWork) -> Content:
    """The XML document of a data set whose DICOM JSON is `text`, made as it is sent."""

    async def read(_offset: int, _length: int) -> AsyncIterator[bytes]:
        from shared.dicom.dicom_xml import native_dicom_model  # pydicom

        async for piece in made_in_thread(native_dicom_model(read_attributes(text)), work):
            yield piece

    return Content(path, DICOM_XML, None, None, read, is_ranged=False)


async def _texts(
    archive: "Archive", records: AsyncIterator[InstanceMetadata], service_url: str, work: AnswerWork
) -> AsyncIterator[tuple[InstanceMetadata, MetadataText]]:
    async for record in records:
        part = work.part()
        try:
            text = await stored_metadata(archive, record, service_url, part)
        except NotFound as error:
            if await is_deleted(archive, record):
                continue
            raise Unavailable("The metadata of an instance cannot be read.") from error
        yield record, text
        part.end()

"""The Retrieve transaction for metadata (PS3.18 10.4.1.1.2), which each store keeps in rows."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from shared.archive.instance import InstanceMetadata
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.errors import NotFound, Unavailable
from shared.services.retrieve.stored_instances import at_least_one, find_instance_metadata, is_deleted
from shared.services.retrieve.stored_metadata import stored_metadata
from shared.web.content import Content, Parts, Representations, Stream, in_memory
from shared.web.content_negotiation import Offer
from shared.web.offers import DICOM_XML, METADATA

if TYPE_CHECKING:
    from shared.storage.archive import Archive

_PIECE_BYTES: Final = 64 * 1024


async def retrieve_metadata(archive: "Archive", resource: ResourceIdentifiers, service_url: str) -> Representations:
    """What the metadata of a study's or a series' instances can be sent as. Raises NotFound.

    BulkDataURIs are absolute, under `service_url`, ``scheme://host/version``.
    """
    etag = await archive.catalog.read_etag(resource)
    none = f"There is no such {resource.level.word}."
    if etag is None:
        raise NotFound(none)
    records = archive.catalog.read_metadata(resource.study, resource.series_instance_uid)
    return _representations(archive, etag, at_least_one(records, none), service_url)


async def retrieve_instance_metadata(
    archive: "Archive", identifiers: InstanceIdentifiers, service_url: str
) -> Representations:
    """What the metadata of an instance can be sent as; see `retrieve_metadata`. Raises NotFound."""
    record = await find_instance_metadata(archive, identifiers)

    async def only() -> AsyncIterator[InstanceMetadata]:
        yield record

    return _representations(archive, record.blob_version, only(), service_url)


def _representations(
    archive: "Archive", version: str, records: AsyncIterator[InstanceMetadata], service_url: str
) -> Representations:
    async def open_metadata(offer: Offer) -> Parts | Stream:
        if offer.is_multipart:
            return Parts(xml_documents(archive, records, service_url))
        return Stream(offer.media_type, json_array(archive, records, service_url), is_text=True)

    return Representations(version=(version,), offers=METADATA, open=open_metadata, is_text=True)


async def json_array(
    archive: "Archive", records: AsyncIterator[InstanceMetadata], service_url: str
) -> AsyncIterator[bytes]:
    """The metadata of instances as the text of one JSON array.

    Bulk values have absolute URIs under `service_url`, ``scheme://host/version``. Yields nothing where there is no
    instance. Raises Unavailable for an instance that exists without its metadata.
    """
    text = bytearray()
    separator = b"["
    async for _, one in _texts(archive, records, service_url):
        text += separator + one
        separator = b","
        if len(text) >= _PIECE_BYTES:
            yield bytes(text)
            text.clear()
    if separator == b",":
        yield bytes(text) + b"]"


async def xml_documents(
    archive: "Archive", records: AsyncIterator[InstanceMetadata], service_url: str
) -> AsyncIterator[Content]:
    """The metadata of instances, each as an XML document (PS3.19 A.1)."""
    async for record, text in _texts(archive, records, service_url):
        document = await asyncio.to_thread(_document, text)
        yield in_memory(f"{record.identifiers.path}/metadata", DICOM_XML, None, document)


async def _texts(
    archive: "Archive", records: AsyncIterator[InstanceMetadata], service_url: str
) -> AsyncIterator[tuple[InstanceMetadata, bytes]]:
    async for record in records:
        try:
            text = await stored_metadata(archive, record, service_url)
        except NotFound as error:
            if await is_deleted(archive, record):
                continue
            raise Unavailable("The metadata of an instance cannot be read.") from error
        yield record, text


def _document(text: bytes) -> bytes:
    from shared.dicom.dicom_xml import native_dicom_model  # pydicom

    return native_dicom_model(json.loads(text))

"""Metadata of instances (PS3.18 10.4.1.1.2), from the rows that it was kept in when they were stored."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

from shared.archive.instance import InstanceMetadata
from shared.dicom.identifiers import ResourceIdentifiers
from shared.errors import NotFound, Unavailable
from shared.services.retrieve.instances import at_least_one, is_deleted
from shared.services.retrieve.stored_metadata import stored_metadata
from shared.storage.archive import Archive
from shared.web.content import Content, in_memory
from shared.web.representations import DICOM_XML

_PIECE_BYTES: Final = 64 * 1024


async def metadata_version(archive: Archive, resource: ResourceIdentifiers) -> str:
    """What changes whenever an instance is stored into the resource or deleted from it. Raises NotFound."""
    version = await archive.catalog.read_version(resource)
    if version is None:
        raise NotFound(f"There is no such {resource.level}.")
    return version


def find_metadata(archive: Archive, resource: ResourceIdentifiers) -> AsyncIterator[InstanceMetadata]:
    """The metadata of the instances of a study or a series. Raises NotFound at the first step."""
    records = archive.catalog.read_metadata(resource.study_instance_uid, resource.series_instance_uid)
    return at_least_one(records, f"There is no such {resource.level}.")


async def json_array(
    archive: Archive, records: AsyncIterator[InstanceMetadata], service_url: str
) -> AsyncIterator[bytes]:
    """The metadata of instances as the text of one JSON array.

    Bulk values have absolute URIs under `service_url`, ``scheme://host/version``. Nothing is yielded where there is no
    instance. Raises Unavailable for one that is there, and whose metadata is not.
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
    archive: Archive, records: AsyncIterator[InstanceMetadata], service_url: str
) -> AsyncIterator[Content]:
    """The metadata of instances, each as an XML document (PS3.19 A.1)."""
    async for record, text in _texts(archive, records, service_url):
        document = await asyncio.to_thread(_document, text)
        yield in_memory(f"{record.identifiers.path}/metadata", DICOM_XML, None, document)


async def _texts(
    archive: Archive, records: AsyncIterator[InstanceMetadata], service_url: str
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
    from shared.dicom.dicom_xml import native_dicom_model

    return native_dicom_model(json.loads(text))

"""An instance's metadata as kept when it was stored, in its row or in a separate blob."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shared.archive.instance import Elsewhere, InstanceMetadata
from shared.dicom.bulk_data_uris import with_absolute_uris
from shared.dicom.dicom_json_reader import LongAttribute, read_attributes
from shared.dicom.dicom_json_text import inflated
from shared.services.answer_work import AnswerWork, Purpose
from shared.storage import blob_names

if TYPE_CHECKING:
    from shared.storage.archive import Archive


class MetadataText:
    """The text of a JSON object in UTF-8, without white space, inflated as it is read, once."""

    def __init__(self, deflated: bytes, instance_url: str) -> None:
        """Raises ValueError, here or when it is read, for bytes that are no deflated text."""
        self._pieces = with_absolute_uris(inflated(deflated), instance_url)
        self._first = [piece for piece in (next(self._pieces, None), next(self._pieces, None)) if piece is not None]

    @property
    def is_short(self) -> bool:
        """Whether it is of one piece, of 64 KiB before its BulkDataURIs are made absolute."""
        return len(self._first) < 2

    def pieces(self) -> Iterator[bytes]:
        """The text, in pieces."""
        yield from self._first
        yield from self._pieces


def short_attributes(text: MetadataText) -> dict[str, Mapping[str, Any]]:
    """The attributes that are not too long to be held. Raises ValueError for a text that is no data set."""
    found = read_attributes(text.pieces())
    return {tag: attribute for tag, attribute in found if not isinstance(attribute, LongAttribute)}


async def stored_metadata(
    archive: "Archive", record: InstanceMetadata, service_url: str, work: AnswerWork | None = None
) -> MetadataText:
    """The metadata of an instance, with BulkDataURIs under `service_url`, ``scheme://host/version``.

    `work` takes room for what is read beforehand. Raises NotFound when the instance has since been deleted, ValueError
    for what is no metadata.
    """
    deflated = record.metadata
    if deflated is Elsewhere.IN_BLOB:
        name = blob_names.metadata_blob(record.identifiers, record.blob_version)
        size_bytes, chunks = await archive.blobs.open(name)
        if work is not None:
            await work.hold(Purpose.METADATA, size_bytes)
        deflated = b"".join([chunk async for chunk in chunks])
    return MetadataText(deflated, f"{service_url}/{record.identifiers.path}")

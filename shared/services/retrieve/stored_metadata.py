"""An instance's metadata as kept when it was stored, in its row or in a separate blob."""

import asyncio
import zlib
from typing import TYPE_CHECKING

from shared.archive.instance import Elsewhere, InstanceMetadata
from shared.dicom.bulk_data_uris import with_absolute_uris
from shared.storage import blob_names

if TYPE_CHECKING:
    from shared.storage.archive import Archive


async def stored_metadata(archive: "Archive", record: InstanceMetadata, service_url: str) -> bytes:
    """The metadata as the text of a JSON object.

    BulkDataURIs are made absolute, under `service_url`, ``scheme://host/version``. Raises NotFound when the instance
    has since been deleted.
    """
    if record.metadata is Elsewhere.IN_BLOB:
        stored = await archive.blobs.read_all(blob_names.metadata_blob(record.identifiers, record.blob_version))
        text = await asyncio.to_thread(zlib.decompress, stored)
    else:
        text = zlib.decompress(record.metadata)
    return with_absolute_uris(text, f"{service_url}/{record.identifiers.path}")

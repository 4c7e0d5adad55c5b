"""The values of extended query tags of an instance that is stored."""

import asyncio
from collections.abc import Sequence

from shared.archive.extended_tags import ExtendedTag
from shared.archive.instance import InstanceMetadata
from shared.archive.tag_values import NO_VALUES, TagValues, tag_values
from shared.dicom.dicom_json_reader import read_attributes
from shared.services.retrieve.stored_metadata import stored_metadata
from shared.storage.archive import Archive


async def stored_tag_values(archive: Archive, record: InstanceMetadata, tags: Sequence[ExtendedTag]) -> TagValues:
    """The values that an instance's metadata have of the `tags` that are indexed.

    No storage operation, or 1 where the metadata have a blob. Raises NotFound where the instance has been deleted,
    ValueError for what is no metadata.
    """
    if not tags:
        return NO_VALUES
    text = await stored_metadata(archive, record, "")
    return await asyncio.to_thread(lambda: tag_values(read_attributes(text.pieces()), tags))

"""Whether the files of a study are what was stored, bit for bit."""

import asyncio
import hashlib
import math
from contextlib import aclosing, suppress
from time import monotonic

from shared.archive.instance import InstanceFacts
from shared.dicom.identifiers import StudyKey
from shared.errors import NotFound
from shared.services.repair.differences import Difference, Kind
from shared.services.repair.study_check import UNREADABLE
from shared.storage import blob_names, keys
from shared.storage.archive import Archive


async def examine_digests(
    archive: Archive, study_key: StudyKey, after: str = "", *, deadline: float = math.inf
) -> tuple[list[Difference], str | None]:
    """Which files of a study, after an instance's row key, have another SHA-256 than was stored.

    Also the row key after which to go on, None at the end: this ends once `deadline`, a time of `monotonic`, is over,
    but not before the first file. Storage operations: 1 for each 1,000 instances, 1 for each 4 MiB.
    """
    found = []
    with suppress(*UNREADABLE):  # such rows are reported with their study
        async with aclosing(archive.catalog.read_instances_after(study_key, after)) as rows:
            async for row in rows:
                name = blob_names.instance_blob(row.identifiers, row.blob_version)
                if await _is_another(archive, row, name):
                    found.append(Difference(Kind.WRONG_HASH, study_key, name))
                if monotonic() > deadline:
                    return found, keys.row_of_instance(row.identifiers)
    return found, None


async def _is_another(archive: Archive, row: InstanceFacts, name: str) -> bool:
    """Whether a file of the right length is not what was stored, and still the instance's."""
    digest, size = hashlib.sha256(), 0
    try:
        async for chunk in archive.blobs.read(name):
            await asyncio.to_thread(digest.update, chunk)
            size += len(chunk)
    except NotFound:  # the missing blob is reported with its study
        return False
    if size != row.size_bytes or digest.hexdigest() == row.sha256:
        return False
    now = await archive.catalog.read_instance(row.identifiers)
    return now is not None and now.blob_version == row.blob_version

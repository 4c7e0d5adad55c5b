"""Changes as JSON, as Microsoft's change feed has them: each with what has become of its instance by now.

Storage operations: without metadata 1 for each study; with it 1 for each change, and 1 where its metadata is kept in a
blob.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from itertools import chain
from typing import Any, Final

from shared.archive.change import state_of
from shared.archive.instance import InstanceMetadata
from shared.dicom.dicom_json_text import dumps
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey
from shared.errors import NotFound
from shared.failures import described
from shared.services.answer_work import AnswerWork
from shared.services.pieces import PIECE_BYTES
from shared.services.prefetch import fetch_ahead
from shared.services.retrieve.stored_metadata import MetadataText, stored_metadata
from shared.services.turns import Turns
from shared.storage.archive import Archive
from shared.storage.feed_rows import FeedEntry
from shared.storage.parallel import in_parallel

HELD_BYTES: Final = 2 * 1024**2
"""How much memory a page of changes takes, with the rows that are read ahead."""

_AHEAD: Final = 8  # rows with metadata, of at most 192 KiB

_logger = logging.getLogger(__name__)


async def json_array(
    archive: Archive, entries: Sequence[FeedEntry], service_url: str, has_metadata: bool, work: AnswerWork
) -> AsyncIterator[bytes]:
    """Changes as the text of one JSON array; see `json_objects`."""
    text, turns = bytearray(b"["), Turns()
    async with aclosing(json_objects(archive, entries, service_url, has_metadata, work)) as objects:
        async for pieces in objects:
            if text != b"[":
                text += b","
            for piece in pieces:
                text += piece
                if len(text) >= PIECE_BYTES:
                    yield bytes(text)
                    text.clear()
                await turns.next()
    yield bytes(text) + b"]"


async def json_objects(
    archive: Archive, entries: Sequence[FeedEntry], service_url: str, has_metadata: bool, work: AnswerWork
) -> AsyncGenerator[Iterator[bytes], None]:
    """Each change as the text of a JSON object, in pieces to be taken before the next object.

    With metadata, bulk values have URIs under `service_url`, ``scheme://host/version``.
    """
    if not has_metadata:
        versions = await _versions(archive, entries)
        for entry in entries:
            yield iter([dumps(_attributes(entry, versions.get(entry.change.identifiers)))])
        return

    async def read(entry: FeedEntry) -> tuple[FeedEntry, InstanceMetadata | None]:
        return entry, await archive.catalog.read_instance_metadata(entry.change.identifiers)

    async with aclosing(fetch_ahead(_each(entries), read, lambda: _AHEAD)) as rows:
        async for entry, found in rows:
            part = work.part()
            record, metadata = await _as_it_is(archive, found, service_url, part)
            attributes = dumps(_attributes(entry, record.blob_version if record else None))
            if metadata is None:
                yield iter([attributes])
            else:
                yield chain([attributes[:-1], b',"metadata":'], metadata.pieces(), [b"}"])
            part.end()


def _attributes(entry: FeedEntry, blob_version: str | None) -> Mapping[str, Any]:
    """The members of a change whose instance has this blob version now, but for the metadata."""
    change = entry.change
    identifiers = change.identifiers
    return {
        "sequence": entry.sequence,
        "partitionName": identifiers.study.partition,
        "studyInstanceUid": identifiers.study_instance_uid,
        "seriesInstanceUid": identifiers.series_instance_uid,
        "sopInstanceUid": identifiers.sop_instance_uid,
        "action": change.action.value,
        "timestamp": entry.stamp.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "state": state_of(change, blob_version).value,
        **({"sopClassUid": change.sop_class_uid} if change.sop_class_uid else {}),
        **({"modality": change.modality} if change.modality else {}),
    }


async def _versions(archive: Archive, entries: Sequence[FeedEntry]) -> Mapping[InstanceIdentifiers, str]:
    """The blob versions of those of the changes' instances that are there."""
    by_study: dict[StudyKey, set[InstanceIdentifiers]] = {}
    for entry in entries:
        identifiers = entry.change.identifiers
        by_study.setdefault(identifiers.study, set()).add(identifiers)
    found = await in_parallel(archive.versions.read(study, instances) for study, instances in by_study.items())
    return {identifiers: version for versions in found for identifiers, version in versions.items()}


async def _as_it_is(
    archive: Archive, record: InstanceMetadata | None, service_url: str, work: AnswerWork
) -> tuple[InstanceMetadata | None, MetadataText | None]:
    """An instance that was read just now, and its metadata; None for what has gone, or cannot be read."""
    while record is not None:
        try:
            return record, await stored_metadata(archive, record, service_url, work)
        except NotFound:
            before, record = record, await archive.catalog.read_instance_metadata(record.identifiers)
            if record == before:
                return record, None
        except ValueError as error:
            _logger.error("The metadata of %s cannot be read: %s", record.identifiers.path, described(error))
            return record, None
    return None, None


async def _each(entries: Sequence[FeedEntry]) -> AsyncIterator[FeedEntry]:
    for entry in entries:
        yield entry

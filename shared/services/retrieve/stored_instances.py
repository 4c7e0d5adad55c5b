"""Finds the instances of a resource in the catalog."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from shared.archive.instance import InstanceFacts, InstanceMetadata, InstanceWithFrames
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.errors import NotFound
from shared.web.offers import is_available_in

if TYPE_CHECKING:
    from shared.storage.archive import Archive

Record = TypeVar("Record")

_RECORD_BYTES: Final = 2048  # of memory, for an instance beside its frame table


async def find_instance(archive: "Archive", identifiers: InstanceIdentifiers) -> InstanceWithFrames:
    """An instance; raises NotFound."""
    record = _found(await archive.catalog.read_instance_with_frames(identifiers))
    frames_bytes = len(record.frames) if isinstance(record.frames, bytes) else 0
    archive.recent_instances.put(identifiers, record, _RECORD_BYTES + frames_bytes)
    return record


async def find_instance_metadata(archive: "Archive", identifiers: InstanceIdentifiers) -> InstanceMetadata:
    """The metadata of an instance; raises NotFound."""
    return _found(await archive.catalog.read_instance_metadata(identifiers))


def _found(record: Record | None) -> Record:
    if record is None:
        raise NotFound("There is no such instance.")
    return record


async def count_by_transfer_syntax(archive: "Archive", resource: ResourceIdentifiers) -> Mapping[str, int]:
    """How many instances of a study or a series are stored in each transfer syntax; raises NotFound."""
    study = await archive.catalog.read_outline(resource.study)
    counts = Counter[str]()
    for uid, series in study.series.items() if study else ():
        if resource.series_instance_uid in (None, uid):
            counts.update(series.transfer_syntaxes)
    if not counts:
        raise NotFound(f"There is no such {resource.level.word}.")
    return counts


def left_out(counts: Mapping[str, int], transfer_syntax_uid: str, what: str) -> str:
    """A sentence on what instances, counted by their transfer syntax, lack in another; nothing where all are available.

    `what` is the kind of thing, in the plural, and a verb.
    """
    others = {uid: count for uid, count in counts.items() if not is_available_in(transfer_syntax_uid, uid)}
    if not others:
        return ""
    return (
        f"{sum(others.values())} of {sum(counts.values())} {what} left out, stored in {' and '.join(sorted(others))}: "
        "ask for transfer-syntax=* to get all as they are stored"
    )


def find_instances(archive: "Archive", resource: ResourceIdentifiers) -> AsyncIterator[InstanceFacts]:
    """The instances of a study or a series. Raises NotFound at the first step."""
    records = archive.catalog.read_instances(resource.study, resource.series_instance_uid)
    return at_least_one(records, f"There is no such {resource.level.word}.")


def find_instances_with_frames(archive: "Archive", resource: ResourceIdentifiers) -> AsyncIterator[InstanceWithFrames]:
    """The instances of a study or a series, with their frame tables. Raises NotFound at the first step."""
    records = archive.catalog.read_instances_with_frames(resource.study, resource.series_instance_uid)
    return at_least_one(records, f"There is no such {resource.level.word}.")


async def only(record: Record) -> AsyncIterator[Record]:
    """The one record, as records are read."""
    yield record


async def at_least_one(records: AsyncIterator[Record], none: str) -> AsyncIterator[Record]:
    """The same records; where there are none, the first step raises NotFound with the message `none`."""
    is_empty = True
    async for record in records:
        is_empty = False
        yield record
    if is_empty:
        raise NotFound(none)


async def is_deleted(archive: "Archive", record: InstanceFacts | InstanceMetadata) -> bool:
    """Whether an instance has been deleted or replaced since it was read."""
    found = await archive.catalog.read_instance(record.identifiers)
    return found is None or found.blob_version != record.blob_version

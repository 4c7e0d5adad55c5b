"""Extended query tags as requests add and remove them, and what the archive has of them against what it should have."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from shared.archive.extended_tags import ExtendedTag, TagSet, TagStatus
from shared.archive.operation import Operation, OperationType, new_operation_id
from shared.archive.study_terms import terms_of_instance
from shared.archive.tag_values import values_of_tags
from shared.archive.terms import Term, is_of_tag
from shared.dicom.attributes import TAG, Level
from shared.dicom.comparable_values import comparable_values
from shared.services.indexing.stored_tag_values import stored_tag_values
from shared.services.operations.engine import start
from shared.storage.archive import Archive
from shared.storage.tag_table import TagsChanged

POSITION: Final = ((TAG["PatientPosition"],), "CS", Level.SERIES)
ALIASES: Final = ((TAG["PatientComments"],), "LT", Level.STUDY)


def tag(keyword: str, vr: str, level: Level, *, creator: str = "") -> ExtendedTag:
    """A tag to be added, of a keyword or a number."""
    return ExtendedTag(0, (TAG.get(keyword, keyword),), vr, creator, level, TagStatus.ADDING)


INSTITUTION: Final = tag("InstitutionName", "LO", Level.STUDY)
BODY_PART: Final = tag("BodyPartExamined", "CS", Level.SERIES)
ACQUISITION: Final = tag("AcquisitionNumber", "IS", Level.INSTANCE)
COMMENT: Final = tag("ImageComments", "SH", Level.INSTANCE)
OF_EACH_LEVEL: Final = (INSTITUTION, BODY_PART, ACQUISITION)


async def add_tags(archive: Archive, *tags: ExtendedTag, starts: bool = True) -> Operation:
    """Add tags, and start to index by them, as a request does that waits for what is under way to go by them."""
    operation_id = new_operation_id(datetime.now(UTC))
    added = [ExtendedTag(0, one.path, one.vr, one.private_creator, one.level, one.status, operation_id=operation_id)
             for one in tags]  # fmt: skip
    after = await _change(archive, lambda before: before.with_added(added))
    numbers = [one.number for one in after.tags if one.operation_id == operation_id]
    specification = {"generation": after.generation, "numbers": numbers}
    return await start(archive, OperationType.REINDEX, specification, operation_id=operation_id)


async def remove_tag(archive: Archive, number: int) -> Operation:
    """Remove a tag, and start to clean up after it."""
    operation_id = new_operation_id(datetime.now(UTC))
    after = await _change(archive, lambda before: before.without(number, operation_id))
    (removed,) = (one for one in after.removed if one.number == number)
    specification = {"generation": removed.generation, "name": removed.name, "number": number}
    return await start(archive, OperationType.DATA_CLEANUP, specification, operation_id=operation_id)


async def _change(archive: Archive, change: Any) -> TagSet:
    while True:
        before = await archive.tags.read()
        try:
            return (await archive.tags.replace(before, change(before.tags))).tags
        except TagsChanged:
            continue

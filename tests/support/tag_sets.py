"""Extended query tags for tests."""

from shared.archive.extended_tags import ExtendedTag, QueryStatus, TagSet, TagStatus
from shared.dicom.attributes import Level


def tag_of(
    path: str,
    vr: str,
    level: Level = Level.INSTANCE,
    *,
    number: int = 1,
    private_creator: str = "",
    status: TagStatus = TagStatus.READY,
    query_status: QueryStatus = QueryStatus.ENABLED,
) -> ExtendedTag:
    """A tag whose path is written with dots."""
    return ExtendedTag(number, tuple(path.split(".")), vr, private_creator, level, status, query_status)


def set_of(*tags: ExtendedTag) -> TagSet:
    """The set of these tags, as they are."""
    return TagSet(1, max((tag.number for tag in tags), default=0) + 1, tags)

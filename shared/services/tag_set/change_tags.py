"""What requests see of extended query tags, and change of them one by one.

Storage operations: 1 to see them; 2 more to change one, and 1 and a message to have its values removed. For a page of
errors 1 for each 1,000 errors of the tag, and 1 for each instance on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.archive.extended_tags import ExtendedTag, QueryStatus, TagSet
from shared.archive.operation import new_operation_id
from shared.errors import BadRequest, NotFound
from shared.services.operations.engine import check_queues
from shared.services.operations.upkeep import start_clean_up
from shared.services.tag_set.tag_json import error_json, tag_json
from shared.storage.archive import Archive
from shared.storage.parallel import in_parallel
from shared.web.extended_query_tag_request import TagPage

Path = tuple[str, ...]


async def read_tags(archive: Archive, page: TagPage, url: str) -> Sequence[Mapping[str, Any]]:
    """Part of the tags, in the order in which they were added; `url` is the service's, with version."""
    tags = (await archive.tags.read()).tags.tags
    return [tag_json(tag, url) for tag in tags[page.offset : page.offset + page.limit]]


async def read_tag(archive: Archive, path: Path, private_creator: str | None, url: str) -> Mapping[str, Any]:
    """A tag. Raises NotFound, and BadRequest where private creators have to tell several apart."""
    return tag_json(_tag_at((await archive.tags.read()).tags, path, private_creator), url)


async def set_query_status(
    archive: Archive, path: Path, private_creator: str | None, status: QueryStatus, url: str
) -> Mapping[str, Any]:
    """Let searches use a tag, or not; return it. Raises as `read_tag` does."""

    def changed(tags: TagSet) -> TagSet:
        return tags.with_changed(replace(_tag_at(tags, path, private_creator), query_status=status))

    return tag_json(_tag_at(await archive.tags.change(changed), path, private_creator), url)


async def remove_tag(archive: Archive, path: Path, private_creator: str | None) -> None:
    """Remove a tag; what is left of it goes by an operation. Raises as `read_tag` does, and Unavailable."""
    check_queues(archive)
    operation_id = new_operation_id(datetime.now(UTC))

    def removed(tags: TagSet) -> TagSet:
        if any(tag.operation_id == operation_id for tag in tags.removed):
            return tags  # by this very request, whose answer was lost
        return tags.without(_tag_at(tags, path, private_creator).number, operation_id)

    tags = await archive.tags.change(removed)
    for tag in tags.removed:
        if tag.operation_id == operation_id:
            await start_clean_up(archive, tag)


async def read_errors(
    archive: Archive, path: Path, private_creator: str | None, page: TagPage
) -> Sequence[Mapping[str, Any]]:
    """Part of a tag's errors, the earliest first, without those of instances that are gone. Raises as `read_tag` does.

    So there may be fewer than the page has room for, and more after it.
    """
    tag = _tag_at((await archive.tags.read()).tags, path, private_creator)
    errors = [error async for error in archive.tags.read_errors(tag.number)]
    errors.sort(key=lambda error: (error.created, error.instance.path))
    errors = errors[page.offset : page.offset + page.limit]
    instances = await in_parallel(archive.catalog.read_instance(error.instance) for error in errors)
    return [error_json(error) for error, instance in zip(errors, instances, strict=True) if instance is not None]


def _tag_at(tags: TagSet, path: Path, private_creator: str | None) -> ExtendedTag:
    found = tags.at(path, private_creator)
    if not found:
        raise NotFound("There is no such extended query tag.")
    if len(found) > 1:
        raise BadRequest("Tags of several private creators have this path: name one by the parameter privateCreator.")
    return found[0]

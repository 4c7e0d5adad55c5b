"""Adding extended query tags, and the operation that makes them ready.

The set is written before the operation starts. A process that dies between leaves tags whose operation there is not:
whoever asks for the same again takes them over, as where the operation was canceled or has failed.

Storage operations: 1 to read the set, and 1 for each operation that tags wait for; 2 to write it; 1 and a message to
start the operation, or where there is nothing to index 1 to note it, and 3 for its end.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from shared.archive.extended_tags import MAX_TAGS, ExtendedTag, TagSet, TagStatus
from shared.archive.operation import OperationType, new_operation_id
from shared.errors import BadRequest, Conflict
from shared.search.new_tags import new_tag
from shared.services.operations.engine import check_queues, note_success, start
from shared.services.operations.operation_states import reference_to
from shared.services.operations.reindex import make_ready
from shared.storage.archive import Archive
from shared.storage.tag_table import UNSEEN_SECONDS, TagsChanged
from shared.web.extended_query_tag_request import TagRequest


class OtherTagsUnderWay(Conflict):
    """Another operation makes tags ready; until it has ended, none can be added."""

    def __init__(self, operation: Mapping[str, str]) -> None:
        super().__init__(f"There is already an active re-index operation with ID '{operation['id']}'")
        self.operation = operation


async def add_tags(archive: Archive, asked: Sequence[TagRequest], url: str) -> Mapping[str, str]:
    """Add tags, all or none; return the reference to the operation after which searches can use them.

    `url` is the service's, with version. Raises OtherTagsUnderWay; BadRequest for what cannot be a tag, and for too
    many; Conflict for one that there is; and Unavailable.
    """
    check_queues(archive)
    while True:
        before = await archive.tags.read()
        await _check_idle(archive, before.tags, url)
        operation_id = new_operation_id(datetime.now(UTC))
        new = await asyncio.to_thread(_new_tags, asked, operation_id)
        after = _with_added(before.tags, new)
        try:
            await archive.tags.replace(before, after)
        except TagsChanged:
            continue
        break
    added = [tag for tag in after.tags if tag.operation_id == operation_id]
    specification = {"generation": after.generation, "numbers": [tag.number for tag in added]}
    if any(tag.is_indexed for tag in added):
        await start(
            archive,
            OperationType.REINDEX,
            specification,
            operation_id=operation_id,
            visible_after_seconds=UNSEEN_SECONDS,
        )
    else:
        await note_success(archive, OperationType.REINDEX, specification, operation_id=operation_id)
        await make_ready(archive, operation_id)
    return reference_to(operation_id, url)


async def _check_idle(archive: Archive, tags: TagSet, url: str) -> None:
    for operation_id in sorted({tag.operation_id for tag in tags.tags if tag.operation_id}):
        operation = await archive.operations.read(operation_id)
        if operation is not None and not operation.status.has_ended:
            raise OtherTagsUnderWay(reference_to(operation_id, url))


def _new_tags(asked: Sequence[TagRequest], operation_id: str) -> list[ExtendedTag]:
    new: dict[tuple[tuple[str, ...], str], ExtendedTag] = {}
    for one in asked:
        tag = new_tag(one.path, one.vr, one.private_creator, one.level)
        if tag.key in new:
            raise BadRequest(f"The tag {'.'.join(tag.path)} is given twice.")
        new[tag.key] = replace(tag, operation_id=operation_id)
    return list(new.values())


def _with_added(before: TagSet, new: Sequence[ExtendedTag]) -> TagSet:
    """The next generation, in which new tags take the place of those that nobody makes ready any more.

    One that is as it was asked for before keeps its number, and so its values.
    """
    known = {tag.key: tag for tag in before.tags}
    if any(known[tag.key].status is not TagStatus.ADDING for tag in new if tag.key in known):
        raise Conflict("One or more extended query tags already exist.")
    if len({*known, *(tag.key for tag in new)}) > MAX_TAGS:
        raise BadRequest(f"There can be at most {MAX_TAGS} extended query tags; there are {len(known)}.")
    again = [
        replace(tag, number=known[tag.key].number)
        for tag in new
        if tag.key in known and (tag.vr, tag.level) == (known[tag.key].vr, known[tag.key].level)
    ]
    kept = {tag.key for tag in again}
    after = before.with_added(tag for tag in new if tag.key not in kept)
    for tag in again:
        after = after.with_changed(tag)
    return after

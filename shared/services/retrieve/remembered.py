"""Instances that the process has read lately: they are opened while storage is asked whether they are still there."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from shared.archive.instance import InstanceWithFrames
from shared.dicom.identifiers import InstanceIdentifiers
from shared.services.answer_work import AnswerWork
from shared.services.retrieve.stored_instances import find_instance
from shared.web.content import Representations, Unread

if TYPE_CHECKING:
    from shared.storage.archive import Archive

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a resource could be sent as when it was last read, `found` by no storage operation.

    It may only be sent, and what goes wrong with it only be told, where `is_current` says that it still holds.
    Otherwise `read` finds what there is now. All of them raise NotFound.
    """

    found: Callable[[], Representations | Unread]
    is_current: Callable[[], Awaitable[bool]]
    read: Callable[[], Awaitable[Representations | Unread]]


async def find_again(
    archive: "Archive",
    identifiers: InstanceIdentifiers,
    work: AnswerWork,
    represent: Callable[[InstanceWithFrames, AnswerWork], Representations | Unread],
) -> Representations | Unread | Remembered:
    """What `represent` makes of an instance, and of the work of its answer.

    An instance that the process has read lately is not read again: of its row, only the blob version is. Raises
    NotFound.
    """
    recent = archive.recent_instances.get(identifiers)
    if recent is None:
        return represent(await find_instance(archive, identifiers), work)
    attempt = work.part()

    async def is_current() -> bool:
        return await archive.versions.read_one(identifiers) == recent.blob_version

    async def read() -> Representations | Unread:
        attempt.end()
        archive.recent_instances.forget(identifiers)
        return represent(await find_instance(archive, identifiers), work)

    return Remembered(lambda: represent(recent, attempt), is_current, read)


async def answered(
    found: Representations | Unread | Remembered, answer: Callable[[Representations | Unread], Awaitable[Answer]]
) -> Answer:
    """What `answer` makes of what there is of a resource. Raises what it raises.

    It begins with what is remembered while storage is asked whether that still holds; if not, it stops and begins anew.
    """
    if not isinstance(found, Remembered):
        return await answer(found)
    attempt = asyncio.ensure_future(_attempt(found, answer))
    try:
        if await found.is_current():
            return await attempt
    finally:
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        del attempt  # and what it has read
    return await answer(await found.read())


async def _attempt(found: Remembered, answer: Callable[[Representations | Unread], Awaitable[Answer]]) -> Answer:
    return await answer(found.found())

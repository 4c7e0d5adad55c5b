"""The studies of an archive beside those of its backup, both of which are listed in the order of their keys."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeVar

from shared.dicom.identifiers import StudyKey
from shared.storage import keys
from shared.storage.archive import Archive
from shared.storage.backup_container import BackupContainer, Snapshot
from shared.storage.parallel import in_parallel

_STUDIES_AT_ONCE: Final = 4

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class StudyPair:
    """A study as the archive and as the backup have it: `etag` None: not in the archive; `snapshots`: oldest first."""

    study: StudyKey
    etag: str | None
    snapshots: Sequence[Snapshot]


async def study_pairs(archive: Archive, backup: BackupContainer) -> AsyncGenerator[StudyPair, None]:
    """Every study that either has, in the order of their keys; holds a page of each listing at a time."""
    in_archive, in_backup = archive.catalog.read_revisions(), backup.snapshots()
    revision, snapshots = await anext(in_archive, None), await anext(in_backup, None)
    last = ""
    while revision is not None or snapshots is not None:
        candidates = [*([revision[0]] if revision else []), *([snapshots[0].study] if snapshots else [])]
        study = min(candidates, key=keys.study_partition)
        if keys.study_partition(study) <= last:  # a study would be taken for one that is gone, or new
            raise AssertionError("storage lists in the order of keys")
        last = keys.study_partition(study)
        etag, noted = None, list[Snapshot]()
        if revision is not None and revision[0] == study:
            etag, revision = revision[1], await anext(in_archive, None)
        if snapshots is not None and snapshots[0].study == study:
            noted, snapshots = snapshots, await anext(in_backup, None)
        yield StudyPair(study, etag, noted)


async def settle_each(items: AsyncGenerator[Item, None], settle: Callable[[Item], Awaitable[None]]) -> None:
    """Settle each item, four at once. Raises the first failure."""
    taking_turns = asyncio.Lock()

    async def next_item() -> Item | None:
        async with taking_turns:
            return await anext(items, None)

    async def work() -> None:
        while (item := await next_item()) is not None:
            await settle(item)

    async with aclosing(items):
        await in_parallel((work() for _ in range(_STUDIES_AT_ONCE)), at_once=_STUDIES_AT_ONCE)

"""Noting which instances a tag could not index."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from shared.archive.extended_tags import QueryStatus
from shared.storage.archive import Archive
from shared.storage.tag_table import TagError, TagsChanged

MAX_ERRORS: Final = 1000
"""Of how many instances of a tag it is noted; of others only that there are so many."""


class TagErrors:
    """What a run has noted, by the tags' numbers.

    Storage operations: for each tag that has errors 1 to begin with, and 2 or 3 at the end; 1 for each 100 errors.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._room: dict[int, int] = {}

    async def add(self, found: Mapping[int, Sequence[TagError]]) -> None:
        """Note errors, for as many instances of each tag as are kept."""
        for number, errors in found.items():
            if number not in self._room:
                self._room[number] = MAX_ERRORS - await self._count(number)
            kept = errors[: max(self._room[number], 0)]
            await self._archive.tags.add_errors(number, kept)
            self._room[number] -= len(kept)

    async def tell(self) -> None:
        """Let the set say how many there are; no search uses a tag with the first ones until somebody enables it."""
        for number in self._room:
            while not await self._is_told(number):
                continue

    async def _is_told(self, number: int) -> bool:
        before = await self._archive.tags.read()
        tag = next((tag for tag in before.tags.tags if tag.number == number), None)
        count = await self._count(number)
        if tag is None or tag.error_count == count:
            return True
        status = tag.query_status if tag.error_count else QueryStatus.DISABLED
        after = before.tags.with_changed(replace(tag, error_count=count, query_status=status))
        try:
            await self._archive.tags.replace(before, after)
        except TagsChanged:
            return False
        return True

    async def _count(self, number: int) -> int:
        return min(len([None async for _ in self._archive.tags.read_errors(number)]), MAX_ERRORS)

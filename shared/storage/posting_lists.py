"""Lists of the index, merged, whose reader may move on to older studies: what lies between is not read.

All lists are sorted alike, so lists of several attributes can be read in step.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from azure.core.async_paging import AsyncItemPaged
from azure.data.tables import TableEntity
from azure.data.tables.aio import TableClient

from shared.storage.parallel import in_parallel
from shared.storage.posting_keys import AGE_LENGTH, Posting, posting_of
from shared.storage.properties import PAGE_ROWS

_WORTH_READING: Final = PAGE_ROWS // 2  # of rows between two that are wanted: then a page has both


class PostingList:
    """A list, or what is left of it: `postings` are those that are read and not yet taken."""

    def __init__(self, table: TableClient, partition_key: str, first: str, end: str, page_rows: int) -> None:
        self.postings: deque[Posting] = deque()
        self.has_ended = False
        self.pages = 0
        self._table = table
        self._partition_key = partition_key
        self._first = first
        self._next = first
        self._end = end
        self._page_rows = page_rows
        self._ages = (0, 0)  # of the last page's first and last row
        self._row_count = 0  # of that page

    async def read(self, place: str) -> None:
        """Read the next page, from a place on, where no posting is left of the one before; one operation."""
        pages: Any = query_postings(
            self._table,
            self._partition_key,
            max(self._next, f"{self._first}{place}"),
            self._end,
            self._rows_to_read(place),
        ).by_page()
        self.has_ended = True
        self.pages += 1
        async for page in pages:
            self.postings.extend([posting_of(row["PartitionKey"], row["RowKey"]) async for row in page])
            if self.postings:  # storage may send a page without rows, where it has looked for long
                self.has_ended = pages.continuation_token is None
                self._next = f"{self.postings[-1].row_key}!"
                self._ages = int(self.postings[0].age), int(self.postings[-1].age)
                self._row_count = len(self.postings)
                return

    def _rows_to_read(self, place: str) -> int:
        """How many rows to read from a place on: the more, the closer it is to the page before.

        A reader that skips few rows comes back for those that follow; one that skips many would pass them, too.
        """
        if not self._row_count:
            return self._page_rows
        newest, oldest = self._ages
        gap = max(int(place[:AGE_LENGTH] or 0) - oldest, 0)
        skipped = gap * self._row_count // max(oldest - newest, 1)
        return self._page_rows if skipped > _WORTH_READING else min(2 * max(self._row_count, skipped), PAGE_ROWS)


class PostingLists:
    """The postings of some lists, newest first; one that is in two comes twice. `passed` of them are taken or passed.

    A page of each list is read at first, and the next one only when its turn comes.
    """

    def __init__(self, lists: Sequence[PostingList], found: Iterable[Posting] = ()) -> None:
        """`found` are further postings, in any order."""
        self.passed = 0
        self._lists = lists
        self._sources = [deque(sorted(found, key=lambda posting: posting.place)), *(one.postings for one in lists)]
        self._heads: list[tuple[str, int]] = []  # a heap: the place of each source's first posting, and its number
        self._are_heads_known = False

    @property
    def pages(self) -> int:
        """How many pages have been read; before the first, how many there will be at least."""
        return sum(max(one.pages, 1) for one in self._lists)

    async def first(self, place: str = "") -> Posting | None:
        """The first posting from a place on, which stays; those before it are passed. None where there is none.

        A place is an age, or `place_after` a posting.
        """
        for postings in self._sources if place else ():
            while postings and postings[0].place < place:
                postings.popleft()
                self.passed += 1
                self._are_heads_known = False
        if not self._are_heads_known:
            await in_parallel(one.read(place) for one in self._lists if not one.postings and not one.has_ended)
            self._heads = [(postings[0].place, number) for number, postings in enumerate(self._sources) if postings]
            heapq.heapify(self._heads)
            self._are_heads_known = True
        return self._sources[self._heads[0][1]][0] if self._heads else None

    def take(self) -> None:
        """Take the posting that `first` returned."""
        number = self._heads[0][1]
        postings = self._sources[number]
        postings.popleft()
        self.passed += 1
        if postings:
            heapq.heapreplace(self._heads, (postings[0].place, number))
        else:
            heapq.heappop(self._heads)
            self._are_heads_known = number == 0 or self._lists[number - 1].has_ended

    @property
    def left(self) -> int:
        """How many of the postings that have been read are neither taken nor passed."""
        return sum(map(len, self._sources))

    @property
    def has_all(self) -> bool:
        """Whether all postings have been read."""
        return all(one.has_ended for one in self._lists)


def query_postings(
    table: TableClient, partition_key: str, first: str, end: str, page_rows: int
) -> AsyncItemPaged[TableEntity]:
    """The keys of a table partition's rows from one row key up to another, `page_rows` an operation."""
    return table.query_entities(
        "PartitionKey eq @partition and RowKey ge @first and RowKey lt @end",
        parameters={"partition": partition_key, "first": first, "end": end},
        select=["PartitionKey", "RowKey"],
        results_per_page=page_rows,
    )

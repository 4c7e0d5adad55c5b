"""Counts what searches read, beneath the SDK: how many requests, and how many entities storage sent."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from azure.data.tables.aio import TableServiceClient

from benchmarks.searches import Search
from benchmarks.tags_of_studies import TAGS
from shared.dicom.identifiers import DEFAULT_PARTITION
from shared.search.query import parse_search
from shared.services.search.page_ends import PageEnds
from shared.services.search.results import SearchResults
from shared.services.search.search import search
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.catalog import Catalog
from shared.storage.postings import Postings
from tests.support.answers import answer_work
from tests.support.storage_operations import Counting, operation_of


@dataclass(frozen=True, slots=True)
class Cost:
    """The results of a search, and what it read for them from the catalog and from the table of terms."""

    results: int
    is_cut: bool
    requests: int
    studies: int
    postings: int

    @property
    def entities(self) -> int:
        """Rows that storage sent."""
        return self.studies + self.postings

    @property
    def entities_of_a_result(self) -> float:
        """Rows that storage sent for each result; no result counts as one."""
        return self.entities / max(self.results, 1)

    @property
    def requests_of_a_result(self) -> float:
        """Storage requests for each result; no result counts as one."""
        return self.requests / max(self.results, 1)


class MeasuredStorage(Counting):
    """Sends one request after another, and each to its end, so that the same search always counts the same.

    A search reads ahead, and drops what it has started when it has enough: how far that has got is chance. Here
    everything started is counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.entities: Counter[str] = Counter()
        self._turn = asyncio.Lock()
        self._begun: set[asyncio.Task[Any]] = set()

    async def send(self, request: Any, **options: Any) -> Any:
        """Send in turn, and count the entities in the answer."""
        exchange = asyncio.create_task(self._exchange(request, options))
        self._begun.add(exchange)
        return await asyncio.shield(exchange)

    async def _exchange(self, request: Any, options: dict[str, Any]) -> Any:
        async with self._turn:
            response = await super().send(request, **options)
        if response.status_code == 200:
            answer = json.loads(response.body())
            self.entities[operation_of(request)] += len(answer["value"]) if "value" in answer else 1
        return response

    async def cost(self, archive: Archive, one: Search, settings: Settings) -> Cost:
        """Search, and count."""
        page_ends = PageEnds()
        if one.before:
            await searched(archive, replace(one, query=one.before), settings, page_ends)
            await asyncio.gather(*self._begun)
        self.operations.clear()
        self.entities.clear()
        found = await searched(archive, one, settings, page_ends)
        await asyncio.gather(*self._begun)
        self._begun.clear()
        return Cost(
            len(found.results),
            found.is_cut,
            self.operations.total(),
            self.entities["GET catalog"],
            self.entities["GET terms"],
        )


async def searched(archive: Archive, one: Search, settings: Settings, page_ends: PageEnds) -> SearchResults:
    """The results of a search of the whole archive."""
    query = parse_search(one.query, one.level, settings, tags=TAGS)
    work = answer_work(settings)
    return await search(archive, DEFAULT_PARTITION, query, None, "http://localhost/v2", settings, work, page_ends)


@asynccontextmanager
async def measured_archive(settings: Settings) -> AsyncIterator[tuple[Archive, MeasuredStorage]]:
    """An archive whose tables are read through a `MeasuredStorage`."""
    archive, storage = await Archive.open(settings), MeasuredStorage()
    async with TableServiceClient.from_connection_string(
        settings.storage_connection_string, transport=storage
    ) as service:
        catalog, terms = map(service.get_table_client, ("catalog", "terms"))
        try:
            yield replace(archive, catalog=Catalog(catalog), postings=Postings(terms)), storage
        finally:
            await archive.close()

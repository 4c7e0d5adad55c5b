"""What searches cost in archives of several sizes: ``python -m benchmarks.search [--azurite] [SIZE …]``.

Prints a Markdown table: for each search the results, the storage requests, the entities that storage sent, how many
times more it sent for each result in the last archive than in the one before, and the time.

Sizes are numbers of studies, 1000, 10000 and 100000 by default, of about 215 rows each. They are in sorted tables of
this process: 100,000 studies take minutes and some 4 GiB. With --azurite they are in an Azurite, which takes two
minutes to write 1,000, and reads a whole table for each query: up to 10,000 in half an hour.
"""

import argparse
import asyncio
import platform
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from benchmarks.archive_of_studies import rows_of_studies, write_studies
from benchmarks.measured_storage import Cost, measured_archive, searched
from benchmarks.searches import Search, searches
from benchmarks.sorted_tables import SortedTable, serving
from local import azurite
from local.ports import free_ports
from shared.services.search.page_ends import PageEnds
from shared.settings import Settings
from shared.storage.archive import Archive

_SIZES: Final = (1_000, 10_000, 100_000)

Measured = list[tuple[Cost, float]]
"""The cost and seconds of each search."""


async def measure(settings: Settings) -> Measured:
    """Each search in an archive: counted once, and timed once."""
    found = []
    archive = await Archive.open(settings)
    try:
        async with measured_archive(settings) as (measured, storage):
            for one in searches():
                cost = await storage.cost(measured, one, settings)
                page_ends = PageEnds()
                if one.before:
                    await searched(archive, replace(one, query=one.before), settings, page_ends)
                began = time.perf_counter()
                await searched(archive, one, settings, page_ends)
                found.append((cost, time.perf_counter() - began))
    finally:
        await archive.close()
    return found


@asynccontextmanager
async def sorted_archives(sizes: list[int]) -> AsyncIterator[AsyncIterator[Settings]]:
    """The settings of an archive that grows from size to size, in this process' tables."""
    tables = {"catalog": SortedTable(), "terms": SortedTable()}

    async def grow(connection_string: str) -> AsyncIterator[Settings]:
        size = 0
        for following in sizes:
            async for rows in rows_of_studies(range(size, following)):
                for table, entities in zip(tables.values(), rows, strict=True):
                    for entity in entities:
                        table.add(entity)
            for table in tables.values():
                table.sort()
            size = following
            yield Settings(storage_connection_string=connection_string)

    async with serving(tables) as connection_string:
        yield grow(connection_string)


@asynccontextmanager
async def azurite_archives(sizes: list[int]) -> AsyncIterator[AsyncIterator[Settings]]:
    """The settings of an archive that grows from size to size, on an Azurite."""

    async def grow(settings: Settings) -> AsyncIterator[Settings]:
        await (await Archive.open(settings)).close()
        size = 0
        for following in sizes:
            await write_studies(range(size, following), settings.storage_connection_string)
            size = following
            yield settings

    with azurite.running(free_ports(3), None) as storage:
        yield grow(Settings(storage_connection_string=storage.connection_string, create_storage=True))


async def main(sizes: list[int], *, is_azurite: bool) -> None:
    """Measure archives of these sizes, and print."""
    print(f"{platform.platform()}, {platform.python_implementation()} {platform.python_version()}", flush=True)
    measured = []
    began = time.perf_counter()
    async with azurite_archives(sizes) if is_azurite else sorted_archives(sizes) as archives:
        async for settings in archives:
            written = time.perf_counter()
            measured.append(await measure(settings))
            seconds = time.perf_counter()
            print(
                f"{sizes[len(measured) - 1]} studies: written in {written - began:.0f} s, "
                f"measured in {seconds - written:.0f} s",
                flush=True,
            )
            began = seconds
    print("\n| search | results | requests | entities read | growth | ms |\n| --- | --- | --- | --- | --- | --- |")
    for one, *costs in zip(searches(), *measured, strict=True):
        print(_line(one, costs))


def _line(one: Search, costs: Measured) -> str:
    before, last = costs[-2:][0][0], costs[-1][0]
    cells = (
        one.name,
        _each(f"{cost.results}{'…' if cost.is_cut else ''}" for cost, _ in costs),
        _each(str(cost.requests) for cost, _ in costs),
        _each(str(cost.entities) for cost, _ in costs),
        f"{last.entities_of_a_result / max(before.entities_of_a_result, 1):.1f}",
        _each(f"{seconds * 1000:.0f}" for _, seconds in costs),
    )
    return f"| {' | '.join(cells)} |"


def _each(figures: Iterable[str]) -> str:
    return " / ".join(figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description="Measure what searches cost.")
    parser.add_argument("sizes", nargs="*", type=int, default=_SIZES, help="numbers of studies")
    parser.add_argument("--azurite", action="store_true", help="measure on Azurite")
    chosen = parser.parse_args()
    asyncio.run(main(sorted(chosen.sizes), is_azurite=chosen.azurite))

"""What extended query tags cost: ``python -m benchmarks.tags [STUDIES]`` prints Markdown tables, measured on Azurite.

One is of stores of an instance into a study of its own, with 0, 10 and 128 tags, a value of each of which the instance
has: storage operations, and the time that they take. The other is of a reindex of so many studies of two instances,
1,000 by default, by a tag of each level.
"""

import argparse
import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from unittest.mock import patch

from local import azurite
from local.ports import free_ports
from shared.archive.extended_tags import MAX_TAGS, ExtendedTag, TagStatus
from shared.dicom.attributes import Level
from shared.services.operations import reindex
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage import account
from shared.storage.archive import Archive
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.storage_operations import Counting
from tests.support.stores import store
from tests.support.tags import OF_EACH_LEVEL, put_tags

_STORES: Final = 50
_GROUP: Final = 0x0019
_CREATOR: Final = "BENCHMARK"


def some_tags(count: int) -> list[ExtendedTag]:
    """So many tags of private attributes, of each level in turn."""
    return [
        ExtendedTag(0, (f"{_GROUP:04X}10{number:02X}",), "LO", _CREATOR, list(Level)[number % 3], TagStatus.READY)
        for number in range(count)
    ]


def instance(number: int) -> bytes:
    """An instance of a study of its own, with a value of each of MAX_TAGS such tags."""
    image = dataset(StudyInstanceUID=new_uid(), PatientID=f"P{number}")
    block = image.private_block(_GROUP, _CREATOR, create=True)
    for one in range(MAX_TAGS):
        block.add_new(one, "LO", f"value {number % 5} of {one}")
    return part10(image)


@asynccontextmanager
async def counted(settings: Settings) -> AsyncIterator[tuple[Archive, Counting]]:
    """The archive, whose storage operations are counted."""
    counting = Counting()
    with patch.object(account, "WatchedTransport", lambda **_: counting):
        archive = await Archive.open(settings)
    yield archive, counting
    await archive.close()


async def measure_stores(settings: Settings) -> None:
    """Print what a store costs with so many tags."""
    print("| tags | storage operations of a store | processor time | time |\n| --- | --- | --- | --- |")
    async with counted(settings) as (archive, counting):
        stores = StoreService(archive, settings)
        files = [instance(number) for number in range(_STORES)]
        for count in (0, 10, MAX_TAGS):
            await put_tags(archive, *some_tags(count))
            counting.operations.clear()
            began, worked = time.perf_counter(), time.process_time()
            for number in range(_STORES):
                await store(stores, instance(number))
            seconds, work = time.perf_counter() - began, time.process_time() - worked
            each = counting.operations.total() / len(files)
            print(f"| {count} | {each:.1f} | {1000 * work / _STORES:.0f} ms | {1000 * seconds / _STORES:.0f} ms |")
        await put_tags(archive)


async def measure_reindex(settings: Settings, studies: int) -> None:
    """Print what a reindex of so many studies costs."""
    async with counted(settings) as (archive, counting):
        stores, uids = StoreService(archive, settings), [new_uid() for _ in range(studies)]
        for number, study in enumerate(uids):
            values = {"InstitutionName": f"Hospital {number % 7}", "BodyPartExamined": "HEAD"}
            files = [
                part10(dataset(StudyInstanceUID=study, AcquisitionNumber=one, **values)) for one in (number, number + 1)
            ]
            await store(stores, *files)
        tags = await put_tags(archive, *OF_EACH_LEVEL)
        units = [uids[start : start + 25] for start in range(0, studies, 25)]
        numbers = [tag.number for tag in tags.tags]
        print("\n| studies | storage operations | processor time | time |\n| --- | --- | --- | --- |")
        for name in ("", ", once more"):
            counting.operations.clear()
            began, worked = time.perf_counter(), time.process_time()
            for unit in units:
                work = {"numbers": numbers, "studies": [["Microsoft.Default", study] for study in unit], "percent": 0}
                await reindex.run(archive, settings, work, None, math.inf)
            seconds, work_seconds = time.perf_counter() - began, time.process_time() - worked
            operations = counting.operations.total()
            print(f"| {studies:,}{name} | {operations:,} | {work_seconds:.0f} s | {seconds:.0f} s |")


async def main() -> None:
    """Measure on an Azurite of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tags")
    parser.add_argument("studies", nargs="?", type=int, default=1000)
    studies = parser.parse_args().studies
    with azurite.running(free_ports(3), None) as running:
        settings = Settings(storage_connection_string=running.connection_string, create_storage=True)
        await measure_stores(settings)
        await measure_reindex(settings, studies)


if __name__ == "__main__":
    asyncio.run(main())

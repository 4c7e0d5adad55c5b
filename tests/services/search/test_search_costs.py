"""What searches read does not grow with the archive; counted on synthetic archives, which are like stored ones."""

import json
import re
import zlib
from collections.abc import Collection, Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
import pytest_asyncio
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

from benchmarks.archive_of_studies import MadeStudy, made_study, write_studies
from benchmarks.measured_storage import Cost, measured_archive
from benchmarks.search import sorted_archives
from benchmarks.searches import searches
from benchmarks.tags_of_studies import TAGS
from shared.services.repair.differences import Kind
from shared.services.search import candidates
from shared.settings import Settings
from shared.storage import keys
from tests.support.raw_archive import Entity, RawArchive
from tests.support.stores import store

NUMBERS = range(40)
OF_A_STORE = {"version", "stored", "sha256", "size", "header", "created"}


def part10_files(made: MadeStudy) -> Iterator[bytes]:
    for instance, metadata in zip(made.instances, made.metadata, strict=True):
        image = Dataset.from_json(metadata)
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = UID(instance.facts.transfer_syntax_uid)
        buffer = BytesIO()
        dcmwrite(buffer, image, enforce_file_format=True)
        yield buffer.getvalue()


async def everything(raw: RawArchive) -> list[Entity]:
    """All rows but those of changes, without what differs with each store."""

    def comparable(value: Any) -> Any:
        return json.loads(zlib.decompress(value)) if isinstance(value, bytes) else value

    entities = [
        entity
        for name in ("catalog", "terms")
        async for entity in raw.tables[name].list_entities()
        if not keys.is_change_row(entity["RowKey"])
    ]
    rows = [{name: comparable(entity[name]) for name in entity if name not in OF_A_STORE} for entity in entities]
    for row in rows:
        row["RowKey"] = re.sub(r"\d{17}:", "(newest first):", row["RowKey"])
    return sorted(rows, key=lambda row: (row["PartitionKey"], row["RowKey"]))


async def test_synthetic_rows_are_like_those_of_a_store(raw: RawArchive) -> None:
    numbers = range(4)
    await raw.archive.tags.replace(await raw.archive.tags.read(), TAGS)
    for made in map(made_study, numbers):
        await store(raw.stores, *part10_files(made))
    stored = await everything(raw)
    await raw.empty()
    await write_studies(numbers, raw.settings.storage_connection_string)
    made_rows = await everything(raw)
    assert len(stored) > 100 * len(numbers)
    assert made_rows == stored


async def test_a_synthetic_archive_lacks_nothing_but_its_files(raw: RawArchive) -> None:
    await write_studies(range(10), raw.settings.storage_connection_string)
    instances = sum(len(made_study(number).instances) for number in range(10))
    assert [kind for kind, _ in await raw.kinds()] == [Kind.MISSING_BLOB] * instances


async def costs(settings: Settings, names: Collection[str] | None = None) -> dict[str, Cost]:
    """What each search costs, or those of some names."""
    async with measured_archive(settings) as (archive, storage):
        return {
            one.name: await storage.cost(archive, one, settings)
            for one in searches()
            if names is None or one.name in names
        }


async def test_sorted_tables_cost_and_answer_the_same_as_azurite(
    raw: RawArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "_FEW", 10)  # so that some keys have more
    await write_studies(NUMBERS, raw.settings.storage_connection_string)
    async with sorted_archives([len(NUMBERS)]) as archives:
        async for settings in archives:
            assert await costs(settings) == await costs(raw.settings)


@pytest_asyncio.fixture(scope="module")
async def growing() -> list[dict[str, Cost]]:
    """What searches cost in an archive and in one four times as large, both large compared to pages this short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "_FEW", 10)
        async with sorted_archives([500, 2000]) as archives:
            return [await costs(replace(settings, default_search_limit=5)) async for settings in archives]


def grows(archives: list[dict[str, Cost]], name: str) -> bool:
    """Whether a result costs more in the larger archive than in the smaller, and more than a look at some values."""
    small, large = (costs[name] for costs in archives)
    return large.entities_of_a_result > 1.5 * max(
        small.entities_of_a_result, 8
    ) or large.requests_of_a_result > 1.5 * max(small.requests_of_a_result, 8)


@pytest.mark.parametrize("name", [one.name for one in searches() if one.is_bounded])
def test_a_larger_archive_does_not_make_a_search_read_more(growing: list[dict[str, Cost]], name: str) -> None:
    assert not grows(growing, name)


# Storage operations, where keys of more than so many postings are walked, by the number of studies.
WALKED = [
    (1_000, 100, {"28 days and `S*`": 9, "3 years and `XA`": 14, "28 days and `CT`": 9}),
    (1_000, 3, {"28 days and `S*`": 23, "3 years and `XA`": 24, "28 days and `CT`": 6}),
    pytest.param(
        10_000, 10, {"28 days and `S*`": 43, "3 years and `XA`": 69, "28 days and `CT`": 45}, marks=pytest.mark.long
    ),
    pytest.param(
        10_000, 100, {"28 days and `S*`": 96, "3 years and `XA`": 87, "28 days and `CT`": 96}, marks=pytest.mark.long
    ),
]


@pytest.mark.parametrize(("size", "few", "most"), WALKED)
async def test_keys_that_are_not_selective_cost_what_their_answer_is_worth(
    monkeypatch: pytest.MonkeyPatch, size: int, few: int, most: dict[str, int]
) -> None:
    monkeypatch.setattr(candidates, "_FEW", few)
    async with sorted_archives([size]) as archives:
        async for settings in archives:
            found = await costs(settings, most)
            assert {name: cost.requests for name, cost in found.items()} == most
            assert not any(cost.is_cut for cost in found.values())


def test_a_search_that_reads_through_the_archive_is_noticed(growing: list[dict[str, Cost]]) -> None:
    assert grows(growing, "AccessionNumber, `*` and 7 digits")

"""The instances of a series that a path names: their rows are read side by side with their study's."""

import asyncio
from typing import Any

import pytest

from shared.archive.study import StudyRecord
from shared.dicom.attributes import Level
from shared.dicom.identifiers import DEFAULT_PARTITION, ResourceIdentifiers, StudyKey
from shared.search.query import parse_search
from shared.services.search.search import search
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.catalog import Catalog
from tests.support.answers import answer_work
from tests.support.default_partition import study_key
from tests.support.served_instances import new_uid
from tests.support.storage_operations import Counting
from tests.support.storage_policies import archive_through
from tests.support.stores import files_of, store

COUNT = 5


@pytest.fixture
async def series(stores: StoreService) -> ResourceIdentifiers:
    study, series = new_uid(), new_uid()
    await store(stores, *files_of(study, COUNT, series=series))
    return ResourceIdentifiers(study_key(study), series)


async def found(archive: Archive, settings: Settings, scope: ResourceIdentifiers, text: str = "") -> int:
    query = parse_search(text, Level.INSTANCE, settings)
    work = answer_work()
    results = await search(archive, DEFAULT_PARTITION, query, scope, "http://host/v2", settings, work)
    return len(results.results)


async def test_both_are_asked_for_at_once(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch, series: ResourceIdentifiers
) -> None:
    read_outline, read_metadata = Catalog.read_outline, Catalog.read_metadata
    has_asked = asyncio.Event()

    async def outline(catalog: Catalog, study: StudyKey) -> StudyRecord | None:
        await asyncio.wait_for(has_asked.wait(), 10)
        return await read_outline(catalog, study)

    def metadata(catalog: Catalog, *arguments: Any, **options: Any) -> Any:
        has_asked.set()
        return read_metadata(catalog, *arguments, **options)

    monkeypatch.setattr(Catalog, "read_outline", outline)
    monkeypatch.setattr(Catalog, "read_metadata", metadata)
    assert await found(archive, settings, series) == COUNT


@pytest.mark.parametrize(
    ("text", "count", "operations"),
    [
        ("", COUNT, 2),
        ("limit=2", 2, 2),
        ("limit=2&offset=2", 2, 2),
        ("Modality=XX&limit=1", 0, 2),  # it has three pages of two
        ("PatientID=XX&limit=1", 0, 2),
        ("InstanceNumber=77&limit=1", 0, 4),
    ],
)
async def test_operations(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    series: ResourceIdentifiers,
    text: str,
    count: int,
    operations: int,
) -> None:
    counting = Counting()
    async with archive_through(counting, monkeypatch, settings) as counted:
        assert await found(counted, settings, series, text) == count
    assert counting.operations.total() == operations, counting.operations


@pytest.mark.parametrize("is_study_there", [False, True])
async def test_a_series_that_is_not_there_leaves_nothing_under_way(
    archive: Archive, settings: Settings, series: ResourceIdentifiers, is_study_there: bool
) -> None:
    tasks = asyncio.all_tasks()
    study = series.study if is_study_there else study_key(new_uid())
    assert await found(archive, settings, ResourceIdentifiers(study, new_uid())) == 0
    assert asyncio.all_tasks() == tasks


async def test_rows_that_cannot_be_read_end_the_search(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch, series: ResourceIdentifiers
) -> None:
    async def read() -> Any:
        raise ValueError("no row")

    async def rows(*_: Any, **__: Any) -> Any:
        yield await read()

    monkeypatch.setattr(Catalog, "read_metadata", rows)
    with pytest.raises(ValueError, match="no row"):
        await found(archive, settings, series)

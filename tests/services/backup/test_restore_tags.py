"""A restore into an archive that has extended query tags."""

import math
from dataclasses import asdict
from typing import Any

import pytest

from shared.services.backup import restore as service
from shared.services.operations.cleanup import list_units, run
from shared.services.write.delete import delete
from shared.services.write.intent import Intent
from shared.storage.catalog_batches import fills_batch
from tests.support.backups import Backup
from tests.support.default_partition import resource_of
from tests.support.invariants import check_archive
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.stores import store
from tests.support.tags import OF_EACH_LEVEL, check_tags, put_tags, with_values


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore enters two instances at a time."""
    monkeypatch.setattr(
        "shared.services.backup.restore.fills_batch", lambda batch: len(batch) == 2 or fills_batch(batch)
    )


@pytest.mark.usefixtures("small_batches")
async def test_study_and_series_get_the_values_that_were_stored_last(raw: RawArchive, backup: Backup) -> None:
    study, series = new_uid(), new_uid()
    files = with_values(study, series, list("ABCDE"))
    for number in (0, 3, 1, 4, 2):
        await store(raw.stores, files[number])
    await store(raw.stores, part10(dataset(StudyInstanceUID=study, SeriesInstanceUID=series)))
    await backup.run()
    await raw.empty()
    await put_tags(raw.archive, *OF_EACH_LEVEL)
    await backup.restore()
    await check_tags(raw.archive, is_latest=True)
    await check_archive(raw.archive, raw.settings)


async def test_what_is_there_keeps_its_values(raw: RawArchive, backup: Backup) -> None:
    await put_tags(raw.archive, *OF_EACH_LEVEL)
    study, series = new_uid(), new_uid()
    await store(raw.stores, *with_values(study, series, ["A", "B"]))
    await backup.run()
    await delete(raw.archive, resource_of(study))
    (later,) = with_values(study, series, ["LATER"])
    await store(raw.stores, later)
    await backup.restore()
    await check_tags(raw.archive, is_latest=True)
    await check_archive(raw.archive, raw.settings)


@pytest.mark.usefixtures("small_batches")
async def test_a_tag_that_is_removed_meanwhile_does_not_come_back(
    raw: RawArchive, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_tags(raw.archive, *OF_EACH_LEVEL)
    study, series = new_uid(), new_uid()
    files = with_values(study, series, list("ABCDE"))
    await store(raw.stores, *files)
    await backup.run()
    await delete(raw.archive, resource_of(study))
    await store(raw.stores, files[0])
    begin = service._Study.begin
    begun: list[Intent] = []

    async def cleaned_up_meanwhile(*arguments: Any) -> Intent:
        if begun:
            await raw.archive.tags.change(lambda tags: tags.without(1, "").without(2, "").without(3, ""))
        begun.append(await begin(*arguments))
        for tag in (await raw.archive.tags.read()).tags.removed:
            units, _ = await list_units(raw.archive, raw.settings, asdict(tag), None)
            for unit in units:
                await run(raw.archive, raw.settings, unit, None, math.inf)
        return begun[-1]

    monkeypatch.setattr(service._Study, "begin", cleaned_up_meanwhile)
    await backup.restore()
    assert len(begun) == 2
    assert len(await raw.instances(study)) == 5
    await raw.archive.tags.change(lambda tags: tags.cleaned_up(1).cleaned_up(2).cleaned_up(3))
    await check_tags(raw.archive)
    assert await raw.kinds() == []

"""Values of extended query tags that rows lack, or should no longer have, are reported and mended."""

import pytest

from shared.archive.extended_tags import ExtendedTag
from shared.dicom.attributes import Level
from shared.services.repair.consistency import repair
from shared.services.repair.differences import Kind
from tests.support.invariants import check_study
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.stores import files_of, store
from tests.support.tags import check_tags, put_tags, tag

OF_LEVEL = {
    level: tag(keyword, vr, level)
    for level, keyword, vr in (
        (Level.STUDY, "InstitutionName", "LO"),
        (Level.SERIES, "BodyPartExamined", "CS"),
        (Level.INSTANCE, "AcquisitionNumber", "IS"),
    )
}
VALUES = {"InstitutionName": "Hôpital", "BodyPartExamined": "HEAD", "AcquisitionNumber": 7}


async def stored_study(raw: RawArchive) -> str:
    study = new_uid()
    await store(raw.stores, part10(dataset(StudyInstanceUID=study, **VALUES)), *files_of(study, 1))
    return study


@pytest.mark.parametrize("one", OF_LEVEL.values(), ids=lambda one: one.level.word)
async def test_values_that_a_row_lacks_are_found_and_brought_in(raw: RawArchive, one: ExtendedTag) -> None:
    healthy = new_uid()
    await store(raw.stores, *files_of(healthy, 2))
    study = await stored_study(raw)
    await put_tags(raw.archive, one)
    before = await raw.everything_of(healthy)
    found = await raw.differences()
    assert [(one.kind, one.study and one.study.study_instance_uid) for one in found] == [
        (Kind.MISSING_TAG_VALUE, study)
    ]
    assert "Hôpital" not in f"{found}{found[0].sentence}"
    for archive in (raw.archive, raw.other):
        await archive.tags.read()
        await repair(archive, raw.settings, found[0])
    assert await raw.differences() == []
    await check_tags(raw.archive)
    assert await check_study(raw.archive, raw.container, study) == 2
    assert await raw.everything_of(healthy) == before


@pytest.mark.parametrize("one", OF_LEVEL.values(), ids=lambda one: one.level.word)
async def test_values_of_a_tag_that_has_gone_are_found_and_taken_away(raw: RawArchive, one: ExtendedTag) -> None:
    (added,) = (await put_tags(raw.archive, one)).tags
    study = await stored_study(raw)
    before = await raw.archive.tags.read()
    await raw.archive.tags.replace(before, before.tags.without(added.number, "").cleaned_up(added.number))
    found = await raw.differences()
    assert {one.kind for one in found} <= {Kind.SURPLUS_TAG_VALUE, Kind.SURPLUS_POSTING}
    assert Kind.SURPLUS_TAG_VALUE in {one.kind for one in found}
    for difference in found:
        await repair(raw.archive, raw.settings, difference)
    assert await raw.differences() == []
    await check_tags(raw.archive)
    assert await check_study(raw.archive, raw.container, study) == 2

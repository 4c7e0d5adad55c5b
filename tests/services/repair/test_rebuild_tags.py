"""Repairs beside the removal of an extended query tag: what the clean-up takes away does not come back."""

import math
from dataclasses import asdict
from typing import Any

import pytest

from shared.archive.study_terms import terms_of_instance
from shared.archive.terms import is_of_tag
from shared.services.operations.cleanup import list_units, run
from shared.services.repair.rebuild import rebuild_study
from shared.storage.postings import Postings
from tests.support.default_partition import study_key
from tests.support.invariants import requests_in_journal
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.stores import store
from tests.support.tags import ACQUISITION, INSTITUTION, check_tags, put_tags


async def damaged_study(raw: RawArchive) -> str:
    """A study that lacks the posting of a value of one of its two instances."""
    await put_tags(raw.archive, INSTITUTION, ACQUISITION)
    study = new_uid()
    for number in range(2):
        values = {"StudyInstanceUID": study, "InstitutionName": "A", "AcquisitionNumber": number}
        await store(raw.stores, part10(dataset(**values)))
    row, _ = await raw.instances(study)
    for term in terms_of_instance(row.identifiers, row.tags):
        if is_of_tag(term.keyword):
            await raw.remove_posting(term, study)
    return study


async def cleaned_up(raw: RawArchive) -> bool:
    """Clean up after the tags that were removed, unless that has to wait; whether it was done."""
    for tag in (await raw.other.tags.read()).tags.removed:
        units, cursor = await list_units(raw.other, raw.settings, asdict(tag), None)
        if cursor is not None:
            return False
        for unit in units:
            await run(raw.other, raw.settings, unit, None, math.inf)
        await raw.other.tags.change(lambda tags, number=tag.number: tags.cleaned_up(number))  # type: ignore[misc]
    return True


async def test_a_clean_up_before_the_postings_are_written(raw: RawArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    study = await damaged_study(raw)
    existing = Postings.existing
    has_met: list[bool] = []

    async def cleaned_up_before(*arguments: Any) -> Any:
        found = await existing(*arguments)
        if not has_met:
            has_met.append(True)
            await raw.other.tags.change(lambda tags: tags.without(1, "").without(2, ""))
            # It waits for TAG_CACHE_SECONDS, and the time passes here, too.
            assert await cleaned_up(raw)
            raw.archive.tags._known_since = float("-inf")
        return found

    monkeypatch.setattr(Postings, "existing", cleaned_up_before)
    await rebuild_study(raw.archive, study_key(study))
    assert has_met
    await check_tags(raw.archive)
    assert await requests_in_journal(raw.archive) == 0
    assert await raw.kinds() == []


async def test_a_clean_up_waits_for_postings_that_are_being_written(
    raw: RawArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = await damaged_study(raw)
    add = Postings.add
    has_waited: list[bool] = []

    async def removed_before(*arguments: Any) -> None:
        if not has_waited:
            await raw.other.tags.change(lambda tags: tags.without(1, "").without(2, ""))
            has_waited.append(not await cleaned_up(raw))
        await add(*arguments)

    monkeypatch.setattr(Postings, "add", removed_before)
    await rebuild_study(raw.archive, study_key(study))
    assert has_waited == [True]
    assert await cleaned_up(raw)
    await check_tags(raw.archive)
    assert await raw.kinds() == []


async def test_what_a_clean_up_has_not_removed_yet_is_not_surplus(
    raw: RawArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_tags(raw.archive, INSTITUTION, ACQUISITION)
    for _ in range(2):
        await store(raw.stores, part10(dataset(InstitutionName="A", AcquisitionNumber=1)))
    await raw.archive.tags.change(lambda tags: tags.without(1, "").without(2, ""))
    remove = Postings.remove
    seen: list[Any] = []

    async def looked_at_before(*arguments: Any) -> None:
        seen.append(await raw.kinds())
        await remove(*arguments)

    monkeypatch.setattr(Postings, "remove", looked_at_before)
    assert await cleaned_up(raw)
    assert seen == [[]] * 4
    assert await raw.kinds() == []

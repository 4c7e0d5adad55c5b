"""Reindexing: what was stored before there was a tag is found by it, and what is left of a removed one goes."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from benchmarks import costs
from shared.archive.extended_tags import ExtendedTag, QueryStatus, TagStatus
from shared.archive.operation import Operation, OperationStatus
from shared.dicom.attributes import Level
from shared.services.indexing import index_study as indexing
from shared.services.indexing import tag_errors
from shared.services.operations import cleanup, engine, reindex
from shared.services.operations.operation_states import state_of
from shared.services.operations.upkeep import look_after_operations
from shared.services.write.delete import delete
from shared.services.write.intent import Intent
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.support.default_partition import resource_of, study_key
from tests.support.invariants import check_archive
from tests.support.operation_messages import Messages, deliver, now
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.storage_operations import Counting as StorageCounting
from tests.support.storage_policies import archive_through
from tests.support.stores import store
from tests.support.tags import (
    ACQUISITION,
    BODY_PART,
    INSTITUTION,
    OF_EACH_LEVEL,
    PROTOCOL,
    add_tags,
    check_tags,
    put_tags,
    remove_tag,
    tag,
    with_values,
)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listers that wait come back at once."""
    monkeypatch.setattr(engine, "_WAITING_SECONDS", 0)


@pytest.fixture
def stores(archive: Archive, settings: Settings) -> StoreService:
    return StoreService(archive, settings)


def file_of(study: str, series: str = "", **attributes: object) -> bytes:
    return part10(dataset(StudyInstanceUID=study, SeriesInstanceUID=series or new_uid(), **attributes))


async def tags_of(archive: Archive) -> Sequence[ExtendedTag]:
    return (await archive.tags.read()).tags.tags


async def totals(archive: Archive, operation: Operation) -> tuple[OperationStatus, dict[str, int]]:
    ended = await now(archive, operation)
    return ended.status, dict(ended.totals)


async def test_what_is_there_is_indexed_and_is_cleared_away_with_its_tag(
    archive: Archive, settings: Settings, messages: Messages, stores: StoreService
) -> None:
    study, series = new_uid(), new_uid()
    for file in [*with_values(study, series, range(3)), file_of(study, series), file_of(study), file_of(new_uid())]:
        await store(stores, file)
    operation = await add_tags(archive, *OF_EACH_LEVEL)
    assert await messages.deliver_all(archive, settings) == []
    assert await totals(archive, operation) == (
        OperationStatus.SUCCEEDED, {"studies": 2, "instances": 6, "errors": 0},
    )  # fmt: skip
    assert [(one.status, one.operation_id) for one in await tags_of(archive)] == [(TagStatus.READY, "")] * 3
    found = await archive.catalog.read_study(study_key(study))
    assert found is not None
    assert found.record.attributes["~LO1"] == {"vr": "LO", "Value": ["Hospital 2"]}
    assert found.record.series[series].attributes["~CS2"] == {"vr": "CS", "Value": ["PART 2"]}
    await check_tags(archive, is_latest=True)
    await check_archive(archive, settings)
    for number in (1, 2, 3):
        await remove_tag(archive, number)
        await messages.deliver_all(archive, settings)
        await check_archive(archive, settings)
    assert replace((await archive.tags.read()).tags, generation=0, next_number=0) == replace(
        (await archive.tags.read()).tags, generation=0, next_number=0, tags=(), removed=()
    )


async def test_a_later_store_is_not_overwritten_by_the_values_of_an_earlier_one(
    archive: Archive, settings: Settings, messages: Messages, stores: StoreService
) -> None:
    study, series = new_uid(), new_uid()
    await store(stores, *with_values(study, series, range(2)))
    await add_tags(archive, *OF_EACH_LEVEL)
    later = file_of(study, series, InstitutionName="Later", BodyPartExamined="LATER")
    await store(stores, later)
    await messages.deliver_all(archive, settings)
    found = await archive.catalog.read_study(study_key(study))
    assert found is not None
    assert found.record.attributes["~LO1"]["Value"] == ["Later"]
    assert found.record.series[series].attributes["~CS2"]["Value"] == ["LATER"]
    await check_archive(archive, settings)


async def test_nothing_is_written_that_is_there(
    archive: Archive, settings: Settings, messages: Messages, stores: StoreService
) -> None:
    study = new_uid()
    await store(stores, *with_values(study, new_uid(), range(3)))
    operation = await add_tags(archive, *OF_EACH_LEVEL)
    (first,) = await messages.take()
    await messages.deliver_all(archive, settings)
    messages.pending.append(first)
    await messages.deliver_all(archive, settings)
    before = await archive.catalog.read_etag(resource_of(study))
    changes = await archive.outbox.read_revisions(study_key(study))
    numbers = [one.number for one in await tags_of(archive)]
    specification = await archive.operations.read_specification(operation.id)
    assert specification["numbers"] == numbers
    work = {"numbers": numbers, "studies": [["Microsoft.Default", study]], "percent": 0}
    results, cursor = await reindex.run(archive, settings, work, None, math.inf)
    assert (results.counts, cursor) == ({"studies": 1, "instances": 3, "errors": 0}, None)
    assert await archive.catalog.read_etag(resource_of(study)) == before
    assert changes == [1]  # the feed tells of the store, and of nothing else


@pytest.mark.parametrize("page_rows", [1, 2, 3, 7])
async def test_a_study_goes_on_page_by_page(
    archive: Archive, settings: Settings, messages: Messages, stores: StoreService, monkeypatch: pytest.MonkeyPatch,
    page_rows: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(indexing, "PAGE_ROWS", page_rows)
    monkeypatch.setattr(indexing, "_BATCH_ROWS", 2)
    study, one, other = new_uid(), new_uid(), new_uid()
    files = [
        *with_values(study, one, range(3)),
        *with_values(study, other, range(2)),
        file_of(study, other),
        file_of(study),
    ]
    for file in files:
        await store(stores, file)
    await add_tags(archive, *OF_EACH_LEVEL)
    counts, cursor, runs = {"studies": 0, "instances": 0, "errors": 0}, None, 0
    work = {"numbers": [1, 2, 3], "studies": [["Microsoft.Default", study]], "percent": 0}
    while runs == 0 or cursor is not None:
        results, cursor = await reindex.run(archive, settings, work, cursor, deadline=0)
        counts = {name: counts[name] + count for name, count in results.counts.items()}
        runs += 1
    assert counts == {"studies": 1, "instances": 7, "errors": 0}
    assert runs == 7 // page_rows + 1
    await messages.deliver_all(archive, settings)
    await check_tags(archive, is_latest=True)
    await check_archive(archive, settings)


async def test_rows_with_much_metadata_are_read_a_few_at_a_time(
    archive: Archive, settings: Settings, messages: Messages, stores: StoreService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_HELD_BYTES", 1000)
    study = new_uid()
    for file in with_values(study, new_uid(), range(9)):
        await store(stores, file)
    operation = await add_tags(archive, *OF_EACH_LEVEL)
    pages = []
    read = indexing._Indexing._read

    async def counted(*arguments: Any) -> Any:
        found = await read(*arguments)
        pages.append(len(found[0]))
        return found

    monkeypatch.setattr(indexing._Indexing, "_read", counted)
    await messages.deliver_all(archive, settings)
    assert len(pages) > 2
    assert max(pages) < 5
    assert await totals(archive, operation) == (
        OperationStatus.SUCCEEDED, {"studies": 1, "instances": 9, "errors": 0},
    )  # fmt: skip
    await check_tags(archive, is_latest=True)


async def test_what_gave_a_value_and_is_deleted_between_two_pages_gives_none(
    archive: Archive, settings: Settings, messages: Messages, stores: StoreService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "PAGE_ROWS", 2)
    study, one, other = new_uid(), "1.2.1", "1.2.2"
    await store(stores, *with_values(study, other, range(2)))
    await store(stores, file_of(study, one, InstitutionName="Gone"), file_of(study, one))
    await add_tags(archive, INSTITUTION)
    work = {"numbers": [1], "studies": [["Microsoft.Default", study]], "percent": 0}
    _, cursor = await reindex.run(archive, settings, work, None, deadline=0)
    assert "Gone" in str(cursor)
    await delete(archive, resource_of(study, one))
    while cursor is not None:
        _, cursor = await reindex.run(archive, settings, work, cursor, deadline=0)
    await messages.deliver_all(archive, settings)
    await check_tags(archive, is_latest=True)


async def test_the_lister_waits_for_who_indexes_by_an_earlier_set(
    archive: Archive, settings: Settings, messages: Messages, stores: StoreService
) -> None:
    study = new_uid()
    older = Intent.new(archive, "ab" * 16, "store", resource_of(study), tags=await archive.tags.recent())
    await older.declare()
    operation = await add_tags(archive, INSTITUTION)
    for _ in range(4):
        (message,) = await messages.take()
        await deliver(archive, settings, message)
        state = await state_of(archive, await now(archive, operation), "v2", "https://dicom.example.org/v2")
        assert (state["status"], state["percentComplete"]) == ("running", 0)
    await store(stores, file_of(study, InstitutionName="By the later set"))
    newer = Intent.new(archive, "cd" * 16, "store", resource_of(study), tags=await archive.tags.recent())
    await newer.declare()
    await older.finish()
    await messages.deliver_all(archive, settings)
    assert (await now(archive, operation)).status is OperationStatus.SUCCEEDED
    removal = await remove_tag(archive, 1)
    for _ in range(3):
        (message,) = await messages.take()
        await deliver(archive, settings, message)
    assert (await now(archive, removal)).status is OperationStatus.RUNNING
    await newer.finish()
    await messages.deliver_all(archive, settings)
    assert (await now(archive, removal)).status is OperationStatus.SUCCEEDED
    await check_archive(archive, settings)


async def test_the_lister_goes_by_no_request_that_must_be_dead_or_indexes_nothing(
    archive: Archive, settings: Settings, messages: Messages
) -> None:
    dead = Intent.new(archive, "ab" * 16, "store", resource_of(new_uid()), tags=await archive.tags.recent())
    await dead.declare()
    await Intent.new(archive, "cd" * 16, "delete", resource_of(new_uid())).declare()
    operation = await add_tags(archive, INSTITUTION)
    short = replace(settings, max_request_seconds=0)
    await messages.deliver_all(archive, short)
    assert (await now(archive, operation)).status is OperationStatus.SUCCEEDED


async def test_progress_rises_with_the_studies_that_are_done(
    archive: Archive, settings: Settings, messages: Messages, stores: StoreService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindex, "_STUDIES", 1)
    monkeypatch.setattr(reindex, "_LISTED", 2)
    for _ in range(5):
        await store(stores, file_of(new_uid(), InstitutionName="A"))
    operation = await add_tags(archive, INSTITUTION)
    seen: list[int] = []
    while not (await now(archive, operation)).status.has_ended:
        for message in await messages.take():
            await deliver(archive, settings, message)
            seen.append(
                (await state_of(archive, await now(archive, operation), "v2", "https://dicom.example.org/v2"))[
                    "percentComplete"
                ]
            )
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert {20, 40, 60, 80} <= set(seen)
    assert set(seen[:-1]) <= set(range(100))


async def test_values_that_cannot_be_indexed_are_errors_which_disable_the_tag(
    archive: Archive, settings: Settings, messages: Messages, stores: StoreService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_errors, "MAX_ERRORS", 3)
    wrong = [file_of(new_uid(), AcquisitionNumber=number) for number in range(5)]
    await store(stores, *wrong)
    operation = await add_tags(archive, tag("AcquisitionNumber", "LO", Level.INSTANCE), INSTITUTION)
    await messages.deliver_all(archive, settings)
    assert await totals(archive, operation) == (
        OperationStatus.SUCCEEDED, {"studies": 5, "instances": 5, "errors": 5},
    )  # fmt: skip
    first, second = await tags_of(archive)
    assert (first.status, first.query_status, first.error_count) == (TagStatus.READY, QueryStatus.DISABLED, 3)
    assert (second.query_status, second.error_count) == (QueryStatus.ENABLED, 0)
    errors = [error async for error in archive.tags.read_errors(1)]
    assert {error.sentence for error in errors} == {"Its VR is IS, not LO."}
    assert len(errors) == 3
    assert max(error.created for error in errors) <= datetime.now(UTC)
    await archive.tags.change(lambda tags: tags.with_changed(replace(first, query_status=QueryStatus.ENABLED)))
    work = {"numbers": [1], "studies": [["Microsoft.Default", error.instance.study_instance_uid] for error in errors]}
    await reindex.run(archive, settings, work, None, math.inf)
    assert (await tags_of(archive))[0].query_status is QueryStatus.ENABLED  # the first error is no news
    await remove_tag(archive, 1)
    await messages.deliver_all(archive, settings)
    assert [error async for error in archive.tags.read_errors(1)] == []
    await check_archive(archive, settings)


async def test_a_tag_that_is_removed_while_it_is_added_is_left_out(
    archive: Archive, settings: Settings, messages: Messages, stores: StoreService
) -> None:
    await store(stores, *with_values(new_uid(), new_uid(), range(2)))
    operation = await add_tags(archive, *OF_EACH_LEVEL)
    await remove_tag(archive, 2)
    await messages.deliver_all(archive, settings)
    assert (await now(archive, operation)).status is OperationStatus.SUCCEEDED
    assert [(one.number, one.status) for one in await tags_of(archive)] == [(1, TagStatus.READY), (3, TagStatus.READY)]
    await check_archive(archive, settings)
    again = await add_tags(archive, BODY_PART)
    await remove_tag(archive, 4)
    await messages.deliver_all(archive, settings)
    assert await totals(archive, again) == (OperationStatus.SUCCEEDED, {})


async def test_a_clean_up_that_nobody_started_or_that_failed_is_started_by_maintenance(
    archive: Archive, settings: Settings, messages: Messages, stores: StoreService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(stores, *with_values(new_uid(), new_uid(), range(2)))
    await add_tags(archive, *OF_EACH_LEVEL)
    await messages.deliver_all(archive, settings)
    await archive.tags.change(lambda tags: tags.without(1, "ab" * 16))  # and dies
    canceled = await remove_tag(archive, 2)
    await engine.cancel(archive, canceled.id)
    under_way = await remove_tag(archive, 3)
    await messages.take()  # it is lost
    sent = datetime.now(UTC)
    monkeypatch.setattr("shared.services.operations.upkeep.UNSEEN_SECONDS", 0)
    await look_after_operations(archive, settings)
    removed = {one.number: one.operation_id for one in (await archive.tags.read()).tags.removed}
    assert removed[3] == under_way.id
    assert canceled.id != removed[2]
    started = {operation.id async for operation in archive.operations.read_all() if operation.created >= sent}
    assert started == {removed[1], removed[2]}
    await look_after_operations(archive, settings)
    assert {one.number: one.operation_id for one in (await archive.tags.read()).tags.removed} == removed
    await messages.deliver_all(archive, settings)
    assert [one.number for one in (await archive.tags.read()).tags.removed] == [3]
    await engine.send(archive, under_way.id, 0, 0)
    await messages.deliver_all(archive, settings)
    assert (await archive.tags.read()).tags.removed == ()
    await check_archive(archive, settings)


async def test_a_clean_up_goes_on_range_by_range(
    archive: Archive, settings: Settings, messages: Messages, stores: StoreService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "_POSTINGS", 2)
    monkeypatch.setattr(cleanup, "_LISTED", 1)
    monkeypatch.setattr("shared.services.indexing.clear_study._BATCH_ROWS", 2)
    for _ in range(3):
        await store(stores, *with_values(new_uid(), new_uid(), range(3), ProtocolName="One text of many words"))
    await add_tags(archive, ACQUISITION, PROTOCOL, INSTITUTION)
    await messages.deliver_all(archive, settings)
    monkeypatch.setattr(engine, "_RUN_SECONDS", -1)
    for number in (1, 2):
        await remove_tag(archive, number)
        await messages.deliver_all(archive, settings)
    assert (await archive.tags.read()).tags.removed == ()
    await check_archive(archive, settings)


async def test_what_a_dead_request_has_left_in_the_index_goes_with_the_tag(
    archive: Archive, settings: Settings, messages: Messages, stores: StoreService
) -> None:
    study = new_uid()
    await store(stores, *with_values(study, new_uid(), range(1)))
    await add_tags(archive, *OF_EACH_LEVEL)
    await messages.deliver_all(archive, settings)
    created = datetime(2020, 1, 1, tzinfo=UTC)
    terms = [term async for term, _ in archive.postings.read_every_term() if term.keyword.startswith("~")]
    await archive.postings.add(study_key(study), created, terms)
    await archive.postings.add(study_key(new_uid()), created, terms)
    for number in (1, 2, 3):
        await remove_tag(archive, number)
    await messages.deliver_all(archive, settings)
    assert [term async for term, _ in archive.postings.read_every_term() if term.keyword.startswith("~")] == []


@pytest.mark.parametrize(("tags", "terms", "single"), [((INSTITUTION, BODY_PART), 2, 0), (OF_EACH_LEVEL, 2, 1)])
async def test_costs_are_computed_from_the_counted_operations(
    archive: Archive, settings: Settings, stores: StoreService, monkeypatch: pytest.MonkeyPatch,
    tags: Sequence[ExtendedTag], terms: int, single: int,
) -> None:  # fmt: skip
    study, counting = new_uid(), StorageCounting()
    await store(stores, *with_values(study, new_uid(), range(7)))
    numbers = [one.number for one in (await put_tags(archive, *tags)).tags]
    work = {"numbers": numbers, "studies": [["Microsoft.Default", study]], "percent": 0}
    async with archive_through(counting, monkeypatch, settings) as counted:
        await reindex.run(counted, settings, work, None, math.inf)
        assert counting.operations.total() == 1 + costs.reindex(7, terms, single).table  # one for the set
        counting.operations.clear()
        await reindex.run(counted, settings, work, None, math.inf)
        assert counting.operations.total() == 1 + 2  # where nothing is to be written
    await check_archive(archive, settings)

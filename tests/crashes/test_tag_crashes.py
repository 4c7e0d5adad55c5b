"""A process that dies at any storage operation while tags come and go: everything is found by what is ready at the end.

Stores and deletes of instances with values of tags die anywhere, too, as in `test_crash_points.py`.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import pytest
import pytest_asyncio

from shared.archive.extended_tags import TagStatus
from shared.services.operations import engine, upkeep
from shared.services.operations.upkeep import look_after_operations
from shared.services.repair.maintenance import replay_journal
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.crashes.world import World
from tests.support.default_partition import resource_of
from tests.support.invariants import requests_in_journal
from tests.support.operation_messages import Messages, messages_of
from tests.support.served_instances import new_uid
from tests.support.storage_policies import StopAt, before_or_after, die_at
from tests.support.stored_instances import KnownInstance, known_instance
from tests.support.stores import LATER
from tests.support.tags import OF_EACH_LEVEL, PROTOCOL, add_tags, check_tags, put_tags, remove_tag

RecordProperty = Callable[[str, object], None]


@pytest_asyncio.fixture
async def messages(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Messages]:
    """The messages of operations, whose pauses are left out."""
    monkeypatch.setattr(engine, "_WAITING_SECONDS", 0)
    monkeypatch.setattr(upkeep, "UNSEEN_SECONDS", 0)
    async with messages_of(settings) as found:
        yield found


@pytest_asyncio.fixture(autouse=True)
async def no_tags_afterwards(archive: Archive) -> AsyncIterator[None]:
    yield
    await put_tags(archive)


def tagged(study: str, series: str, number: int) -> KnownInstance:
    """An instance with values of each level, of which those of study and series differ from the others'."""
    values = {"InstitutionName": f"Hospital {number}", "BodyPartExamined": f"PART {number}"}
    return known_instance(study, series, new_uid(), AcquisitionNumber=number, ProtocolName=f"No {number}", **values)


def some_of(study: str) -> list[KnownInstance]:
    series, other = new_uid(), new_uid()
    return [tagged(study, series, 1), tagged(study, series, 2), tagged(study, other, 3)]


async def look_after(world: World, messages: Messages) -> None:
    """What happens hours later: messages come again, or maintenance sends them."""
    later = datetime.now(UTC) + timedelta(hours=2)
    messages.pending.clear()
    for _ in range(2):
        await replay_journal(world.archive, world.settings, now=datetime.now(UTC) + LATER)
        await look_after_operations(world.archive, world.settings, now=later)
        assert await messages.deliver_all(world.archive, world.settings) == []


async def check(world: World, there: Sequence[KnownInstance]) -> None:
    tags = (await world.archive.tags.read()).tags
    assert tags.removed == ()
    assert all(tag.status is TagStatus.READY for tag in tags.tags)
    await world.check(there=there)


async def _deliver(archive: Archive, settings: Settings, messages: Messages) -> list[str]:
    """As the host does, from a process that has just begun: where it dies, the message comes again."""
    return await messages.deliver_all(archive, settings)


@before_or_after
@pytest.mark.parametrize(
    "comes_again", [True, pytest.param(False, marks=pytest.mark.long)], ids=["delivered again", "maintained"]
)
async def test_a_reindex_that_dies_anywhere(
    world: World, messages: Messages, is_done: bool, comes_again: bool, record_property: RecordProperty
) -> None:
    for operation in count(1):
        study = new_uid()
        there = some_of(study)
        await world.store(*there)
        await add_tags(world.archive, *OF_EACH_LEVEL)
        stop = StopAt(operation, is_done=is_done)
        died = await die_at(
            stop, world.monkeypatch, world.settings, partial(_deliver, settings=world.settings, messages=messages)
        )
        if comes_again:
            assert await messages.deliver_all(world.archive, world.settings) == []
        await look_after(world, messages)
        await check(world, there)
        await check_tags(world.archive, is_latest=True)
        await world.forget(study)
        await put_tags(world.archive)
        if not died:
            break
    record_property("crash points", operation - 1)
    assert operation > 30


@pytest.mark.long
@before_or_after
@pytest.mark.parametrize("number", [1, 2, 3], ids=["study", "series", "instance"])
async def test_a_clean_up_that_dies_anywhere(
    world: World, messages: Messages, number: int, is_done: bool, record_property: RecordProperty
) -> None:
    for operation in count(1):
        study = new_uid()
        first = (await put_tags(world.archive, *OF_EACH_LEVEL)).tags[0].number
        there = some_of(study)
        await world.store(*there)
        await remove_tag(world.archive, first + number - 1)
        stop = StopAt(operation, is_done=is_done)
        died = await die_at(
            stop, world.monkeypatch, world.settings, partial(_deliver, settings=world.settings, messages=messages)
        )
        await look_after(world, messages)
        await check(world, there)
        await world.forget(study)
        await put_tags(world.archive)
        if not died:
            break
    record_property("crash points", operation - 1)
    assert operation > 15


@before_or_after
async def test_a_removal_that_dies_anywhere_is_cleaned_up_after_or_never_happened(
    world: World, messages: Messages, is_done: bool, record_property: RecordProperty
) -> None:
    for operation in count(1):
        study = new_uid()
        first = (await put_tags(world.archive, *OF_EACH_LEVEL)).tags[0].number
        there = some_of(study)
        await world.store(*there)
        stop = StopAt(operation, is_done=is_done)
        died = await die_at(stop, world.monkeypatch, world.settings, partial(remove_tag, number=first))
        await look_after(world, messages)
        await check(world, there)
        await world.forget(study)
        await put_tags(world.archive)
        if not died:
            break
    record_property("crash points", operation - 1)
    assert operation > 4


@pytest.mark.long
@before_or_after
@pytest.mark.parametrize("into_a_study", [False, True], ids=["new", "known"])
async def test_a_store_with_values_of_tags_that_dies_anywhere(
    world: World, into_a_study: bool, is_done: bool, record_property: RecordProperty
) -> None:
    await put_tags(world.archive, *OF_EACH_LEVEL, PROTOCOL)
    for operation in count(1):
        study = new_uid()
        before, series = (some_of(study), new_uid()) if into_a_study else ([], new_uid())
        new = [tagged(study, series, 4), tagged(study, series, 5)]
        if before:
            await world.store(*before)
        died = await world.dies_storing([one.file for one in new], StopAt(operation, is_done=is_done))
        await world.maintain()
        await world.check(there=before)
        assert await world.which(new) in ([], new)
        await world.forget(study)
        if not died:
            break
    record_property("crash points", operation - 1)
    assert operation > 12


@before_or_after
@pytest.mark.parametrize(
    "level",
    [pytest.param(1, marks=pytest.mark.long), pytest.param(2, marks=pytest.mark.long), 3],
    ids=["study", "series", "instance"],
)
async def test_a_delete_of_what_has_values_of_tags_that_dies_anywhere(
    world: World, level: int, is_done: bool, record_property: RecordProperty
) -> None:
    await put_tags(world.archive, *OF_EACH_LEVEL, PROTOCOL)
    for operation in count(1):
        study = new_uid()
        one, *others = some_of(study)
        doomed = {1: [one, *others], 2: [one, others[0]], 3: [one]}[level]
        spared = [other for other in others if other not in doomed]
        await world.store(one, *others)
        uids = (study, one.identifiers.series_instance_uid, one.identifiers.sop_instance_uid)
        died = await world.dies_deleting(resource_of(*uids[:level]), StopAt(operation, is_done=is_done))
        began = await requests_in_journal(world.archive) > 0
        await world.maintain()
        there = await world.which(doomed)
        assert there in ([], doomed)
        assert not there or (died and not began)
        await world.check(there=spared)
        await world.forget(study)
        if not died:
            break
    record_property("crash points", operation - 1)
    assert operation > 8

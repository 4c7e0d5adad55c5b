"""A process that dies at any single storage operation leaves an archive that the next maintenance run makes whole.

Each request dies before or after its first operation, then its second, and so on, until it lives to its end.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

import pytest

from shared.dicom.identifiers import ResourceIdentifiers
from shared.errors import NotFound
from shared.services.write.back_pressure import MAX_BLOCK_BYTES
from shared.services.write.delete import delete
from shared.web.failure_reasons import FailureReason
from shared.web.store_response import Failed, Outcome
from tests.crashes.world import World
from tests.support.default_partition import resource_of
from tests.support.invariants import requests_in_journal
from tests.support.served_instances import new_uid
from tests.support.storage_policies import BATCH, StopAt, before_or_after
from tests.support.stored_instances import (
    KnownInstance,
    is_there,
    known_instance,
    known_instances,
    large_instance,
)
from tests.support.stores import store

RecordProperty = Callable[[str, object], None]


@dataclass(frozen=True)
class Storing:
    """A store request: what is stored before it, and its parts, in their order."""

    before: list[KnownInstance]
    parts: list[bytes | KnownInstance]

    @property
    def new(self) -> list[KnownInstance]:
        return [part for part in self.parts if isinstance(part, KnownInstance) and part not in self.before]

    @property
    def files(self) -> list[bytes]:
        return [part.file if isinstance(part, KnownInstance) else part for part in self.parts]

    @property
    def study(self) -> str:
        return self.new[0].identifiers.study_instance_uid


def store_of_3() -> Storing:
    return Storing([], [*known_instances(new_uid(), new_uid(), 3)])


def store_into_a_study() -> Storing:
    study, series = new_uid(), new_uid()
    later = {"StudyDescription": "Later"}
    new_series = known_instances(study, new_uid(), 2, Modality="SM", **later)
    return Storing(known_instances(study, series, 2), [known_instance(study, series, new_uid(), **later), *new_series])


def store_that_fails_in_part() -> Storing:
    study, series = new_uid(), new_uid()
    duplicate = known_instance(study, series, new_uid())
    return Storing([duplicate], [duplicate, b"not DICOM", known_instance(study, series, new_uid())])


def store_of_blocks() -> Storing:
    return Storing([], [large_instance(new_uid(), MAX_BLOCK_BYTES)])


@before_or_after
@pytest.mark.parametrize(
    "storing",
    [
        store_of_3,
        store_into_a_study,
        pytest.param(store_that_fails_in_part, marks=pytest.mark.long),
        store_of_blocks,
    ],
    ids=lambda storing: storing.__name__,
)
async def test_a_store_that_dies_anywhere(
    world: World, storing: Callable[[], Storing], is_done: bool, record_property: RecordProperty
) -> None:
    for operation in count(1):
        request = storing()
        if request.before:
            await world.store(*request.before)
        died = await world.dies_storing(request.files, StopAt(operation, is_done=is_done))
        await world.maintain()
        await world.check(there=request.before)
        there = [*request.before, *await world.which(request.new)]
        assert died or len(there) == len(request.before) + len(request.new)
        outcomes = await store(world.stores, *request.files)
        assert [reason_of(outcome) for outcome in outcomes] == [expected(part, there) for part in request.parts]
        assert await world.which(request.new) == request.new
        await world.forget(request.study)
        if not died:
            break
    record_property("crash points", operation - 1)
    assert operation > 10


@before_or_after
async def test_a_store_that_died_may_be_sent_again_at_once(
    world: World, is_done: bool, record_property: RecordProperty
) -> None:
    for operation in count(1):
        request = store_of_3()
        died = await world.dies_storing(request.files, StopAt(operation, is_done=is_done))
        outcomes = await store(world.stores, *request.files)
        assert {reason_of(outcome) for outcome in outcomes} <= {None, FailureReason.INSTANCE_EXISTS}
        for instance in request.new:
            assert await is_there(world.archive, world.settings, instance)
        await world.maintain()
        await world.check(there=request.new)
        await world.forget(request.study)
        if not died:
            break
    record_property("crash points", operation - 1)
    assert operation > 10


@pytest.mark.long
@before_or_after
async def test_stores_that_share_batches_and_die_anywhere(
    world: World, is_done: bool, record_property: RecordProperty
) -> None:
    for operation in count(1):
        study = new_uid()
        requests = [known_instances(study, new_uid(), 2) for _ in range(3)]
        died = await world.dies_storing_at_once(requests, StopAt(operation, is_done=is_done))
        await world.maintain()
        await world.check()
        there = [len(await world.which(request)) for request in requests]
        assert set(there) <= {0, 2}
        assert died or there == [2, 2, 2]
        await world.forget(study)
        if not died:
            break
    record_property("crash points", operation - 1)
    assert operation > 20


def reason_of(outcome: Outcome) -> FailureReason | None:
    return outcome.reason if isinstance(outcome, Failed) else None


def expected(part: bytes | KnownInstance, there: Sequence[KnownInstance]) -> FailureReason | None:
    if isinstance(part, bytes):
        return FailureReason.PROCESSING_FAILURE
    return FailureReason.INSTANCE_EXISTS if part in there else None


@dataclass(frozen=True)
class Deleting:
    """A delete request: its resource, the instances that it deletes, and those that stay."""

    resource: ResourceIdentifiers
    doomed: list[KnownInstance]
    spared: list[KnownInstance]


def deleting(level: str) -> Deleting:
    study, series = new_uid(), new_uid()
    first, second = known_instances(study, series, 2)
    other = known_instance(study, new_uid(), new_uid(), Modality="SM")
    if level == "study":
        return Deleting(resource_of(study), [first, second, other], [])
    if level == "series":
        return Deleting(resource_of(study, series), [first, second], [other])
    return Deleting(first.resource, [first], [second, other])


@before_or_after
@pytest.mark.parametrize("level", ["study", "series", "instance"])
async def test_a_delete_that_dies_anywhere_is_finished_or_never_began(
    world: World, level: str, is_done: bool, record_property: RecordProperty
) -> None:
    for operation in count(1):
        request = deleting(level)
        await world.store(*request.doomed, *request.spared)
        died = await world.dies_deleting(request.resource, StopAt(operation, is_done=is_done))
        began = await requests_in_journal(world.archive) == 1
        await world.maintain()
        there = await world.which(request.doomed)
        assert there in ([], request.doomed)
        assert not there or (died and not began)
        await world.check(there=request.spared)
        if there:
            await delete(world.archive, request.resource)
            await world.check(gone=request.doomed)
        else:
            with pytest.raises(NotFound):
                await delete(world.archive, request.resource)
        await world.store(*request.doomed)
        assert await world.which(request.doomed) == request.doomed
        await world.forget(request.resource.study_instance_uid)
        if not died:
            break
    record_property("crash points", operation - 1)
    assert operation > 8


@pytest.mark.long
@before_or_after
async def test_what_is_stored_after_a_delete_that_died_outlives_maintenance(
    world: World, is_done: bool, record_property: RecordProperty
) -> None:
    for operation in count(1):
        request = deleting("study")
        await world.store(*request.doomed)
        died = await world.dies_deleting(request.resource, StopAt(operation, is_done=is_done))
        with suppress(NotFound):
            await delete(world.archive, request.resource)
        await world.store(*request.doomed)
        await world.maintain()
        await world.check(there=request.doomed)
        await world.forget(request.resource.study_instance_uid)
        if not died:
            break
    record_property("crash points", operation - 1)
    assert operation > 8


@before_or_after
@pytest.mark.parametrize("is_committed", [False, True], ids=["uncommitted", "committed"])
async def test_maintenance_that_dies_anywhere_after_a_store_can_be_run_again(
    world: World, is_committed: bool, is_done: bool, record_property: RecordProperty
) -> None:
    for operation in count(1):
        request = store_of_3()
        assert await world.dies_storing(request.files, StopAt(BATCH, is_done=is_committed))
        died = await world.dies_maintaining(StopAt(operation, is_done=is_done))
        await world.maintain()
        await world.check()
        assert await world.which(request.new) == (request.new if is_committed else [])
        await world.forget(request.study)
        if not died:
            break
    record_property("crash points", operation - 1)
    assert operation > 3


@pytest.mark.long
@before_or_after
@pytest.mark.parametrize("is_committed", [False, True], ids=["uncommitted", "committed"])
@pytest.mark.parametrize("level", ["study", "series"])
async def test_maintenance_that_dies_anywhere_after_a_delete_can_be_run_again(
    world: World, level: str, is_committed: bool, is_done: bool, record_property: RecordProperty
) -> None:
    for operation in count(1):
        request = deleting(level)
        await world.store(*request.doomed, *request.spared)
        assert await world.dies_deleting(request.resource, StopAt(BATCH, is_done=is_committed))
        died = await world.dies_maintaining(StopAt(operation, is_done=is_done))
        await world.maintain()
        await world.check(there=request.spared, gone=request.doomed)
        await world.forget(request.resource.study_instance_uid)
        if not died:
            break
    record_property("crash points", operation - 1)
    assert operation > 3

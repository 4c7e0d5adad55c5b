"""Storage that fails now and then: every answer is true, or says that the service is unavailable.

Which answers are right follows from what a client knows about an instance. It is there once a store has said so, and
gone before that and once a delete has said so (or has found nothing). A request that is answered as unavailable may
have been carried out, even in part, so what it was to change is unknown until another request says: a delete may find
nothing, and a store may find it there. But an answer about what is known has to agree with it: a store of an instance
that was gone never finds it there, because it would have found itself; a delete of one that is there finds it.

When maintenance later finishes a delete that was not answered, it deletes what was there when the delete began: an
instance that was stored after that stays.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from itertools import count
from random import Random
from typing import TypeVar

import pytest
import pytest_asyncio
from azure.storage.blob.aio import ContainerClient

from shared.dicom.attributes import Level
from shared.errors import NotFound, Unavailable
from shared.services.repair.maintenance import replay_journal
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.availability import unavailable_storage
from shared.web.failure_reasons import FailureReason
from shared.web.store_response import Failed, Stored
from tests.support.changes import changes_in_outbox, check_changes, drop_changes
from tests.support.default_partition import resource_of
from tests.support.invariants import check_archive
from tests.support.served_instances import new_uid
from tests.support.storage_policies import Fault, Faults, archive_through, fault_at, refusing_server, some_faults
from tests.support.stored_instances import (
    KnownInstance,
    found,
    is_there,
    is_wholly_there,
    known_instances,
    retrieved,
)
from tests.support.stores import LATER, store

ROUNDS = 12
Answer = TypeVar("Answer")


each_fault = pytest.mark.parametrize(
    ("fault", "retries"),
    [
        (Fault.FAILING, 4),
        (Fault.ANSWER_LOST, 0),
        pytest.param(Fault.ANSWER_LOST, 4, marks=pytest.mark.long),
        pytest.param(Fault.TOO_MANY_REQUESTS, 4, marks=pytest.mark.long),
        pytest.param(Fault.TIMED_OUT, 4, marks=pytest.mark.long),
    ],
)


class State(Enum):
    THERE = "there"
    GONE = "gone"
    UNKNOWN = "unknown"


async def answered(request: Awaitable[Answer]) -> Answer | Unavailable:
    """What a request answers; that the service is unavailable is also an answer."""
    try:
        with unavailable_storage():
            return await request
    except Unavailable as error:
        return error


class Client:
    """Stores, deletes, retrieves and finds instances of one series, which no other client knows, and checks answers."""

    def __init__(self, stores: StoreService, healthy: Archive, settings: Settings, study: str, *, seed: int) -> None:
        self.series = resource_of(study, new_uid())
        self.states = dict.fromkeys(known_instances(study, self.series.series_instance_uid or "", 4), State.GONE)
        self.unavailable = 0
        self._stores = stores
        self._archive = stores.archive
        self._healthy = healthy
        self._settings = settings
        self._random = Random(seed)

    async def run(self) -> None:
        for _ in range(ROUNDS):
            request = self._random.choice((self.store, self.store, self.delete, self.retrieve, self.find))
            await request()

    async def store(self) -> None:
        sent = self._random.sample(list(self.states), self._random.randint(1, 3))
        outcomes = await answered(store(self._stores, *(instance.file for instance in sent)))
        if isinstance(outcomes, Unavailable):
            self._note_unavailable(instance for instance in sent if self.states[instance] is State.GONE)
            return
        for instance, outcome in zip(sent, outcomes, strict=True):
            if isinstance(outcome, Stored):
                assert self.states[instance] is not State.THERE
                assert await is_there(self._healthy, self._settings, instance)
                self.states[instance] = State.THERE
            elif outcome.reason is FailureReason.INSTANCE_EXISTS:
                assert self.states[instance] is not State.GONE
            else:
                assert outcome.reason is FailureReason.PROCESSING_FAILURE

    async def delete(self) -> None:
        below = [*self.states]
        resource = self.series
        if self._random.random() < 0.5:
            below = [self._random.choice(below)]
            resource = below[0].resource
        try:
            answer = await answered(delete(self._archive, resource))
        except NotFound:
            assert State.THERE not in [self.states[instance] for instance in below]
            answer = None
        if isinstance(answer, Unavailable):
            self._note_unavailable(instance for instance in below if self.states[instance] is State.THERE)
            return
        for instance in below:
            assert not await is_there(self._healthy, self._settings, instance)
            self.states[instance] = State.GONE

    async def retrieve(self) -> None:
        instance = self._random.choice(list(self.states))
        try:
            answer = await answered(retrieved(self._archive, instance.identifiers))
        except NotFound:
            assert self.states[instance] is not State.THERE
            return
        if not isinstance(answer, Unavailable):
            assert self.states[instance] is not State.GONE
            assert answer == instance.file

    async def find(self) -> None:
        instance = self._random.choice(list(self.states))
        uid = instance.identifiers.sop_instance_uid
        search = found(self._archive, self._settings, Level.INSTANCE, f"SOPInstanceUID={uid}")
        answer = await answered(search)
        if not isinstance(answer, Unavailable):
            right: dict[State, list[list[str]]] = {State.THERE: [[uid]], State.GONE: [[]], State.UNKNOWN: [[], [uid]]}
            assert answer in right[self.states[instance]]

    def _note_unavailable(self, instances: Iterable[KnownInstance]) -> None:
        self.unavailable += 1
        for instance in instances:
            self.states[instance] = State.UNKNOWN


@pytest_asyncio.fixture(scope="session")
async def refusing_url() -> AsyncIterator[str]:
    async with refusing_server() as url:
        yield url


async def forget(archive: Archive, instances: Iterable[KnownInstance]) -> None:
    """Leave the archive empty but for tombstones, so that examining all of it stays quick."""
    for study_instance_uid in {instance.identifiers.study_instance_uid for instance in instances}:
        with suppress(NotFound):
            await delete(archive, resource_of(study_instance_uid))
    await drop_changes(archive)


async def check_known(
    archive: Archive, settings: Settings, container: ContainerClient, states: dict[KnownInstance, State]
) -> None:
    """Run maintenance, then check that the archive is whole and agrees with what clients know."""
    await replay_journal(archive, settings, now=datetime.now(UTC) + LATER)
    await check_archive(archive, settings)
    await check_changes(archive, await changes_in_outbox(archive))
    for instance, state in states.items():
        there = await is_wholly_there(archive, settings, container, instance)
        assert state is State.UNKNOWN or there == (state is State.THERE)


@pytest.mark.parametrize("retries", [4, 0])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
async def test_clients_of_storage_that_fails_now_and_then(
    archive: Archive,
    settings: Settings,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
    refusing_url: str,
    retries: int,
    seed: int,
) -> None:
    shared_study = new_uid()
    clients = []
    storages = []
    async with AsyncExitStack() as stack:
        for process in range(2):
            faults = Faults(some_faults(Random(f"{seed} {process}"), 0.1), refusing_url, delay_seconds=0.02)
            opened = await stack.enter_async_context(archive_through(faults, monkeypatch, settings, retries=retries))
            stores = StoreService(opened, settings)
            studies = [shared_study, shared_study, new_uid(), new_uid(), new_uid(), new_uid()]
            clients += [
                Client(stores, archive, settings, study, seed=100 * seed + 10 * process + number)
                for number, study in enumerate(studies)
            ]
            storages.append(faults)
        async with asyncio.TaskGroup() as running:
            for client in clients:
                running.create_task(client.run())
    assert {fault for faults in storages for fault in faults.seen} == set(Fault)
    states = {instance: state for client in clients for instance, state in client.states.items()}
    assert {State.THERE, State.GONE} <= set(states.values())
    assert retries or sum(client.unavailable for client in clients) > 10
    await check_known(archive, settings, container, states)
    await forget(archive, states)


@dataclass(frozen=True)
class World:
    """A healthy process, and a way to start one that meets one fault."""

    stores: StoreService
    container: ContainerClient
    settings: Settings
    monkeypatch: pytest.MonkeyPatch
    refusing_url: str

    @asynccontextmanager
    async def process(self, operation: int, fault: Fault, retries: int) -> AsyncIterator[tuple[StoreService, Faults]]:
        faults = Faults(fault_at(operation, fault), self.refusing_url, delay_seconds=0.02)
        async with archive_through(faults, self.monkeypatch, self.settings, retries=retries) as opened:
            yield StoreService(opened, self.settings), faults

    async def store(self, instances: Sequence[KnownInstance]) -> list[FailureReason | None]:
        """Why the healthy process could not store each instance, None where it could."""
        outcomes = await store(self.stores, *(instance.file for instance in instances))
        return [outcome.reason if isinstance(outcome, Failed) else None for outcome in outcomes]

    async def check(self, instances: Sequence[KnownInstance], state: State) -> None:
        """Check that nothing is left to be done, and that the instances are all there or all gone."""
        await check_archive(self.stores.archive, self.settings)
        await check_changes(self.stores.archive, await changes_in_outbox(self.stores.archive))
        there = {
            await is_wholly_there(self.stores.archive, self.settings, self.container, instance)
            for instance in instances
        }
        assert there == {state is State.THERE}

    async def maintain(self) -> None:
        await replay_journal(self.stores.archive, self.settings, now=datetime.now(UTC) + LATER)


@pytest.fixture
def world(
    stores: StoreService,
    container: ContainerClient,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    refusing_url: str,
) -> World:
    return World(stores, container, settings, monkeypatch, refusing_url)


@each_fault
async def test_a_store_that_meets_a_fault_anywhere(world: World, fault: Fault, retries: int) -> None:
    for operation in count(1):
        instances = known_instances(new_uid(), new_uid(), 2)
        async with world.process(operation, fault, retries) as (stores, faults):
            answer = await answered(store(stores, *(instance.file for instance in instances)))
        if not isinstance(answer, Unavailable):
            assert [type(outcome) for outcome in answer] == [Stored] * 2
            await world.check(instances, State.THERE)
        again = await world.store(instances)
        assert set(again) in ({None}, {FailureReason.INSTANCE_EXISTS})
        for instance in instances:
            assert await is_there(world.stores.archive, world.settings, instance)
        await world.maintain()
        await world.check(instances, State.THERE)
        await forget(world.stores.archive, instances)
        if not faults.seen:
            break
    assert operation > 10


@each_fault
@pytest.mark.parametrize("level", ["study", pytest.param("series", marks=pytest.mark.long)])
async def test_a_delete_that_meets_a_fault_anywhere(world: World, fault: Fault, retries: int, level: str) -> None:
    for operation in count(1):
        study, series = new_uid(), new_uid()
        instances = known_instances(study, series, 2)
        other = known_instances(study, new_uid(), 1 if level == "series" else 0)
        await world.store([*other, *instances])
        resource = resource_of(study, series if level == "series" else None)
        async with world.process(operation, fault, retries) as (stores, faults):
            answer = await answered(delete(stores.archive, resource))
        if not isinstance(answer, Unavailable):
            await world.check(instances, State.GONE)
        with suppress(NotFound):
            await delete(world.stores.archive, resource)
        assert await world.store(instances) == [None, None]
        for instance in [*other, *instances]:
            assert await is_there(world.stores.archive, world.settings, instance)
        await world.maintain()
        await world.check([*other, *instances], State.THERE)
        await forget(world.stores.archive, instances)
        if not faults.seen:
            break
    assert operation > 8

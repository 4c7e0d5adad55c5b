"""Runs of scenarios: a seed decides everything, and afterwards everything is checked."""

import gc
import sys
import traceback
import warnings
from asyncio import sleep
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from unittest.mock import patch

from shared.services.feed import drain
from shared.services.indexing import clear_study, index_study
from shared.services.operations import cleanup, engine, reindex
from shared.services.write import back_pressure, ready_instance, upload
from shared.storage import blobs, catalog_batches, feed, feed_keys, feed_rows
from tests.simulation import processes
from tests.simulation.backups import check_backup
from tests.simulation.connection import Surroundings
from tests.simulation.event_loop import SimulatedLoop
from tests.simulation.feed_readers import SequenceReader, WindowReader, check_feed
from tests.simulation.history import half_done, unexplained
from tests.simulation.operations import play_operations
from tests.simulation.processes import SETTINGS, Process
from tests.simulation.scenarios import SCENARIOS, Scenario, ask, read_all, store_before_the_feed
from tests.simulation.schedule import LATEST_SECONDS, Schedule
from tests.simulation.storage import SimulatedStorage
from tests.simulation.tags import play_tags
from tests.simulation.virtual_clock import simulated
from tests.simulation.world import World
from tests.support.invariants import check_archive, check_study

Reader = TypeVar("Reader")

_OTHERS: Final[Mapping[str, Callable[[World], Coroutine[Any, Any, None]]]] = {
    "operations": play_operations,
    "tags": play_tags,
}
NAMES: Final = (*SCENARIOS, *_OTHERS)
"""What can be run: what clients do to an archive, operations, and tags."""

_DEAD_SECONDS: Final = 2 * SETTINGS.max_request_seconds + 2 * LATEST_SECONDS
_RUNS_OF_MAINTENANCE: Final = 5

# Limits that are made small in some runs, so that few and small instances reach what lies beyond them.
_LIMITS: Final = (
    ((ready_instance, "MAX_ROW_VALUE_BYTES", 64),),  # metadata goes to blobs
    ((catalog_batches, "_BATCH_ROWS", 6),),  # commits and deletes take several batches
    ((catalog_batches, "_BATCH_ROWS", 4), (catalog_batches, "_CHANGES_OF_A_ROW", 1)),  # announcements, too
    ((back_pressure, "_BLOCK_BYTES", ((8 * 1024**2, 128),)), (upload, "MAX_BLOCK_BYTES", 256)),  # files go in blocks
    ((blobs, "_BATCH", 2),),
    ((feed_keys, "PARTITION_BITS", 3),),
    ((feed_rows, "MAX_BLOCK_CHANGES", 6), (feed, "MAX_BLOCK_CHANGES", 6)),
    ((feed, "MAX_APPENDED_CHANGES", 7), (drain, "MAX_APPENDED_CHANGES", 7)),
    ((drain, "_STUDIES", 1),),
    ((engine, "MAX_TRIES", 1),),
    ((index_study, "_BATCH_ROWS", 2), (index_study, "PAGE_ROWS", 3), (engine, "_RUN_SECONDS", 0)),
    ((reindex, "_STUDIES", 1), (clear_study, "_BATCH_ROWS", 2), (cleanup, "_POSTINGS", 2)),
)


@dataclass(frozen=True, slots=True)
class Run:
    """What a seed came to: `failure` is None, or says what is wrong; `trace` is all that happened."""

    failure: str | None
    trace: list[str]
    faults: int


def run(name: str, seed: int) -> Run:
    """Run a scenario by its name.

    Nothing is collected while it is under way: what that sets off would depend on what ran before.
    """
    gc.disable()
    gc.freeze()  # what there is already need not be looked through afterwards
    try:
        return _run(name, f"{name} {seed}")
    finally:
        with warnings.catch_warnings():  # of tasks that were dropped with their process
            warnings.simplefilter("ignore")
            hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
            gc.collect()
            sys.unraisablehook = hook
        gc.enable()


def _run(name: str, seed: str) -> Run:
    schedule = Schedule(seed)
    loop = SimulatedLoop(schedule.choose, processes.is_dead, schedule.thread_seconds)  # type: ignore[abstract] # no I/O
    storage = SimulatedStorage(loop.time, schedule.page, schedule.refuses)
    scenario = SCENARIOS.get(name)
    world = World(Surroundings(loop, schedule, storage), scenario.population() if scenario else ())
    played = _played(world, scenario) if scenario else _OTHERS[name](world)
    failure = None
    with _small_limits(schedule), simulated(processes.now, loop.time, schedule.random):
        try:
            loop.run_until_complete(played)
        except Exception:  # noqa: BLE001 -- it is reported, with the trace
            failure = traceback.format_exc()
        loop.close()
    return Run(failure or "\n".join(loop.errors) or None, schedule.trace, schedule.met.total())


async def _played(world: World, scenario: Scenario) -> None:
    """Clients ask; hours later, they ask again while maintenance runs; hours later everything has to be settled."""
    schedule = world.shared.schedule
    schedule.is_calm = True
    for _ in range(schedule.random.randint(1, 3)):
        await world.start_process()
    if scenario.is_old:
        await store_before_the_feed(world)
    schedule.is_calm = False
    by_sequence = [SequenceReader() for _ in range(scenario.readers)]
    by_window = [WindowReader() for _ in range(scenario.readers)]
    await _all(
        world,
        [
            *(_client(world, scenario, scenario.requests) for _ in range(scenario.clients)),
            *(_backup(world) for _ in range(scenario.backups)),
            *(_reader(world, world.follow, reader) for reader in by_sequence),
            *(_reader(world, world.read_window, reader) for reader in by_window),
        ],
    )
    await sleep(_DEAD_SECONDS)
    others = [_maintainer(world), _maintainer(world), *(_backup(world) for _ in range(scenario.backups))]
    readers = [_reader(world, world.follow, by_sequence[0])] if by_sequence else []
    await _all(world, [*(_client(world, scenario, 1) for _ in range(2)), *others, *readers])
    schedule.is_calm = True
    await sleep(_DEAD_SECONDS)
    judge = await world.start_process()
    for _ in range(_RUNS_OF_MAINTENANCE):
        replay = await world.maintain()
        if replay is not None and not replay.settled_entries and not replay.failures:
            break
    present = await read_all(world)
    wrong = [*unexplained(world.events), *half_done(world.unanswered, world.events, present)]
    if wrong:
        raise AssertionError("\n\n".join(wrong))
    await judge.start(_check(judge, world))
    await judge.start(check_feed(judge.archive, by_sequence, by_window))
    if scenario.backups:
        await judge.start(check_backup(judge.backup, present, await world.back_up()))


async def _client(world: World, scenario: Scenario, requests: int) -> None:
    chance = world.shared.schedule.random
    for _ in range(requests):
        await sleep(chance.choice((0, 0.05, 1)) * chance.random())
        await ask(world, scenario, chance)


async def _reader(world: World, read: Callable[[Reader], Awaitable[None]], reader: Reader) -> None:
    chance = world.shared.schedule.random
    pauses, times = chance.choice((((0, 0.05, 1, 3), 5), ((0, 0, 0.05), 12)))
    for _ in range(chance.randint(2, times)):
        await sleep(chance.choice(pauses) * chance.random())
        await read(reader)


async def _maintainer(world: World) -> None:
    await sleep(world.shared.schedule.random.random())
    await (world.repair() if world.shared.schedule.random.random() < 0.3 else world.maintain())


async def _backup(world: World) -> None:
    await sleep(world.shared.schedule.random.random())
    await world.back_up()


async def _all(world: World, work: Sequence[Coroutine[Any, Any, None]]) -> None:
    tasks = [world.shared.loop.create_task(one) for one in work]
    for task in tasks:
        await task


async def _check(process: Process, world: World) -> None:
    """Check what holds for an archive at rest. Raises AssertionError."""
    await check_archive(process.archive, SETTINGS)
    container = process.archive._account.blobs.get_container_client("dicom")
    for study in sorted({instance.study for instance in world.known}):
        await check_study(process.archive, container, study)


@contextmanager
def _small_limits(schedule: Schedule) -> Iterator[None]:
    with ExitStack() as stack:
        for limits in _LIMITS:
            if schedule.random.random() < 0.25:
                for module, name, value in limits:
                    stack.enter_context(patch.object(module, name, value))
        yield

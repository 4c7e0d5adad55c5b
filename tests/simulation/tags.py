"""Extended query tags in a simulation: added and removed while clients store and delete, and processes die.

Hours later, every instance that is there is found by exactly the tags that there are, and nothing else is left.
"""

from asyncio import sleep
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final
from unittest.mock import patch

from shared.archive.extended_tags import ExtendedTag, TagStatus
from shared.dicom.attributes import Level
from shared.errors import NotFound
from shared.services.operations import engine
from shared.services.operations.engine import cancel, fail_unit, run_unit
from shared.services.operations.unit_message import UnitMessage
from shared.services.operations.upkeep import look_after_operations
from shared.storage.tag_table import UNSEEN_SECONDS
from tests.simulation import processes
from tests.simulation.history import unexplained
from tests.simulation.processes import SETTINGS, Process
from tests.simulation.queue_host import QueueHost
from tests.simulation.scenarios import Scenario, ask, read_all
from tests.simulation.world import Unanswered, World
from tests.support.archive_model import Instance
from tests.support.invariants import check_archive
from tests.support.served_instances import dataset, part10
from tests.support.tags import add_tags, remove_tag, tag

_MINUTE: Final = 60.0
_HOUR: Final = 60 * _MINUTE
_LASTING_HOURS: Final = 4
"""As long as it takes until a dead request is known to be, and what was lost since is found."""

_CHANGES: Final = Scenario(
    {"store": 8, "store several": 4, "delete study": 1, "delete series": 1, "delete instance": 2},
    studies=2,
    instances=3,
    contents=2,
)
_TAGS: Final = (
    tag("InstitutionName", "LO", Level.STUDY),
    tag("BodyPartExamined", "CS", Level.SERIES),
    tag("AcquisitionNumber", "IS", Level.INSTANCE),
    tag("ProtocolName", "LO", Level.INSTANCE),
)


@dataclass(frozen=True)
class TaggedInstance(Instance):
    """An instance with values of tags; every third one has none of its study, and none of its series."""

    @property
    def file(self) -> bytes:
        number = int(self.uid.rpartition(".")[2]) + self.pixels[0]
        values: dict[str, object] = {"AcquisitionNumber": number, "ProtocolName": f"Protocol {number % 2}"}
        if number % 3:
            values |= {"InstitutionName": f"Hospital {number}", "BodyPartExamined": f"PART {number}"}
        return part10(
            dataset(
                StudyInstanceUID=self.study,
                SeriesInstanceUID=self.series,
                SOPInstanceUID=self.uid,
                PatientID=self.attributes.patient_id,
                PatientName=self.attributes.patient_name,
                StudyDate=None,
                Modality=self.attributes.modality,
                PixelData=self.pixels,
                **values,
            )
        )


def population() -> list[Instance]:
    """All that clients may store."""
    return [TaggedInstance(one.study, one.series, one.uid, one.attributes, one.pixels) for one in _CHANGES.population()]


async def play_tags(world: World) -> None:
    """Change the archive and its tags, and check what becomes of both. Raises AssertionError."""
    with patch.object(engine, "_WAITING_SECONDS", 240):  # for hours, after a death
        await _play(world)


async def _play(world: World) -> None:
    schedule, loop = world.shared.schedule, world.shared.loop
    world.known = population()
    schedule.is_calm = True
    for _ in range(schedule.random.randint(1, 3)):
        await world.start_process()
    for _ in range(schedule.random.randint(0, 3)):
        await ask(world, _CHANGES, schedule.random)
    schedule.is_calm = False
    world.longest_pause = schedule.random.choice((0, 30, 90))  # stores that last while tags come and go
    schedule.slow_rate, schedule.slow_seconds = schedule.random.choice(((0, 0), (0.1, 20), (0.1, 50), (0.4, 10)))
    host = QueueHost(world.shared, _functions(world))
    troubled = [host.serve(_HOUR / 2), _each(10 * _MINUTE, 3, world), *(_client(world) for _ in range(3))]
    troubled += [_tagger(world) for _ in range(2)]
    for task in [loop.create_task(one) for one in troubled]:
        await task
    schedule.is_calm = True
    calm = loop.create_task(host.serve(_LASTING_HOURS * _HOUR))
    await _each(10 * _MINUTE, 3 * _LASTING_HOURS, world)
    await _add_again(world)
    await _each(10 * _MINUTE, 3 * _LASTING_HOURS, world)
    await calm
    await read_all(world)
    if wrong := unexplained(world.events):
        raise AssertionError("\n\n".join(wrong))
    judge = await world.start_process()
    await judge.start(_check(judge))


def _functions(world: World) -> Mapping[str, Callable[[Mapping[str, Any], int], Awaitable[None]]]:
    async def run(content: Mapping[str, Any], count: int) -> None:
        process = await world.a_process()
        await world.ask(process, run_unit(process.archive, SETTINGS, UnitMessage(**content), count))

    async def fail(content: Mapping[str, Any], _: int) -> None:
        process = await world.a_process()
        await world.ask(process, fail_unit(process.archive, UnitMessage(**content)))

    return {"operations": run, "operations-poison": fail}


async def _client(world: World) -> None:
    chance = world.shared.schedule.random
    for _ in range(8):
        await sleep(_pause(chance))
        await ask(world, _CHANGES, chance)


async def _tagger(world: World) -> None:
    """Add tags, then remove some, cancel an operation, or wait until they are ready."""
    chance = world.shared.schedule.random
    for _ in range(3):
        await sleep(_pause(chance))
        process = await world.a_process()
        with suppress(Unanswered, NotFound):
            tags = (await world.ask(process, process.archive.tags.read())).tags.tags
            if tags and chance.random() < 0.4:
                number = chance.choice(tags).number
                await _do(
                    world, process, remove_tag(process.archive, number, after_seconds=UNSEEN_SECONDS, now=processes.now)
                )
            elif tags and tags[-1].operation_id and chance.random() < 0.2:
                await _do(world, process, cancel(process.archive, tags[-1].operation_id))
            elif not any(tag.status is TagStatus.ADDING for tag in tags):
                await _add(world, process, chance.sample(_TAGS, chance.randint(1, 3)), tags)


async def _add(world: World, process: Process, asked: list[ExtendedTag], there: tuple[ExtendedTag, ...]) -> None:
    if new := [one for one in asked if one.path not in {other.path for other in there}]:
        await _do(world, process, add_tags(process.archive, *new, after_seconds=UNSEEN_SECONDS, now=processes.now))


async def _do(world: World, process: Process, work: Coroutine[Any, Any, Any]) -> None:
    done = await world.ask(process, work)
    world.shared.schedule.note(world.shared.loop.time(), "client", f"change of tags: {done}")


async def _add_again(world: World) -> None:
    """What clients do whose tags nobody makes ready: the request died, or the operation was canceled or failed."""
    process = await world.a_process()
    tags = (await world.ask(process, process.archive.tags.read())).tags.tags
    left = [replace(one, error_count=0) for one in tags if one.status is TagStatus.ADDING]
    if left:
        await _do(world, process, add_tags(process.archive, *left, after_seconds=UNSEEN_SECONDS, now=processes.now))


async def _each(seconds: float, times: int, world: World) -> None:
    for _ in range(times):
        await sleep(seconds)
        await world.maintain()
        process = await world.a_process()
        with suppress(Unanswered):
            await world.ask(process, look_after_operations(process.archive, SETTINGS))


def _pause(chance: Random) -> float:
    return chance.choice((0, 1, 5, 20)) * chance.random()


async def _check(process: Process) -> None:
    archive = process.archive
    tags = (await archive.tags.read()).tags
    assert not tags.removed, f"Nobody has cleaned up: {tags.removed}"
    assert all(one.status is TagStatus.READY and not one.operation_id for one in tags.tags), tags
    async for operation in archive.operations.read_all():
        assert operation.status.has_ended, f"{operation} has not ended"
    await check_archive(archive, SETTINGS)

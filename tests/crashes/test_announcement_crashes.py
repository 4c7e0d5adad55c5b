"""A process that dies while it deals with a study that a release before the change feed has stored.

The batches are so small that the study's announcement takes several.
"""

from collections.abc import Awaitable, Callable
from itertools import count

import pytest

from shared.services.write.delete import delete
from shared.storage import catalog_batches
from tests.crashes.world import World
from tests.support.default_partition import resource_of, study_key
from tests.support.old_format import as_before_the_feed
from tests.support.served_instances import new_uid
from tests.support.storage_policies import StopAt, before_or_after
from tests.support.stored_instances import KnownInstance, known_instances

RecordProperty = Callable[[str, object], None]
Request = Callable[[World, list[KnownInstance], StopAt], Awaitable[bool]]

ANNOUNCED = 4


async def announcing(world: World, instances: list[KnownInstance], stop: StopAt) -> bool:
    return await world.dies_announcing(instances[0].identifiers.study_instance_uid, stop)


async def storing(world: World, instances: list[KnownInstance], stop: StopAt) -> bool:
    return await world.dies_storing([instances[-1].file], stop)


async def deleting_one(world: World, instances: list[KnownInstance], stop: StopAt) -> bool:
    return await world.dies_deleting(instances[0].resource, stop)


async def deleting_all(world: World, instances: list[KnownInstance], stop: StopAt) -> bool:
    return await world.dies_deleting(resource_of(instances[0].identifiers.study_instance_uid), stop)


@before_or_after
@pytest.mark.parametrize(
    ("request_of", "deleted"),
    [
        (announcing, 0),
        pytest.param(storing, 0, marks=pytest.mark.long),
        pytest.param(deleting_one, 1, marks=pytest.mark.long),
        pytest.param(deleting_all, ANNOUNCED, marks=pytest.mark.long),
    ],
)
async def test_a_request_to_an_unannounced_study_that_dies_anywhere(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    request_of: Request,
    deleted: int,
    is_done: bool,
    record_property: RecordProperty,
) -> None:
    monkeypatch.setattr(catalog_batches, "_CHANGES_OF_A_ROW", 1)
    for operation in count(1):
        study = new_uid()
        *old, new = known_instances(study, new_uid(), ANNOUNCED + 1)
        await world.store(*old)
        await as_before_the_feed(world.archive, study_key(study))
        with monkeypatch.context() as limited:
            limited.setattr(catalog_batches, "_BATCH_ROWS", 4)
            died = await request_of(world, [*old, new], StopAt(operation, is_done=is_done))
            await world.maintain()
            # Whatever became of the request: the next one finds a study that it can go on from.
            if not await world.has(new):
                await world.store(new)
        there = await world.which(old)
        assert died or len(there) == ANNOUNCED - deleted
        await world.check(there=[*there, new])
        await delete(world.archive, resource_of(study))
        await world.check(gone=[*old, new])
        await world.forget(study)
        if not died:
            break
    record_property("crash points", operation - 1)
    assert operation > 5

"""The simulation answers as Azurite does: random calls, one after another, to both."""

import time
from contextlib import AsyncExitStack
from random import Random

import pytest
from azure.core.pipeline.transport import AioHttpTransport

from local.azurite import ACCOUNT, KEY, Azurite
from tests.simulation.blob_calls import blob_call
from tests.simulation.both_storages import DirectConnection, answer, both
from tests.simulation.connection import SimulatedTransport
from tests.simulation.queue_calls import queue_call, queue_side
from tests.simulation.storage import SimulatedStorage
from tests.simulation.table_calls import DIFFERENCES, LIMITS, table_call

_CALLS = 150


@pytest.mark.parametrize("seed", range(6))
async def test_tables_answer_as_azurite_does(azurite: Azurite, seed: int) -> None:
    chance = Random(seed)
    async with both(azurite.connection_string) as (real, simulated):
        for number in range(_CALLS):
            call = table_call(chance)
            expected, found = await answer(real, call.make), await answer(simulated, call.make)
            assert found == expected, f"call {number}: {call.what}"


@pytest.mark.parametrize("seed", range(6))
async def test_blobs_answer_as_azurite_does(azurite: Azurite, seed: int) -> None:
    chance = Random(seed)
    async with both(azurite.connection_string) as (real, simulated):
        for number in range(_CALLS):
            call = blob_call(chance)
            expected, found = await answer(real, call.make), await answer(simulated, call.make)
            assert found == expected, f"call {number}: {call.what}"


@pytest.mark.parametrize("seed", range(3))
async def test_queues_answer_as_azurite_does(azurite: Azurite, seed: int) -> None:
    chance = Random(seed)
    storage = DirectConnection(SimulatedStorage(time.monotonic, lambda most: most))
    async with AsyncExitStack() as stack:
        real, simulated = [
            await stack.enter_async_context(queue_side(*place))
            for place in (
                (f"http://127.0.0.1:{azurite.port + 1}/{ACCOUNT}", ACCOUNT, KEY, AioHttpTransport()),
                ("http://simulated.queue.core.windows.net", "simulated", KEY, SimulatedTransport(storage)),
            )
        ]
        for number in range(60):
            what, answers = await queue_call(chance, number, real, simulated)
            assert answers[1:] == answers[:1], f"call {number}: {what}"


@pytest.mark.parametrize("what", LIMITS)
async def test_limits_are_those_of_azurite_unless_a_difference_is_known(azurite: Azurite, what: str) -> None:
    async with both(azurite.connection_string) as (real, simulated):
        expected, found = await answer(real, LIMITS[what]), await answer(simulated, LIMITS[what])
    if what in DIFFERENCES:
        assert found == DIFFERENCES[what][0]
        assert found != expected, "Azurite now does as Azure does."
    else:
        assert found == expected

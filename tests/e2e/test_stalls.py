"""No load holds the loop, or fills the process: others are served meanwhile, in bounded memory.

A stall that somebody could notice is compared with those of the same process' idle loop, measured in turn with it, so
that a slow machine adds to both. Other processes only ever make stalls longer, never shorter, so the shortest of a few
tries is the load's own. The loop waits longest where another process takes the place of a thread that holds the
interpreter, which an idle loop never meets: so these tests run alone.
"""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.hostile_loads import LOADS, warm_up
from tests.support.measured_load import Measured, idle, measured
from tests.support.measured_server import MIB, WarmServer, needs_proc, warm_server

pytestmark = needs_proc

TRIES = 3
TIMES_IDLE = 5
UNNOTICED_MILLISECONDS = 50  # what holds the loop holds it for seconds, or for tenths of one
IDLE_SECONDS = 1
MAX_HELD_BYTES = 512 * MIB
MAX_OPERATIONS = 1_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmServer]:
    """A server that no load here ends."""
    with warm_server(tmp_path_factory.mktemp("stalls"), warm_up) as running:
        yield running


@pytest.fixture
def mortal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmServer]:
    """A server for one load, which may have to be ended."""
    with warm_server(tmp_path_factory.mktemp("memory"), warm_up) as running:
        yield running


def under_load(server: WarmServer, name: str, scale: float) -> Measured:
    return asyncio.run(measured(server, asyncio.run(LOADS[name].prepare(server, scale))))


@pytest.mark.alone
@pytest.mark.parametrize(
    ("name", "scale"), [("1a", 1), ("1c", 1), ("2a", 1), pytest.param("2c", 1, marks=pytest.mark.long), ("10a", 4)]
)
def test_the_loop_is_not_held(server: WarmServer, name: str, scale: float) -> None:
    put = asyncio.run(LOADS[name].prepare(server, scale))
    of_idle, of_load = [], []
    for _ in range(TRIES):
        of_idle.append(asyncio.run(measured(server, lambda: idle(IDLE_SECONDS))).stall_milliseconds)
        of_load.append(asyncio.run(measured(server, put)).stall_milliseconds)
        if min(of_load) <= max(UNNOTICED_MILLISECONDS, TIMES_IDLE * max(of_idle)):
            return
    pytest.fail(f"The loop stood still for {of_load} ms, when idle for {of_idle} ms.")


def test_a_list_of_uids_is_matched_and_not_multiplied(server: WarmServer) -> None:
    assert under_load(server, "5", 0.5).operations < MAX_OPERATIONS


@pytest.mark.long
@pytest.mark.parametrize("name", ["3d", "3e", "3f", "3g"])
def test_what_is_held_for_answers_is_bounded(mortal_server: WarmServer, name: str) -> None:
    found = under_load(mortal_server, name, 1)
    assert not found.is_stopped
    assert found.growth_bytes < MAX_HELD_BYTES


def test_headers_come_to_an_end(server: WarmServer) -> None:
    assert not under_load(server, "9a", 1).answers["open"]

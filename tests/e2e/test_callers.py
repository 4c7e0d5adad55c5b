"""One caller with many connections does not keep another from being served."""

import asyncio
from pathlib import Path

from tests.conftest import serving
from tests.support.measured_load import percentile
from tests.support.two_callers import alone_and_beside

ROUNDS = 6
TIMES = 15  # as long waits whoever has many connections, at least; without turns, it is the same for both


def test_a_caller_with_200_connections_leaves_room(tmp_path: Path) -> None:
    with serving(tmp_path / "log", TRUST_FORWARDED="true") as server:
        callers = asyncio.run(alone_and_beside(server, ROUNDS))
    assert {answer.removeprefix("stored ") for answer in callers.answers} == {"200"}
    assert TIMES * percentile(callers.beside, 90) < callers.greedy

"""32 ordinary clients and one that puts every hostile load, in turn, for as long as wanted."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import httpx

from tests.conftest import Server
from tests.support.hostile_loads import LOADS
from tests.support.measured_load import Load, Measured, measured
from tests.support.measured_server import WarmServer
from tests.support.served_instances import dataset, part10, path_of

CLIENTS = 32
SCALE = 0.25
"""Of each load. What all of them hold at once is bounded in any case."""


async def soak(server: WarmServer, seconds: float) -> tuple[Measured, Measured]:
    """What the first and the second half did; twice the first where that ended the server."""
    loads = [await load.prepare(server, SCALE) for load in LOADS.values()]
    halves: list[Measured] = []
    for _ in range(2):
        halves.append(await measured(server, _mixed(server, loads, seconds / 2)))
        if halves[-1].is_stopped:
            break
    return halves[0], halves[-1]


def _mixed(server: Server, loads: Sequence[Load], seconds: float) -> Load:
    async def put() -> "Counter[str]":
        end = time.monotonic() + seconds
        ordinary = [_ordinary(server, end) for _ in range(CLIENTS)]
        return sum(await asyncio.gather(_hostile(loads, end), *ordinary), Counter[str]())

    return put


async def _hostile(loads: Sequence[Load], end: float) -> "Counter[str]":
    answers: Counter[str] = Counter()
    while time.monotonic() < end:
        for load in loads:
            if time.monotonic() < end:
                answers += await load()
    return answers


async def _ordinary(server: Server, end: float) -> "Counter[str]":
    """Stores an instance, looks at it in several ways, and deletes it, again and again."""
    answers: Counter[str] = Counter()
    async with httpx.AsyncClient(base_url=f"{server.base_url}/v2", timeout=120) as client:
        while time.monotonic() < end:
            image = dataset()
            study = f"/studies/{image.StudyInstanceUID}"
            stored = await client.post("/studies", content=part10(image), headers={"Content-Type": "application/dicom"})
            answers[str(stored.status_code)] += 1
            for target in (
                f"/studies?StudyInstanceUID={image.StudyInstanceUID}",
                f"{study}/metadata",
                study,
                f"{path_of(image)}/frames/1",
                f"{path_of(image)}/rendered",
            ):
                answers[str((await client.get(target)).status_code)] += 1
            answers[str((await client.delete(study)).status_code)] += 1
    return answers

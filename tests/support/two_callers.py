"""How long one caller waits for its answers: alone, and beside another that has 200 connections."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from local.azurite import ROOT
from tests.conftest import Server
from tests.support.greedy_caller import CONNECTIONS
from tests.support.served_instances import dataset, part10, path_of

_SETTLING_SECONDS = 8  # until the other has opened all of its connections
_SIDE = 512


async def stored_targets(server: Server) -> list[str]:
    """What both ask for: an instance, its frame as it is stored, its picture and metadata, and a search."""
    image = dataset(Rows=_SIDE, Columns=_SIDE, PixelData=bytes(range(256)) * (_SIDE * _SIDE // 256))
    async with httpx.AsyncClient(timeout=60) as client:
        stored = await client.post(
            f"{server.base_url}/v2/studies", content=part10(image), headers={"Content-Type": "application/dicom"}
        )
    assert stored.status_code == 200
    path, study = f"/v2{path_of(image)}", f"/v2/studies/{image.StudyInstanceUID}"
    search = f"/v2/studies?PatientID={image.PatientID}&StudyInstanceUID={image.StudyInstanceUID}"
    return [path, f"{path}/frames/1", f"{path}/rendered", f"{study}/metadata", search]


async def waits(server: Server, targets: list[str], rounds: int) -> list[float]:
    """The milliseconds of each answer to the well-behaved caller, one after another."""
    milliseconds = []
    async with httpx.AsyncClient(base_url=server.base_url, timeout=120) as client:
        for target in rounds * targets:
            began = time.perf_counter()
            answer = await client.get(target)
            milliseconds.append(1000 * (time.perf_counter() - began))
            assert answer.status_code == 200, answer.text[:500]
    return milliseconds


@contextmanager
def greedy_caller(server: Server, targets: list[str], answers: "Counter[str]") -> Iterator[None]:
    """Another caller meanwhile; what it was answered is counted in the end."""
    with subprocess.Popen(  # noqa: S603 -- our own arguments
        [sys.executable, "-m", "tests.support.greedy_caller", server.base_url, *targets],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        time.sleep(_SETTLING_SECONDS)
        yield
        printed, _ = process.communicate()
        answers.update(json.loads(printed))


@dataclass(frozen=True)
class Callers:
    """The waits of one caller alone and beside the other, in milliseconds; the other's on average, and its answers."""

    alone: list[float]
    beside: list[float]
    greedy: float
    answers: "Counter[str]"


async def alone_and_beside(server: Server, rounds: int) -> Callers:
    """What one caller and the other wait for."""
    targets = await stored_targets(server)
    await waits(server, targets, 2)
    alone, answers = await waits(server, targets, rounds), Counter[str]()
    began = time.perf_counter()
    with greedy_caller(server, targets, answers):
        beside = await waits(server, targets, rounds)
        milliseconds = 1000 * (time.perf_counter() - began)
    return Callers(alone, beside, CONNECTIONS * milliseconds / sum(answers.values()), answers)

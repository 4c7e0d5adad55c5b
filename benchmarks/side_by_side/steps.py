"""What is measured: each step is a request that a contestant answers, again and again, by one client or several."""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom import dcmread

from benchmarks.side_by_side.contestants import Contestant
from benchmarks.side_by_side.made_files import CT_SLICE, LARGE, MULTI_FRAME, TINY_SLICE, Maker

_CT, _TINY, _MULTI_FRAME, _LARGE = (Maker(kind) for kind in (CT_SLICE, TINY_SLICE, MULTI_FRAME, LARGE))
_CT_STUDY, _TINY_STUDY, _MULTI_FRAME_STUDY, _GROWING_STUDY = 1, 2, 3, 4
_LISTED_STUDIES: Final = range(100, 160)
_NEW_STUDIES: Final = itertools.count(1000)
_NEW_INSTANCES: Final = itertools.count(1)

CT_INSTANCES: Final = 40
TINY_INSTANCES: Final = 1000
_SHARES: Final = {"frame": 35, "metadata": 35, "search": 20, "store": 10}
_BATCH: Final = 50

Request = Callable[[Contestant], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Goal:
    """The most that our median time may be, as a multiple of another's."""

    over: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Step:
    """A step: `make_request` returns the next request to send; `requests` of them in a round, by `clients` clients."""

    name: str
    make_request: Callable[[], Request]
    requests: int
    clients: int = 1
    goals: tuple[Goal, ...] = ()
    seconds: float | None = None
    is_long: bool = False
    """Whether a round takes minutes: then there is only one, and none to warm up."""
    instances: int = 0
    """How many one request stores, where the CPU time of each is reported."""


async def fill(contestant: Contestant) -> None:
    """Store what the steps read."""
    await contestant.store([_CT.file(_CT_STUDY, number) for number in range(CT_INSTANCES)], _CT_STUDY, 0)
    for first in range(0, TINY_INSTANCES, _BATCH):
        numbers = range(first, first + _BATCH)
        await contestant.store([_TINY.file(_TINY_STUDY, number) for number in numbers], _TINY_STUDY, first)
    await contestant.store([_MULTI_FRAME.file(_MULTI_FRAME_STUDY, 0)], _MULTI_FRAME_STUDY, 0)
    await contestant.store([_CT.file(_GROWING_STUDY, 0)], _GROWING_STUDY, 0)
    for study in _LISTED_STUDIES:
        await contestant.store([_TINY.file(study, number) for number in range(2)], study, 0)


def read_cpu_seconds() -> float:
    """The CPU time that pydicom takes to read an instance's header and turn it into DICOM JSON."""
    files = [BytesIO(_CT.file(_CT_STUDY, number)) for number in range(CT_INSTANCES)]
    began = time.process_time()
    for file in files:
        dcmread(file, stop_before_pixels=True).to_json_dict()
    return (time.process_time() - began) / len(files)


def steps(mix_seconds: float) -> list[Step]:
    """Every step, in the order in which they are run."""
    instances, frames = itertools.cycle(range(CT_INSTANCES)), itertools.cycle(range(1, MULTI_FRAME.frames + 1))
    patients = itertools.cycle(_LISTED_STUDIES)

    def instance() -> Request:
        number = next(instances)
        return lambda one: one.instance(_CT_STUDY, number)

    def frame() -> Request:
        number = next(frames)
        return lambda one: one.frame(_MULTI_FRAME_STUDY, 0, number)

    def patient() -> Request:
        patient_id = f"P{next(patients):011d}"
        return lambda one: one.search_studies(patient_id, 100)

    def picture() -> Request:
        number = next(instances)
        return lambda one: one.rendered(_CT_STUDY, number)

    def store(count: int) -> Callable[[], Request]:
        def request() -> Request:
            study = next(_NEW_STUDIES)
            files = [_CT.file(study, number) for number in range(count)]
            return lambda one: one.store(files, study, 0)

        return request

    def one_more() -> Request:
        number = next(_NEW_INSTANCES)
        file = _CT.file(_GROWING_STUDY, number)
        return lambda one: one.store([file], _GROWING_STUDY, number)

    def always(request: Request) -> Callable[[], Request]:
        return lambda: request

    def multi_frame() -> Request:
        study = next(_NEW_STUDIES)
        file = _MULTI_FRAME.file(study, 0)
        return lambda one: one.store([file], study, 0)

    def large() -> Request:
        study = next(_NEW_STUDIES)
        return lambda one: one.store_large(_LARGE, study)

    list_of_25, series, of_series = (
        always(lambda one: one.search_studies(None, 25)),
        always(lambda one: one.search_series(_TINY_STUDY)),
        always(lambda one: one.search_instances(_CT_STUDY)),
    )
    metadata_of_40 = always(lambda one: one.metadata(_CT_STUDY))
    searches = (patient, list_of_25, series, of_series)
    mixed: dict[str, Callable[[], Request]] = {
        "frame": frame,
        "metadata": metadata_of_40,
        "search": lambda: _RANDOM.choice(searches)(),
        "store": store(1),
    }

    def mix() -> Request:
        (kind,) = _RANDOM.choices(list(_SHARES), list(_SHARES.values()))
        return mixed[kind]()

    sdk, orthanc = "limit", "Orthanc"
    return [
        Step("store 1", store(1), 10, goals=(Goal(sdk, 5.0),)),
        Step("store 1 into a study", one_more, 10, goals=(Goal(sdk, 3.0),)),
        Step("store 1, 8 clients", store(1), 32, 8),
        Step("store 40 in one request", store(CT_INSTANCES), 2, goals=(Goal(sdk, 1.5),), instances=CT_INSTANCES),
        Step("store 15 MB of 120 frames", multi_frame, 3),
        Step("search by PatientID", patient, 20, goals=(Goal(sdk, 1.3),)),
        Step("search, list of 25", list_of_25, 8, goals=(Goal(sdk, 1.3),)),
        Step("search a study's series", series, 20, goals=(Goal(sdk, 1.3),)),
        Step("search a series' 40 instances", of_series, 15, goals=(Goal(sdk, 1.3),)),
        Step("metadata of 40", metadata_of_40, 15, goals=(Goal(orthanc, 1.0),)),
        Step("metadata of 1,000", always(lambda one: one.metadata(_TINY_STUDY)), 1, goals=(Goal(orthanc, 0.5),)),
        Step("retrieve 1", instance, 20, goals=(Goal(sdk, 1.3),)),
        Step("retrieve 1, 8 clients", instance, 40, 8),
        Step("retrieve a study of 40", always(lambda one: one.study(_CT_STUDY)), 3, goals=(Goal(sdk, 1 / 0.8),)),
        Step("1 frame of 120", frame, 20, goals=(Goal(orthanc, 1.0),)),
        Step("40 frames, 8 clients", frame, 40, 8),
        Step("rendered", picture, 8, goals=(Goal(orthanc, 1.0),)),
        *(Step(f"mix, {many} clients", mix, 0, many, seconds=mix_seconds, is_long=True) for many in (1, 8, 32)),
        Step("store 1 GiB", large, 1, goals=(Goal(sdk, 1 / 0.8),), is_long=True),
    ]


_RANDOM: Final = random.Random(0)


@dataclass(frozen=True, slots=True)
class Round:
    """The measurements of a round: seconds of each request and in all, and the bytes that went over the wire."""

    seconds: list[float]
    elapsed: float
    moved_bytes: int


async def run_round(step: Step, contestant: Contestant) -> Round:
    """Send a step's requests once, or for the step's time."""
    requests = _requests(step)
    seconds: list[float] = []
    moved_bytes = 0

    async def client() -> None:
        nonlocal moved_bytes
        for request in requests:
            began = time.perf_counter()
            size = await request(contestant)
            seconds.append(time.perf_counter() - began)
            moved_bytes += size

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(step.clients)))
    return Round(seconds, time.perf_counter() - began, moved_bytes)


def _requests(step: Step) -> Iterator[Request]:
    """The requests of a round, made before it begins where their number is known."""
    if step.seconds is None:
        return iter([step.make_request() for _ in range(step.requests)])
    end = time.monotonic() + step.seconds
    return iter(lambda: step.make_request() if time.monotonic() < end else None, None)

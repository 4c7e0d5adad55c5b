"""What a load does to a served app: how long others wait, how long its loop stands still, what it holds and asks.

A request of the measurement's own is under way all the time: as long as one is, the process measures its loop.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from local.azurite import ROOT
from tests.support.hostile_clients import connected, request
from tests.support.measured_server import GIB, HEADERS, KIB, WarmServer, peak_bytes

MAX_GROWTH_BYTES = int(1.2 * GIB)
"""Where the process is ended, before it fills the machine."""

_LOOK_SECONDS = 0.05
_LINE_SECONDS = 30
_STOPPED_LINE_SECONDS = 2
_CODEC = b"shared.imaging.codec_process"
_LINE = re.compile(r"transaction=\S+ .*? storage=(\d+) .*?stall_ms=(\d+) trace=(\w+)")

Load = Callable[[], Awaitable["Counter[str]"]]


@dataclass(frozen=True)
class Measured:
    """What a load did. `answers` are counted by status; `is_stopped`: the process grew too large, and was ended."""

    waits_milliseconds: list[float]
    stall_milliseconds: int
    growth_bytes: int
    operations: int
    answers: Counter[str]
    is_stopped: bool

    def wait_percentile(self, percent: int) -> float:
        """The milliseconds that so many in a hundred requests of another client do not exceed."""
        return percentile(self.waits_milliseconds, percent)

    def as_dict(self) -> dict[str, Any]:
        """The figures, for a file."""
        return {
            "wait_p50_ms": self.wait_percentile(50),
            "wait_p99_ms": self.wait_percentile(99),
            "wait_max_ms": self.wait_percentile(100),
            "stall_ms": self.stall_milliseconds,
            "growth_bytes": self.growth_bytes,
            "operations": self.operations,
            "answers": dict(self.answers),
            "is_stopped": self.is_stopped,
        }


def percentile(values: Sequence[float], percent: int) -> float:
    """What so many in a hundred of the values do not exceed; NaN of none."""
    ascending = sorted(values)
    return ascending[max(0, -(-len(ascending) * percent // 100) - 1)] if ascending else float("nan")


async def measured(server: WarmServer, load: Load) -> Measured:
    """Put a load on a server, and end what of it is left when the server grows too large."""
    log_end = server.log.stat().st_size
    trace = uuid4().hex
    (server.process / "clear_refs").write_text("5")  # restarts the count of the peak
    most_bytes = [0]  # of the process and those that it started
    with _waits(server) as waits:
        async with _held(server, trace):
            putting = asyncio.ensure_future(load())
            watching = asyncio.create_task(_grown_too_large(server, most_bytes))
            await asyncio.wait([putting, watching], return_when=asyncio.FIRST_COMPLETED)
            is_stopped = not putting.done()
            for task in (putting, watching):
                task.cancel()
            await asyncio.wait([putting, watching])
            growth_bytes = max(peak_bytes(server.process), most_bytes[0]) - server.bytes_at_rest
        lines = await _lines(server, log_end, trace, _STOPPED_LINE_SECONDS if is_stopped else _LINE_SECONDS)
        if is_stopped:
            os.kill(int(server.process.name), signal.SIGKILL)
    return Measured(
        waits,
        max((stall for _, stall, _ in lines), default=0),
        growth_bytes,
        sum(storage for storage, _, _ in lines),
        Counter({"stopped": 1}) if is_stopped else putting.result(),
        is_stopped,
    )


async def idle(seconds: float) -> "Counter[str]":
    """No load at all."""
    await asyncio.sleep(seconds)
    return Counter()


@contextmanager
def _waits(server: WarmServer) -> Iterator[list[float]]:
    """How many milliseconds another client waits, each time; filled at the end."""
    waits: list[float] = []
    port = str(httpx.URL(server.base_url).port)
    with subprocess.Popen(  # noqa: S603 -- our own arguments
        [sys.executable, "-m", "tests.support.liveness", port],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield waits
        printed, _ = process.communicate()
        waits += json.loads(printed)


@asynccontextmanager
async def _held(server: WarmServer, trace: str) -> AsyncIterator[None]:
    """A store that goes on for as long as the measurement, a byte of its preamble a second."""
    headers = {**HEADERS, "Transfer-Encoding": "chunked", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}

    async def drip(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"1\r\nx\r\n")
            await asyncio.sleep(1)

    async with connected(server) as (_, writer):
        writer.write(request("POST", "/v2/studies", headers))
        dripping = asyncio.create_task(drip(writer))
        await asyncio.sleep(_LOOK_SECONDS)
        yield
        dripping.cancel()


async def _grown_too_large(server: WarmServer, most_bytes: list[int]) -> None:
    while most_bytes[0] - server.bytes_at_rest < MAX_GROWTH_BYTES:
        most_bytes[0] = max(most_bytes[0], _bytes_now(server))
        await asyncio.sleep(_LOOK_SECONDS)


def _bytes_now(server: WarmServer) -> int:
    """What the process holds, and the processes of codecs that it has started."""
    started = (path.read_text().split() for path in (server.process / "task").glob("*/children"))
    folders = (server.process.parent / number for numbers in started for number in numbers)
    return _resident_bytes(server.process, b"") + sum(_resident_bytes(folder, _CODEC) for folder in folders)


def _resident_bytes(process: Path, module: bytes) -> int:
    """What a process holds, if it runs a module."""
    try:
        if module not in (process / "cmdline").read_bytes():
            return 0
        found = re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())
    except OSError:  # it has ended
        return 0
    return int(found[1]) * KIB if found else 0


async def _lines(server: WarmServer, log_end: int, trace: str, seconds: float) -> list[tuple[int, int, str]]:
    """What the log says since: storage operations, stalls and trace of each request, that of `trace` among them."""
    lines: list[tuple[int, int, str]] = []
    for _ in range(int(seconds / _LOOK_SECONDS)):
        with server.log.open(errors="replace") as log:
            log.seek(log_end)
            found = [_LINE.search(line) for line in log]
        lines = [(int(one[1]), int(one[2]), one[3]) for one in found if one]
        if any(one == trace for _, _, one in lines):
            break
        await asyncio.sleep(_LOOK_SECONDS)
    return lines

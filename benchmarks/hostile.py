"""What hostile and heavy loads do to the service: ``python -m benchmarks.hostile 1a 3`` prints a line for each load.

A fresh server takes each load. Beside it, another client asks for /health/live every 100 ms, and the process measures
how long its event loop stands still. A process that grows by 1.2 GiB is ended. All figures are also written as JSON.
"""

import argparse
import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.conftest import serving
from tests.support.hostile_loads import LOADS, HostileLoad, warm_up
from tests.support.measured_load import Measured, idle, measured, percentile
from tests.support.measured_server import MIB, warm_server
from tests.support.soak import soak
from tests.support.two_callers import alone_and_beside

_IDLE_SECONDS: Final = 3
_CALLER_ROUNDS: Final = 40
_HEADING: Final = (
    "| | load | wait p50 ms | p99 | max | stall ms | idle stall | MiB over idle | operations | answers |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def main() -> None:
    """Put the loads that the arguments name, print what each did, and write the file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("rows", nargs="*", help="beginnings of the loads' numbers, such as 1a or 3; all without any")
    parser.add_argument("--scale", type=float, default=1, help="less than 1 for less of each load")
    parser.add_argument(
        "--soak", type=float, metavar="SECONDS", help="all loads beside 32 clients, instead of each alone"
    )
    parser.add_argument(
        "--callers", action="store_true", help="one caller alone, and beside another with 200 connections"
    )
    parser.add_argument("--to", type=Path, default=Path("bench"), help="folder for hostile.json")
    arguments = parser.parse_args()
    if arguments.callers:
        results = _callers()
    else:
        print(_HEADING, flush=True)
        results = _soak(arguments.soak) if arguments.soak else _each(arguments.rows, arguments.scale)
    arguments.to.mkdir(exist_ok=True)
    (arguments.to / "hostile.json").write_text(json.dumps(results, indent=1) + "\n")


def _each(rows: list[str], scale: float) -> dict[str, Any]:
    results = {}
    for name, load in LOADS.items():
        if not rows or name.startswith(tuple(rows)):
            before, under_load = _measure(load, scale)
            print(_line(name, load.what, under_load, before), flush=True)
            results[name] = {"idle": before.as_dict(), "load": under_load.as_dict()}
    return results


def _soak(seconds: float) -> dict[str, Any]:
    with TemporaryDirectory() as folder, warm_server(Path(folder), warm_up) as server:
        before = asyncio.run(measured(server, lambda: idle(_IDLE_SECONDS)))
        halves = dict(zip(("first", "second"), asyncio.run(soak(server, seconds)), strict=True))
    for name, half in halves.items():
        print(_line(name, f"half of {seconds:.0f} s of all loads", half, before), flush=True)
    return {name: half.as_dict() for name, half in halves.items()}


def _callers() -> dict[str, Any]:
    with TemporaryDirectory() as folder, serving(Path(folder) / "log", TRUST_FORWARDED="true") as server:
        callers = asyncio.run(alone_and_beside(server, _CALLER_ROUNDS))
    print("| caller | wait p50 ms | p99 | max |\n| --- | --- | --- | --- |")
    waits = {"alone": callers.alone, "beside 200 connections": callers.beside, "the other": [callers.greedy]}
    for name, milliseconds in waits.items():
        cells = [name, *(f"{percentile(milliseconds, percent):.0f}" for percent in (50, 99, 100))]
        print(f"| {' | '.join(cells)} |", flush=True)
    return {**waits, "answers": dict(callers.answers)}


def _measure(load: HostileLoad, scale: float) -> tuple[Measured, Measured]:
    """The server without the load, and with it."""
    with TemporaryDirectory() as folder, warm_server(Path(folder), warm_up) as server:
        put = asyncio.run(load.prepare(server, scale))
        before = asyncio.run(measured(server, lambda: idle(_IDLE_SECONDS)))
        return before, asyncio.run(measured(server, put))


def _line(name: str, what: str, under_load: Measured, before: Measured) -> str:
    answers = ", ".join(f"{count} x {answer}" for answer, count in under_load.answers.items())
    cells = [
        name,
        what,
        *(f"{under_load.wait_percentile(percent):.0f}" for percent in (50, 99, 100)),
        str(under_load.stall_milliseconds),
        str(before.stall_milliseconds),
        f"{under_load.growth_bytes / MIB:.0f}",
        str(under_load.operations),
        answers,
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

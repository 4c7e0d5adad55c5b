"""What hostile and heavy loads do to the service: ``python -m benchmarks.hostile 1a 3`` prints a line for each load.

A fresh server takes each load. Beside it, another client asks for /health/live every 100 ms, and the process measures
how long its event loop stands still. A process that grows by 1.2 GiB is ended. All figures are also written as JSON.
"""

import argparse
import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.support.hostile_loads import LOADS, HostileLoad, warm_up
from tests.support.measured_load import Measured, idle, measured
from tests.support.measured_server import MIB, warm_server

_IDLE_SECONDS: Final = 3
_HEADING: Final = (
    "| | load | wait p50 ms | p99 | max | stall ms | idle stall | MiB over idle | operations | answers |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def main() -> None:
    """Put the loads that the arguments name, print what each did, and write the file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("rows", nargs="*", help="beginnings of the loads' numbers, such as 1a or 3; all without any")
    parser.add_argument("--scale", type=float, default=1, help="less than 1 for less of each load")
    parser.add_argument("--to", type=Path, default=Path("bench"), help="folder for hostile.json")
    arguments = parser.parse_args()
    print(_HEADING, flush=True)
    results = {}
    for name, load in LOADS.items():
        if not arguments.rows or name.startswith(tuple(arguments.rows)):
            before, under_load = _measure(load, arguments.scale)
            print(_line(name, load, before, under_load), flush=True)
            results[name] = {"idle": before.as_dict(), "load": under_load.as_dict()}
    arguments.to.mkdir(exist_ok=True)
    (arguments.to / "hostile.json").write_text(json.dumps(results, indent=1) + "\n")


def _measure(load: HostileLoad, scale: float) -> tuple[Measured, Measured]:
    """The server without the load, and with it."""
    with TemporaryDirectory() as folder, warm_server(Path(folder), warm_up) as server:
        put = asyncio.run(load.prepare(server, scale))
        before = asyncio.run(measured(server, lambda: idle(_IDLE_SECONDS)))
        return before, asyncio.run(measured(server, put))


def _line(name: str, load: HostileLoad, before: Measured, under_load: Measured) -> str:
    answers = ", ".join(f"{count} x {answer}" for answer, count in under_load.answers.items())
    cells = [
        name,
        load.what,
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

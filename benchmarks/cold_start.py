"""How quickly a process starts: ``make bench-start`` prints what is imported, and when the first answer comes.

Each line is the median of several fresh processes, which take turns, so that other load on the machine affects all
alike. The imports of the Functions library, its HTTP extension and the storage SDKs are what any Python app on
Azure Functions and Storage has.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx

from local import azurite
from local.azurite import ROOT
from local.ports import free_ports
from tests.support.app_process import app_process

_IMPORTS: Final = {
    "import function_app": "import function_app",
    "import of Functions, extension and storage SDKs": (
        "import azure.functions, azurefunctions.extensions.http.fastapi, azure.storage.blob.aio, azure.data.tables.aio"
    ),
}
_POLL_SECONDS: Final = 0.01


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="make bench-start", description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    with TemporaryDirectory() as folder, azurite.running(free_ports(3), None) as storage:
        measures: dict[str, Callable[[], float]] = {name: _imported(code) for name, code in _IMPORTS.items()}
        log = Path(folder, "log")
        measures["first answer of a search, from the process' start"] = lambda: _first_answer(
            storage.connection_string, log
        )
        seconds: dict[str, list[float]] = {name: [] for name in measures}
        for number in range(runs + 1):
            for name, measure in measures.items():
                taken = measure()
                if number:  # the first one compiles, and creates the tables
                    seconds[name].append(taken)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    for name, median in medians.items():
        print(f"{name:55}{median:7.2f} s")
    ours, bare, _ = medians.values()
    print(f"{'the app over the libraries':55}{ours / bare:7.2f}")


def _imported(code: str) -> Callable[[], float]:
    """Seconds that a process with these imports takes, less those of one that does nothing."""

    def measure() -> float:
        return _run(code) - _run("pass")

    return measure


def _run(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)  # noqa: S603 -- our own code
    return time.perf_counter() - began


def _first_answer(storage: str, log: Path) -> float:
    """Seconds until a search is answered, sent as soon as the process accepts connections."""
    port = free_ports(1)
    began = time.perf_counter()
    with app_process(port, storage, log) as process:
        while True:
            try:
                httpx.get(f"{process.base_url}/studies", params={"PatientID": "1"}, timeout=30).raise_for_status()
            except httpx.ConnectError:
                time.sleep(_POLL_SECONDS)
            else:
                return time.perf_counter() - began


if __name__ == "__main__":
    main()

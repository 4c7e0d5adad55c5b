"""Runs scenarios on simulated storage: each seed decides the order of everything and what fails.

    python -m tests.simulation                                  every scenario, with the seeds of CI
    python -m tests.simulation --seed 7 --times 100 deletes     a hundred seeds from 7 on
    python -m tests.simulation --seed 7 --times 1 --trace deletes     one again, and all that happens in it

A seed that fails is shown with its trace: when, in which process, which operation, and what storage made of it. The
same code and seed always give the same run.
"""

import argparse
import logging
import os
import sys
import time
from typing import Final

from tests.simulation.runs import NAMES, Run, run

_SEEDS: Final = 5


def main() -> int:
    """Run the scenarios that the command line names; 1 if a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of: {', '.join(NAMES)}; all by default")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--times", type=int, default=_SEEDS, help="how many seeds, for each scenario")
    parser.add_argument("--trace", action="store_true", help="show what happens, even if nothing fails")
    arguments = parser.parse_args()
    if unknown := set(arguments.scenarios) - set(NAMES):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    logging.disable(logging.CRITICAL)  # what storage refuses is logged, and here it refuses much
    failed = 0
    for name in arguments.scenarios or NAMES:
        started, faults = time.monotonic(), 0
        for seed in range(arguments.seed, arguments.seed + arguments.times):
            result = run(name, seed)
            faults += result.faults
            failed += result.failure is not None
            if arguments.trace or result.failure is not None:
                _show(name, seed, result)
        _print(f"{name}: {arguments.times} seeds, {faults} faults, {time.monotonic() - started:.0f} s")
    _print(f"{failed} seeds failed." if failed else "No seed failed.")
    return bool(failed)


def _show(name: str, seed: int, result: Run) -> None:
    _print(f"--- {name}, seed {seed}", *result.trace, sep="\n")
    if result.failure is not None:
        _print(result.failure)
        _print(f'Again: python -m tests.simulation --seed {seed} --times 1 "{name}"')


def _print(*lines: str, sep: str = " ") -> None:
    print(*lines, sep=sep, flush=True)  # noqa: T201 -- this is a command


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets belongs to the run
        command = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(command[0], command, {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606 -- ourselves
    sys.exit(main())

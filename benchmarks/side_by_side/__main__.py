"""The service, Orthanc where it is installed, and the storage SDK alone, side by side: ``make bench`` prints a table.

The same requests go to each in turn, several rounds of each step, so that other load on the machine affects all alike.
The measurements are also written as JSON, and drawn.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient

from benchmarks.side_by_side.contestants import BareSdk, Contestant, DicomWeb
from benchmarks.side_by_side.measures import Measures
from benchmarks.side_by_side.report import (
    HEADING,
    OURS,
    Results,
    cpu_line,
    machine,
    markdown,
    plot,
    step_lines,
    write_json,
)
from benchmarks.side_by_side.servers import Server, orthanc, service
from benchmarks.side_by_side.steps import Step, fill, read_cpu_seconds, run_round, steps

_SERVERS: Final = {OURS, "Orthanc"}


async def main() -> None:
    """Measure what the arguments name, print a block of lines for each step, and write the files."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each step, for each contestant in turn")
    parser.add_argument("--mix-seconds", type=float, default=60, help="of the mixed load, at 1, 8 and 32 clients")
    parser.add_argument("--only", default="", help="steps whose name has this in it")
    parser.add_argument("--to", type=Path, default=Path("bench"), help="folder for bench.json and bench.png")
    arguments = parser.parse_args()
    print("\n".join(machine().values()), HEADING, sep="\n", flush=True)
    results: Results = {}
    done: list[Step] = []
    with TemporaryDirectory() as folder:
        async with _contestants(Path(folder)) as (contestants, servers):
            for step in steps(arguments.mix_seconds):
                if arguments.only in step.name:
                    results[step.name] = await _measure(step, arguments.rounds, contestants, servers)
                    print(step_lines(step, results[step.name]), flush=True)
                    done.append(step)
    print(markdown((step, results[step.name]) for step in done))
    for step in done:
        if step.instances:
            print(cpu_line(step, results[step.name], read_cpu_seconds()))
    arguments.to.mkdir(exist_ok=True)
    write_json(arguments.to / "bench.json", results)
    plot(arguments.to / "bench.png", results)


@asynccontextmanager
async def _contestants(folder: Path) -> AsyncIterator[tuple[dict[str, Contestant], dict[str, Server]]]:
    """All contestants, filled with what the steps read, and the servers among them."""
    async with AsyncExitStack() as stack:
        for name in ("ours", "orthanc"):
            (folder / name).mkdir()
        ours, storage = stack.enter_context(service(folder / "ours"))
        other = stack.enter_context(orthanc(folder / "orthanc"))
        servers = {OURS: ours} | ({"Orthanc": other} if other else {})
        contestants: dict[str, Contestant] = {}
        for name, server in servers.items():
            contestants[name] = client = DicomWeb(server.base_url)
            stack.push_async_callback(client.close)
            await fill(client)
        blobs = await stack.enter_async_context(BlobServiceClient.from_connection_string(storage))
        tables = await stack.enter_async_context(TableServiceClient.from_connection_string(storage))
        limit = BareSdk(blobs, tables, await blobs.create_container("limit"))
        yield {**contestants, "limit": limit}, servers


async def _measure(
    step: Step, rounds: int, contestants: dict[str, Contestant], servers: dict[str, Server]
) -> dict[str, Measures]:
    measured = {name: Measures() for name in contestants}
    for number in range(1) if step.is_long else range(-1, rounds):
        for name, contestant in contestants.items():
            server = servers.get(name)
            if server is None:
                cpu = time.process_time()
                done = await run_round(step, contestant)
                cpu, counted, peak = time.process_time() - cpu, (0, 0), 0
            else:
                idle, log_end, cpu = server.reset_peak(), server.log_end(), server.cpu_seconds()
                done = await run_round(step, contestant)
                cpu, counted, peak = server.cpu_seconds() - cpu, server.operations(log_end), server.peak_bytes() - idle
            if number >= 0:  # the first round warms up
                measured[name].add(done, cpu, counted, peak)
    return measured


if __name__ == "__main__":
    asyncio.run(main())

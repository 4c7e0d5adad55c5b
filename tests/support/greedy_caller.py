"""One caller with many connections, in a process of its own: ``python -m tests.support.greedy_caller URL TARGETS``.

It asks until its standard input ends, and then prints how often it was answered what.
"""

import asyncio
import json
import sys
from collections import Counter
from itertools import cycle
from typing import Final

import httpx

from tests.support.served_instances import dataset, part10

CONNECTIONS: Final = 200
ADDRESS: Final = "192.0.2.1"


async def ask(base_url: str, targets: list[str]) -> "Counter[str]":
    """Retrieves, searches and renders what it is told to, and stores instances of its own."""
    answers: Counter[str] = Counter()
    limits = httpx.Limits(max_connections=CONNECTIONS)
    headers = {"X-Forwarded-For": ADDRESS}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, limits=limits, timeout=120) as client:

        async def connection(number: int) -> None:
            for target in cycle([*targets[number % len(targets) :], *targets[: number % len(targets)]]):
                answers[str((await client.get(target)).status_code)] += 1
                if number % 4 == 0:
                    stored = await client.post(
                        "/v2/studies", content=part10(dataset()), headers={"Content-Type": "application/dicom"}
                    )
                    answers[f"stored {stored.status_code}"] += 1

        connections = [asyncio.create_task(connection(number)) for number in range(CONNECTIONS)]
        await asyncio.to_thread(sys.stdin.read)
        for one in connections:
            one.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
    return answers


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(ask(sys.argv[1], sys.argv[2:]))))

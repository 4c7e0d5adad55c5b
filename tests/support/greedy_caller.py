"""One caller with many connections, in a process of its own: ``python -m tests.support.greedy_caller URL TARGETS``.

It asks until its standard input ends, and then prints how often it was answered what.
"""

import asyncio
import json
import sys
from collections import Counter
from itertools import cycle
from typing import Any, Final

from aiohttp import ClientSession, ClientTimeout, TCPConnector
from yarl import URL

from tests.support.served_instances import dataset, part10

CONNECTIONS: Final = 200
ADDRESS: Final = "127.0.0.2"
"""Where it connects from: the server tells callers apart by their addresses."""


async def ask(base_url: str, targets: list[str]) -> "Counter[str]":
    """Retrieves, searches and renders what it is told to, and stores instances of its own."""
    answers: Counter[str] = Counter()
    files = {"Content-Type": "application/dicom"}
    async with ClientSession(
        base_url, connector=TCPConnector(limit=CONNECTIONS, local_addr=(ADDRESS, 0)), timeout=ClientTimeout(120)
    ) as client:

        async def send(method: str, target: str, **options: Any) -> int:
            async with client.request(method, URL(target, encoded=True), **options) as answer:
                await answer.read()
                return answer.status

        async def connection(number: int) -> None:
            for target in cycle([*targets[number % len(targets) :], *targets[: number % len(targets)]]):
                answers[str(await send("GET", target))] += 1
                if number % 4 == 0:
                    stored = await send("POST", "/v2/studies", data=part10(dataset()), headers=files)
                    answers[f"stored {stored}"] += 1

        connections = [asyncio.create_task(connection(number)) for number in range(CONNECTIONS)]
        await asyncio.to_thread(sys.stdin.read)
        for one in connections:
            one.cancel()
        for ended in await asyncio.gather(*connections, return_exceptions=True):
            if not isinstance(ended, asyncio.CancelledError):
                answers[repr(ended)] += 1
    return answers


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(ask(sys.argv[1], sys.argv[2:]))))

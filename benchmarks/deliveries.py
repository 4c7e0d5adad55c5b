"""How soon a subscriber is told: `python -m benchmarks.deliveries` stores, one and eight clients at a time, and waits.

The app is served with its queues on an Azurite in memory, the receiver is in this process. A delay begins when the
store is answered, and ends when the event arrives; those of one run are printed as percentiles, with the storage
operations that the app counts for its stores, with and without a subscription.
"""

import argparse
import asyncio
import re
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx

from local.background import served
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.subscribers import Receiver, receiving

_CLIENTS: Final = (1, 8)
_WAIT_SECONDS: Final = 60
_STORE: Final = re.compile(r"transaction=Store\S* .*? storage=(\d+) ")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deliveries", description=__doc__)
    parser.add_argument("--stores", type=int, default=500)
    stores = parser.parse_args().stores
    with TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with served(log, {"SUBSCRIPTION_HOSTS": "127.0.0.1", "PUBLIC_BASE_URL": ""}) as base_url:
            asyncio.run(_measure(f"{base_url}/v2", log, stores))


async def _measure(service: str, log: Path, stores: int) -> None:
    async with receiving() as receiver, httpx.AsyncClient(base_url=service, timeout=60) as client:
        await _store_all(client, stores, 1)
        print(f"storage operations of a store, nobody subscribed: {_operations(log, stores):.2f}")
        asked = {"url": receiver.url, "events": ["created"]}
        (await client.post("/subscriptions", json=asked)).raise_for_status()
        for clients in _CLIENTS:
            seconds = await _delays(client, receiver, stores, clients)
            cuts = statistics.quantiles(seconds, n=100)
            print(
                f"{clients} clients: {stores} stores, {_operations(log, stores):.2f} storage operations each; "
                f"told after {cuts[49]:.2f} s (median), {cuts[98]:.2f} s (99th percentile), {max(seconds):.2f} s (all)"
            )


async def _delays(client: httpx.AsyncClient, receiver: Receiver, stores: int, clients: int) -> Sequence[float]:
    """The seconds from each store's answer to its event."""
    arrived: dict[str, float] = {}
    receiver.taken.clear()
    answered = asyncio.create_task(_store_all(client, stores, clients))
    give_up = None
    while len(arrived) < stores:
        for event in receiver.taken[len(arrived) :]:
            arrived[event["data"]["imageSopInstanceUid"]] = time.perf_counter()
        if answered.done():
            give_up = give_up or time.perf_counter() + _WAIT_SECONDS
            if time.perf_counter() > give_up:
                raise TimeoutError(f"{stores - len(arrived)} events are missing.")
        await asyncio.sleep(0.005)
    return [max(arrived[uid] - when, 0) for uid, when in (await answered).items()]


async def _store_all(client: httpx.AsyncClient, stores: int, clients: int) -> dict[str, float]:
    """When each store was answered, by its instance; each is a study of its own."""
    times: dict[str, float] = {}
    left = iter(range(stores))

    async def store() -> None:
        for _ in left:
            image = dataset(StudyInstanceUID=new_uid())
            response = await client.post(
                "/studies", content=part10(image), headers={"Content-Type": "application/dicom"}
            )
            response.raise_for_status()
            times[image.SOPInstanceUID] = time.perf_counter()

    await asyncio.gather(*(store() for _ in range(clients)))
    return times


def _operations(log: Path, stores: int) -> float:
    """The storage operations of one of the last stores, on average."""
    counts = [int(found) for found in _STORE.findall(log.read_text(errors="replace"))]
    return statistics.mean(counts[-stores:])


if __name__ == "__main__":
    main()

"""Where the service saturates, simulated: ``python -m benchmarks.scale`` prints the tables of docs/performance.md.

A busy day, second by second: requests arrive at random at the hour's rate, take what they need from the app's
instances, the storage account and the fullest partition of the index, and wait where a second has no more of it.
Storage's limits are those that Microsoft publishes; operations of a request are as docs/architecture.md counts them.
"""

import argparse
import math
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

# The share of a day's requests in each hour from midnight: a hospital's morning and afternoon, and little at night.
_HOURS: Final = (1, 1, 1, 1, 1, 2, 4, 8, 12, 12, 12, 9, 8, 10, 10, 8, 6, 4, 3, 2, 2, 2, 1, 1)
_DAYS: Final = 250  # with four fifths of a year's studies
_WORKDAY_SHARE: Final = 0.8
_HOUR_SECONDS: Final = 3600
_WARM_UP_SECONDS: Final = 600
_SEED: Final = 1


@dataclass(frozen=True, slots=True)
class Request:
    """What one request takes: seconds of a slot of the app, operations of the account, entities of one partition."""

    name: str
    seconds: float
    operations: float
    entities: float


@dataclass(frozen=True, slots=True)
class Limits:
    """How much there is of each resource in a second. A slot serves one request at a time."""

    slots: float = 100 * 16
    operations: float = 20_000
    entities: float = 2_000


@dataclass(frozen=True, slots=True)
class Archive:
    """A year's studies, and what happens to each: stored once, and how often it is looked at and searched for."""

    name: str
    studies: float
    instances: int = 100
    views: float = 3
    frames_of_a_view: int = 300
    searches: float = 6

    def requests(self) -> list[tuple[Request, float]]:
        """The kinds of requests, and how many of each a study brings."""
        batches = math.ceil(self.instances / 96)
        store = Request("store a study", 0.1 * self.instances, 2 * self.instances + 23 + 2 * batches, 15)
        return [
            (store, 1),
            (Request("frame", 0.05, 2, 0), self.views * self.frames_of_a_view),
            (Request("metadata", 0.3, 2, 0), self.views),
            (Request("search by an identifier", 0.1, 3, 2), self.searches * 2 / 3),
            (Request("search by names or dates", 0.6, 103, 300), self.searches / 3),
        ]


HOSPITAL: Final = Archive("hospital", 500_000)
NATION: Final = Archive("national archive", 50_000_000)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How full each resource was in the busiest hour, as a share of its limit, and how long requests waited for it."""

    busy: dict[str, float]
    waited_99: dict[str, float]

    @property
    def saturated(self) -> list[str]:
        """The resources for which one request in a hundred waits longer than a second."""
        return [name for name, seconds in self.waited_99.items() if seconds > 1]


def simulate(archive: Archive, limits: Limits, *, accounts: int = 1) -> Outcome:
    """The busiest hour of a working day, after ten minutes at its rate. Studies are spread over the accounts evenly."""
    chance = random.Random(_SEED)
    share = max(_HOURS) / sum(_HOURS)
    studies_a_second = archive.studies * _WORKDAY_SHARE / _DAYS * share / _HOUR_SECONDS / accounts
    capacity = {"app": limits.slots / accounts, "account": limits.operations, "partition": limits.entities}
    waiting = {name: _Queue(amount) for name, amount in capacity.items()}
    for second in range(_WARM_UP_SECONDS + _HOUR_SECONDS):
        for request, of_a_study in archive.requests():
            count = _poisson(chance, studies_a_second * of_a_study)
            takes = {"app": request.seconds, "account": request.operations, "partition": request.entities}
            for name, amount in takes.items():
                waiting[name].add(second, count * amount)
        for queue in waiting.values():
            queue.serve(second)
    return Outcome(
        {name: queue.taken / (queue.a_second * (second + 1)) for name, queue in waiting.items()},
        {name: queue.percentile_99() for name, queue in waiting.items()},
    )


class _Queue:
    """The demand for one resource, served first come first served, at a rate."""

    def __init__(self, a_second: float) -> None:
        self.a_second = a_second
        self.taken = 0.0
        self._end = 0
        self._waiting: deque[list[float]] = deque()
        self._waited: list[tuple[float, float]] = []

    def add(self, second: int, amount: float) -> None:
        """Ask for an amount in a given second."""
        if amount:
            self.taken += amount
            self._waiting.append([second, amount])

    def serve(self, second: int) -> None:
        """Hand out what a second has."""
        left = self.a_second
        while self._waiting and left > 0:
            since, amount = self._waiting[0]
            served = min(amount, left)
            left -= served
            if since >= _WARM_UP_SECONDS:
                self._waited.append((second - since, served))
            self._waiting[0][1] -= served
            if self._waiting[0][1] <= 0:
                self._waiting.popleft()
        self._end = second

    def percentile_99(self) -> float:
        """Seconds that one hundredth of the demand waited longer than; what still waits counts as served now."""
        waited = [*self._waited, *((self._end - since, amount) for since, amount in self._waiting)]
        total, so_far = sum(amount for _, amount in waited), 0.0
        for seconds, amount in sorted(waited, reverse=True):
            so_far += amount
            if so_far >= total / 100:
                return seconds
        return 0.0


def _poisson(chance: random.Random, mean: float) -> int:
    """How many arrive in a second, if `mean` do on average."""
    if mean > 50:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    count, product = 0, chance.random()
    while product > math.exp(-mean):
        count, product = count + 1, product * chance.random()
    return count


def saturation(archive: Archive, limits: Limits, *, accounts: int = 1) -> tuple[float, list[str]]:
    """The multiple of an archive's load at which requests start to wait, to a tenth, and for what."""
    low, high = 0.0, 1.0
    while not (outcome := simulate(_times(archive, high), limits, accounts=accounts)).saturated:
        low, high = high, 2 * high
    while high - low > high / 20:
        middle = (low + high) / 2
        found = simulate(_times(archive, middle), limits, accounts=accounts)
        if found.saturated:
            high, outcome = middle, found
        else:
            low = middle
    return high, outcome.saturated


def _times(archive: Archive, factor: float) -> Archive:
    return replace(archive, studies=archive.studies * factor)


def rows(limits: Limits) -> Iterator[str]:
    """The table: for each archive and number of accounts, how full each is at its busiest, and where it saturates."""
    yield "| archive | accounts | app | account | fullest partition | saturates at | there waits |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for archive, accounts in ((HOSPITAL, 1), (NATION, 1), (NATION, 8), (NATION, 16)):
        scaled = replace(limits, slots=limits.slots * (1 if archive is HOSPITAL else 10))
        busy = simulate(archive, scaled, accounts=accounts).busy
        factor, saturated = saturation(archive, scaled, accounts=accounts)
        shares = " | ".join(f"{100 * share:.0f} %" for share in busy.values())
        yield f"| {archive.name} | {accounts} | {shares} | {factor:.2g} x | {', '.join(saturated)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--instances", type=int, default=100, help="of a hospital's app; a nation's: ten times as many")
    parser.add_argument("--operations", type=float, default=Limits().operations, help="that an account takes a second")
    parser.add_argument("--entities", type=float, default=Limits().entities, help="that a partition takes a second")
    given = parser.parse_args()
    print("\n".join(rows(Limits(16 * given.instances, given.operations, given.entities))))


if __name__ == "__main__":
    main()

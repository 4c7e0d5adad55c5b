"""What a seed decides: the order of everything, how long it takes, and what fails. The trace tells it afterwards."""

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final


class Fault(Enum):
    """What may happen to a storage operation."""

    NOT_SENT = "not sent: connection refused"
    TOO_MANY_REQUESTS = "refused with 429"
    BUSY = "refused with 503"
    FAILED = "not carried out, answered 500"
    LOST = "not carried out, connection reset"
    ANSWER_LOST = "carried out, connection reset"
    ANSWER_CUT = "carried out, answer cut short"
    FAILED_AFTER = "carried out, answered 500"
    ANSWER_LATE = "carried out, answered after the client's timeout"
    LATE = "carried out after the client's timeout"
    KILL_BEFORE = "not sent: its process dies"
    KILL = "sent: its process dies, it may be carried out later"
    KILL_AFTER = "carried out, its process dies"


KILLS: Final = (Fault.KILL_BEFORE, Fault.KILL, Fault.KILL_AFTER)
_OTHERS: Final = tuple(fault for fault in Fault if fault not in KILLS)

_COMMITS_FAIL_MORE_OFTEN: Final = 6
CLIENT_TIMEOUT_SECONDS: Final = 60.0
LATEST_SECONDS: Final = 90.0
"""How long after it was sent storage may carry out an operation at the latest."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a request takes to storage, and its answer back."""

    there_seconds: float
    back_seconds: float


class Schedule:
    """The decisions of one seed, in the order in which they are asked for."""

    def __init__(self, seed: str) -> None:
        self.random = Random(seed)
        self._noted: list[tuple[float, str, tuple[object, ...]]] = []
        self.met: Counter[Fault] = Counter()
        self.is_calm = False
        """Whether nothing fails any more, or takes long."""
        # Each seed has its own weather: faults of all kinds at once would leave nothing that goes on for long.
        self._fault_rate = self.random.choice((0, 0, 0.01, 0.04, 0.1))
        self._faults = self.random.sample(_OTHERS, self.random.randint(1, len(_OTHERS)))
        self._kills_left = self.random.choice((0, 0, 1, 1, 2))
        self._kill_rate = self.random.choice((0.005, 0.02, 0.06))
        self.slow_rate = self.random.choice((0, 0.02, 0.2))
        self.slow_seconds = 20.0
        """How many of the storage operations take long, and how long at most."""
        self._short_pages = self.random.choice((0, 0.3))
        self._is_in_order = self.random.random() < 0.3

    def choose(self, count: int) -> int:
        """Which of so many that are ready comes next."""
        return 0 if self._is_in_order else int(self.random.random() * count)

    def fault(self, *, is_repeated: bool) -> Fault | None:
        """What happens to the next storage operation, which the SDK repeats if it has no answer, or does not."""
        if self.is_calm:
            return None
        if self._kills_left and self.random.random() < self._kill_rate:
            self._kills_left -= 1
            return self._meet(self.random.choice(KILLS))
        # Commits are few, and most hangs on what becomes of them.
        if self.random.random() < self._fault_rate * (1 if is_repeated else _COMMITS_FAIL_MORE_OFTEN):
            fault = self.random.choice(self._faults)
            # Storage gives up on a request after 30 seconds. Of one that is sent once it is not relied upon.
            return self._meet(Fault.ANSWER_LATE if fault is Fault.LATE and is_repeated else fault)
        return None

    def _meet(self, fault: Fault) -> Fault:
        self.met[fault] += 1
        return fault

    def latency(self, fault: Fault | None) -> Latency:
        """How long an operation takes."""
        there, back = (self._seconds() for _ in range(2))
        if fault is Fault.LATE:
            there = self.random.uniform(CLIENT_TIMEOUT_SECONDS, LATEST_SECONDS)
        elif fault is Fault.ANSWER_LATE:
            back = CLIENT_TIMEOUT_SECONDS
        elif fault is Fault.KILL:
            there = self.random.uniform(0, LATEST_SECONDS)
        return Latency(there, back)

    def _seconds(self) -> float:
        if not self.is_calm and self.random.random() < self.slow_rate:
            return self.random.uniform(0.1, self.slow_seconds)
        return self.random.uniform(0.001, 0.02)

    def thread_seconds(self) -> float:
        """How long what runs in a thread takes."""
        return self.random.choice((0, 0.0001, 0.01))

    def page(self, most: int) -> int:
        """How many entries, of at most so many, storage returns at once; it may be none."""
        return self.random.randint(0, 2) if self.random.random() < self._short_pages else most

    def refuses(self) -> bool:
        """Whether storage refuses one request of a batch of blobs."""
        return not self.is_calm and self.random.random() < self._fault_rate

    def note(self, seconds: float, who: str, *what: object) -> None:
        """Add a line to the trace; its words are made when it is read."""
        self._noted.append((seconds, who, what))

    @property
    def trace(self) -> list[str]:
        """What happened, in order: when, in which process or to whom, and what."""
        return [f"{seconds:14.6f} {who:10} {' '.join(map(str, what))}" for seconds, who, what in self._noted]

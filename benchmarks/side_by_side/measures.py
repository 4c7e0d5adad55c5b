"""The measurements of a step for one contestant, over all rounds."""

import statistics
from dataclasses import dataclass, field
from typing import Any

from benchmarks.side_by_side.steps import Round


@dataclass(slots=True)
class Measures:
    """Sums and samples. Only our operations are counted; `peak_growth_bytes` is beyond what was held before."""

    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0
    moved_bytes: int = 0
    cpu_seconds: float = 0
    counted_requests: int = 0
    operations: int = 0
    peak_growth_bytes: int = 0

    def add(self, one: Round, cpu_seconds: float, counted: tuple[int, int], peak_growth_bytes: int) -> None:
        """Add a round; `counted`: the logged requests, and their storage operations."""
        self.seconds += one.seconds
        self.elapsed += one.elapsed
        self.moved_bytes += one.moved_bytes
        self.cpu_seconds += cpu_seconds
        self.counted_requests += counted[0]
        self.operations += counted[1]
        self.peak_growth_bytes = max(self.peak_growth_bytes, peak_growth_bytes)

    @property
    def median(self) -> float:
        """The median seconds of a request."""
        return statistics.median(self.seconds)

    @property
    def percentile_95(self) -> float:
        """Seconds that one request in twenty takes longer than."""
        return sorted(self.seconds)[max(0, -(-len(self.seconds) * 95 // 100) - 1)]

    @property
    def megabytes_a_second(self) -> float:
        """MB (10**6 bytes) that went over the wire, by the time of the rounds."""
        return self.moved_bytes / self.elapsed / 1e6

    @property
    def requests_a_second(self) -> float:
        """Requests answered, by the time of the rounds."""
        return len(self.seconds) / self.elapsed

    @property
    def cpu_of_a_request(self) -> float:
        """CPU seconds of the server for a request."""
        return self.cpu_seconds / len(self.seconds)

    @property
    def operations_of_a_request(self) -> float | None:
        """Storage operations of a request."""
        return self.operations / self.counted_requests if self.counted_requests else None

    def as_dict(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            "requests": len(self.seconds),
            "median_seconds": self.median,
            "p95_seconds": self.percentile_95,
            "megabytes_a_second": self.megabytes_a_second,
            "requests_a_second": self.requests_a_second,
            "cpu_seconds_a_request": self.cpu_of_a_request,
            "operations_a_request": self.operations_of_a_request,
            "peak_growth_bytes": self.peak_growth_bytes,
            "seconds": self.seconds,
        }

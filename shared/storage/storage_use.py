"""The operations sent to storage: each HTTP request is one, a batch of rows or blobs is one, a retry is another.

An operation is named by its method and its table or container, never by its URL: index keys, and filters that name
them, hold patients' values.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

_KEPT: Final = 50


@dataclass(frozen=True, slots=True)
class Operation:
    """One HTTP request to storage: `started` in ns since 1970, `nanoseconds` until its answer; `status` 0 if none came.

    `name` is ``{method} {store}``, `url` ends with that store: nothing follows that could be a value.
    Bytes are the bodies' Content-Length, 0 where there is none. A table's batch is named ``POST $batch``.
    """

    name: str
    url: str
    started: int
    nanoseconds: int
    status: int
    sent_bytes: int
    received_bytes: int
    is_retry: bool


@dataclass(slots=True)
class StorageUse:
    """The operations of one watcher: sums by name and status, the first operations, and the next ones that failed."""

    operations: Counter[tuple[str, int]] = field(default_factory=Counter)
    nanoseconds: Counter[tuple[str, int]] = field(default_factory=Counter)
    retries: Counter[tuple[str, int]] = field(default_factory=Counter)
    sent_bytes: Counter[tuple[str, int]] = field(default_factory=Counter)
    received_bytes: Counter[tuple[str, int]] = field(default_factory=Counter)
    first: list[Operation] = field(default_factory=list)
    failed: list[Operation] = field(default_factory=list)

    def note(self, operation: Operation) -> None:
        """Add an operation."""
        key = (operation.name, operation.status)
        self.operations[key] += 1
        self.nanoseconds[key] += operation.nanoseconds
        self.retries[key] += operation.is_retry
        self.sent_bytes[key] += operation.sent_bytes
        self.received_bytes[key] += operation.received_bytes
        if len(self.first) < _KEPT:
            self.first.append(operation)
        elif has_failed(operation) and len(self.failed) < _KEPT:
            self.failed.append(operation)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note the operations of this context and of the tasks that it starts.

        Requests that store into one study share batches: a batch is noted for the request that sends it.
        """
        token = _watched_by.set(self)
        try:
            yield
        finally:
            _watched_by.reset(token)


_watched_by: ContextVar[StorageUse | None] = ContextVar("watched_by", default=None)


def watcher() -> StorageUse | None:
    """What watches this context, if anything does."""
    return _watched_by.get()


def has_failed(operation: Operation) -> bool:
    """Whether storage failed or refused; that something does not exist, exists or has changed is an answer."""
    return operation.status in (0, 401, 403, 408, 429) or operation.status >= 500

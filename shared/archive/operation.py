"""Long-running work: an operation, which a request starts, and its units, which are done one by one. Pure."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

LISTER: Final = 0
"""The number of the unit that lists the others."""

_LAST_MILLISECOND: Final = 2**48 - 1


class OperationType(StrEnum):
    """What an operation does."""

    VERIFY = "verify"
    REINDEX = "reindex"
    DATA_CLEANUP = "dataCleanup"


class OperationStatus(StrEnum):
    """How far an operation is, in the words of Microsoft's v2; in v1, `succeeded` is `completed`."""

    NOT_STARTED = "notStarted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def has_ended(self) -> bool:
        """Whether it stays so."""
        return self not in (OperationStatus.NOT_STARTED, OperationStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as its row says.

    `last_updated` is when its status last changed, or units were last listed; `unit_count` are the units listed so far,
    all of them if it `is_listed`. `totals` are the counts of all results, by name, once none can
    come any more: a canceled operation has none.
    """

    id: str
    type: OperationType
    status: OperationStatus
    created: datetime
    last_updated: datetime
    unit_count: int = 0
    is_listed: bool = False
    totals: Mapping[str, int] = field(default_factory=dict)
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of an operation that is not done yet.

    A run takes the generation that its message names, and leaves the next one; `cursor` is how far the runs before have
    come, None at the beginning. `work`, JSON, says what is to be done; the lister of generation `step` listed it.
    """

    operation_id: str
    number: int
    generation: int
    cursor: Any
    work: Any
    step: int
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """What a run has found: counts, which add up over all units, and things of one kind, as JSON."""

    counts: Mapping[str, int] = field(default_factory=dict)
    items: Sequence[Any] = ()


def new_operation_id(now: datetime) -> str:
    """32 hexadecimal digits, of which those of later operations sort before those of earlier ones."""
    milliseconds = int(now.astimezone(UTC).timestamp() * 1000)
    return f"{_LAST_MILLISECOND - milliseconds:012x}{secrets.token_hex(10)}"

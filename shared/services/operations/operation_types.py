"""What each type of operation does: how its units are listed, and how one is run."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from shared.archive.operation import OperationType, Results
from shared.services.operations import cleanup, reindex, verify
from shared.settings import Settings
from shared.storage.archive import Archive


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one type. All that is passed on is JSON, and small, but for the specification.

    ``list_units(archive, settings, specification, cursor)`` gives the work of the next units, at most
    MAX_LISTED_UNITS, and the cursor for those after them, None at the end. ``run(archive, settings, work, cursor,
    deadline)`` gives what it has found, and where the next run goes on, None where the unit is done: it ends soon after
    `deadline`, a time of `monotonic`. Both may happen again after they have ended. A lister that lists nothing, and
    leaves its cursor as it was, waits for something: it comes back some seconds later.

    `items` is what the things that are found are called, "" where there never are any. ``at_end(archive,
    operation_id)`` happens before an operation has succeeded, perhaps several times. ``percent(place)`` says how much
    of all is done before a unit of this work, or once all units are that were listed before the lister had this cursor:
    where there is none, all units count alike, and nothing is said before all are listed.
    """

    list_units: Callable[[Archive, Settings, Any, Any], Awaitable[tuple[Sequence[Any], Any]]]
    run: Callable[[Archive, Settings, Any, Any, float], Awaitable[tuple[Results, Any]]]
    items: str
    at_end: Callable[[Archive, str], Awaitable[None]] | None = None
    percent: Callable[[Any], int] | None = None


WORK: Final[Mapping[OperationType, Work]] = MappingProxyType(
    {
        OperationType.VERIFY: Work(verify.list_units, verify.run, "differences"),
        OperationType.REINDEX: Work(reindex.list_units, reindex.run, "", reindex.make_ready, reindex.percent),
        OperationType.DATA_CLEANUP: Work(cleanup.list_units, cleanup.run, "", cleanup.forget),
    }
)

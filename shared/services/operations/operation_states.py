"""What the service says of operations: in which state they are, and what they have found. As JSON.

Storage operations: 1 for the state, and 1 for each 1,000 units that are left, or as for a page of what was found, and
for a canceled one 1 for each 1,000 runs; 2 more for one of extended query tags; for a list, 1 for each 1,000 rows of
all operations; for a page of results 1, and 1 for each 40 rows, which are runs that found something, or of one run each
250 things.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from shared.archive.operation import LISTER, Operation, OperationStatus, OperationType
from shared.errors import NotFound
from shared.services.operations.operation_types import WORK
from shared.storage.archive import Archive
from shared.web.api_versions import ApiVersion
from shared.web.extended_query_tag_request import tag_url
from shared.web.operation_request import COMPLETED, OperationsQuery, ResultsQuery

_SHOWN_ITEMS: Final = 1000
_SHOWN_FAILURES: Final = 10
_ALMOST_ALL: Final = 99
"""How many percent are done where no unit is left, and the operation has not ended yet."""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list, and the parameter `after` of what follows, None where nothing does."""

    items: list[Any]
    following: str | None


def reference_to(operation_id: str, url: str) -> dict[str, str]:
    """The reference to an operation, for who started it; `url` is the service's, with version."""
    return {"id": operation_id, "href": f"{url}/operations/{operation_id}"}


async def read_operation(archive: Archive, operation_id: str) -> Operation:
    """An operation. Raises NotFound."""
    operation = await archive.operations.read(operation_id)
    if operation is None:
        raise NotFound("There is no such operation, or it has been removed since it ended.")
    return operation


async def state_of(archive: Archive, operation: Operation, version: ApiVersion, url: str) -> Mapping[str, Any]:
    """The state of an operation, in Microsoft's words, and once it has ended what it has found.

    `url` is the service's, with version: of one that makes extended query tags ready, it names those that there are.
    """
    state = _outline(operation, version)
    if operation.type is OperationType.REINDEX:
        state["resources"] = await _urls_of_tags(archive, operation, url)
    if not operation.status.has_ended:
        percent = await percent_complete(archive, operation)
        return state if percent is None else {**state, "percentComplete": percent}
    if operation.status is OperationStatus.SUCCEEDED:
        state["percentComplete"] = 100
    state["results"] = {**await _totals_of(archive, operation)}
    if items := WORK[operation.type].items:
        found = await read_results(archive, operation, ResultsQuery(_SHOWN_ITEMS, "", 0))
        state["results"][items] = found.items
    if operation.status is OperationStatus.FAILED:
        state["results"]["failures"] = await archive.operations.read_failures(operation.id, _SHOWN_FAILURES)
    return state


async def percent_complete(archive: Archive, operation: Operation) -> int | None:
    """How much is done of an operation that is under way; None where that cannot be said yet. 1 storage operation."""
    if (percent := WORK[operation.type].percent) is not None:
        first = await archive.operations.read_first_open(operation.id)
        place = (first.cursor if first.number == LISTER else first.work) if first else None
        return percent(place) if first else _ALMOST_ALL
    if operation.is_listed and operation.unit_count:
        left = min(await archive.operations.count_open(operation.id), operation.unit_count)
        return 100 * (operation.unit_count - left) // operation.unit_count
    return None


async def read_operations(archive: Archive, query: OperationsQuery, version: ApiVersion, url: str) -> Page:
    """The operations of a type and status, newest first, without what they have found."""
    status = OperationStatus.SUCCEEDED if query.status == COMPLETED else query.status
    found: list[Any] = []
    last = ""
    async for operation in archive.operations.read_all(query.after):
        if query.type in (None, operation.type) and status in (None, operation.status):
            if len(found) == query.limit:
                return Page(found, last)
            found.append({**_outline(operation, version), "href": reference_to(operation.id, url)["href"]})
            last = operation.id
    return Page(found, None)


async def read_results(archive: Archive, operation: Operation, query: ResultsQuery) -> Page:
    """Things that an operation has found so far, by unit: all of them once it has ended."""
    found: list[Any] = []
    index = query.index
    async for place, items in archive.operations.read_items(operation.id, query.place):
        if place != query.place:
            index = 0
        taken = list(islice(items, index, index + query.limit - len(found)))
        if not taken:
            if len(found) == query.limit and index < len(items):
                return Page(found, f"{place}:{index}")
            continue
        found += taken
        if index + len(taken) < len(items):
            return Page(found, f"{place}:{index + len(taken)}")
    return Page(found, None)


async def _urls_of_tags(archive: Archive, operation: Operation, url: str) -> list[str]:
    numbers = (await archive.operations.read_specification(operation.id))["numbers"]
    tags = (await archive.tags.read()).tags.tags
    return [tag_url(url, tag.path, tag.private_creator) for tag in tags if tag.number in numbers]


async def _totals_of(archive: Archive, operation: Operation) -> Mapping[str, int]:
    if operation.status is OperationStatus.CANCELED:  # what was under way then may have been noted since
        return await archive.operations.read_totals(operation.id)
    return operation.totals


def _outline(operation: Operation, version: ApiVersion) -> dict[str, Any]:
    is_called_otherwise = version == "v1" and operation.status is OperationStatus.SUCCEEDED
    return {
        "operationId": operation.id,
        "type": operation.type.value,
        "createdTime": _text(operation.created),
        "lastUpdatedTime": _text(operation.last_updated),
        "status": COMPLETED if is_called_otherwise else operation.status.value,
    }


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")

"""Run many small storage operations, a bounded number of them at once."""

import asyncio
from collections.abc import Coroutine, Iterable
from itertools import chain, islice
from typing import Any, Final, TypeVar

_PARALLEL: Final = 16

Result = TypeVar("Result")


async def in_parallel(operations: Iterable[Coroutine[Any, Any, Result]], *, at_once: int = _PARALLEL) -> list[Result]:
    """The results of storage operations, in their order. Raises the first failure and cancels the others.

    The iterable makes each operation when its turn comes, except the second, which it makes with the first.
    """
    results: dict[int, Result] = {}
    coming = iter(operations)
    first = list(islice(coming, 2))
    if len(first) < 2:  # without a task: a search would start hundreds
        return [await operation for operation in first]
    pending = enumerate(chain(first, coming))
    taken = 0

    async def work() -> None:
        nonlocal taken
        for index, operation in pending:
            taken += 1
            results[index] = await operation

    failure = None
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
        failures.with_traceback(None)  # the task group's frame would keep it, and so all results
    finally:
        for operation in first:  # in case it never started
            operation.close()
    if failure is not None:  # raised here, where it keeps its own cause and context
        try:
            raise failure
        finally:
            del failure  # or this frame would, too
    if len(results) < taken:  # for a task group, one that is cancelled from elsewhere has ended well
        raise asyncio.CancelledError
    return [results[index] for index in sorted(results)]

"""Running many small storage operations at once, a bounded number of them."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final, TypeVar

_PARALLEL: Final = 16

Result = TypeVar("Result")


async def in_parallel(operations: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results of storage operations, in their order. Raises the first failure."""
    gate = asyncio.Semaphore(_PARALLEL)

    async def run(operation: Coroutine[Any, Any, Result]) -> Result:
        async with gate:
            return await operation

    return await asyncio.gather(*map(run, operations))

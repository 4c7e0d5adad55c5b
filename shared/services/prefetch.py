"""Fetching the next items of a sequence before they are needed."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

Item = TypeVar("Item")
Fetched = TypeVar("Fetched")


async def fetch_ahead(
    items: AsyncIterable[Item], fetch: Callable[[Item], Awaitable[Fetched]], ahead: Callable[[], int]
) -> AsyncGenerator[Fetched, None]:
    """What `fetch` gives for each item, in the items' order; at most ``ahead()`` are started before they are needed.

    Raises what `fetch` raised, when that item's turn comes. Closing the iterator cancels the fetches under way.
    """

    async def run(item: Item) -> Fetched:
        return await fetch(item)

    under_way: deque[asyncio.Task[Fetched]] = deque()
    try:
        async for item in items:
            under_way.append(asyncio.create_task(run(item)))
            while len(under_way) > ahead():
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


@asynccontextmanager
async def begun(items: AsyncIterator[Item]) -> AsyncIterator[AsyncIterator[Item]]:
    """The same items, the first of which is fetched from the beginning of the context on.

    At the context's end, this is cancelled if nobody has waited for it.
    """
    first = asyncio.create_task(_next(items))

    async def following() -> AsyncIterator[Item]:
        for item in await first:
            yield item
        async for item in items:
            yield item

    try:
        yield following()
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def _next(items: AsyncIterator[Item]) -> list[Item]:
    """The next item, if there is one."""
    try:
        return [await anext(items)]
    except StopAsyncIteration:
        return []

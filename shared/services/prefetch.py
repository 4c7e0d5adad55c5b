"""Fetching the next few items of a sequence while the current one is used."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
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

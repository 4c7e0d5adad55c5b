"""Receives a request's body for as long as its client goes on sending.

Only waits for the client count: a client that we make wait, by not reading on, does nothing wrong.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from shared.errors import RequestTimeout

_PROGRESS_BYTES: Final = 256 * 1024


async def steady(chunks: AsyncIterator[bytes], stalled_seconds: float) -> AsyncIterator[bytes]:
    """The chunks as they arrive. Raises RequestTimeout when 256 KiB take longer than `stalled_seconds` to come."""
    clock = asyncio.get_running_loop().time
    waited_seconds, received_bytes = 0.0, 0
    while True:
        began = clock()
        try:
            async with asyncio.timeout(stalled_seconds - waited_seconds):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise RequestTimeout(
                f"In {stalled_seconds} seconds less than {_PROGRESS_BYTES} bytes of the body came."
            ) from None
        waited_seconds += clock() - began
        received_bytes += len(chunk)
        if received_bytes >= _PROGRESS_BYTES:
            waited_seconds, received_bytes = 0.0, 0
        yield chunk

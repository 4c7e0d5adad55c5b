"""Bounds on the memory that a process uses for all requests that store at once: one that would exceed them waits.

A request that waits stops reading, and so its client stops sending. No request waits for another's client, except for
large headers, which go one at a time.
"""

import asyncio
from typing import Final

from shared.services.byte_budget import ByteBudget

MAX_BLOCK_BYTES: Final = 4 * 1024**2
"""Size from which the bytes that have arrived of a part are staged as a block. A blob can have 50,000 blocks."""

_UPLOADS: Final = 4  # blocks and small instances on their way to storage at once
_ARRIVING_BYTES: Final = 8 * 1024**2  # of all parts together, from which blocks are small
_SMALL_BLOCK_BYTES: Final = 512 * 1024
_RECEIVED_BYTES: Final = 8 * 1024**2  # complete parts that are not stored yet
_BATCH_BYTES: Final = 3 * 1024**2  # rows of batches under way; a batch takes several times the size of its rows


class BackPressure:
    """The bounds of one process."""

    def __init__(self) -> None:
        self.uploads = asyncio.Semaphore(_UPLOADS)
        self.received = ByteBudget(_RECEIVED_BYTES)
        self.batches = ByteBudget(_BATCH_BYTES)
        self.large_header = asyncio.Lock()
        self.arriving_bytes = 0

    @property
    def block_bytes(self) -> int:
        """Size from which the bytes that have arrived of a part are staged; below it, the part may become one blob."""
        return MAX_BLOCK_BYTES if self.arriving_bytes <= _ARRIVING_BYTES else _SMALL_BLOCK_BYTES

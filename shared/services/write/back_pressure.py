"""Bounds on the memory that a process uses for all requests that store at once: one that would exceed them waits.

A request that waits stops reading, and so its client stops sending. No request waits for another's client, except for
large headers, and for those not long.
"""

import asyncio
from typing import Final

from shared.services.byte_budget import ByteBudget
from shared.services.write.header_room import HeaderBudgets

MAX_BLOCK_BYTES: Final = 4 * 1024**2
"""Size from which the bytes that have arrived of a part are staged as a block. A blob can have 50,000 blocks."""

_UPLOADS: Final = 4  # blocks and small instances on their way to storage at once
# The more has arrived of all parts together, the smaller the blocks. (A part of 4 GiB must fit 50,000 of the smallest.)
_BLOCK_BYTES: Final = ((8 * 1024**2, MAX_BLOCK_BYTES), (24 * 1024**2, 512 * 1024))
_LEAST_BLOCK_BYTES: Final = 128 * 1024
_RECEIVED_BYTES: Final = 4 * 1024**2  # complete parts that are not stored yet
_BATCH_BYTES: Final = 3 * 1024**2  # rows of batches under way; a batch takes several times the size of its rows


class BackPressure:
    """The bounds of one process."""

    def __init__(self) -> None:
        self.uploads = asyncio.Semaphore(_UPLOADS)
        self.received = ByteBudget(_RECEIVED_BYTES)
        self.batches = ByteBudget(_BATCH_BYTES)
        self.headers = HeaderBudgets()
        self.arriving_bytes = 0

    @property
    def block_bytes(self) -> int:
        """Size from which the bytes that have arrived of a part are staged; below it, the part may become one blob."""
        sizes = (size for up_to, size in _BLOCK_BYTES if self.arriving_bytes <= up_to)
        return next(sizes, _LEAST_BLOCK_BYTES)

"""Trying again when another request has changed the same study."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Final

from shared.errors import Unavailable

_ATTEMPTS: Final = 12
_BACKOFF_SECONDS: Final = 0.05


class StudyContended(Unavailable):
    """Other requests kept changing the study; this one did not get its turn, and can be tried again."""

    def __init__(self) -> None:
        super().__init__("Other requests kept changing the study; try again.")


async def attempts() -> AsyncIterator[int]:
    """Count attempts from 0, waiting a growing, random time between them; then raise StudyContended."""
    for attempt in range(_ATTEMPTS):
        yield attempt
        await asyncio.sleep(random.uniform(0, _BACKOFF_SECONDS * 2 ** min(attempt, 6)))  # noqa: S311 -- no secret
    raise StudyContended

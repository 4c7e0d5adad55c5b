"""Whether storage answers, checked rarely: monitors ask without end, and each check costs two operations."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from shared.failures import described

if TYPE_CHECKING:
    from shared.storage.archive import Archive

_CHECK_SECONDS: Final = 4  # monitors give up a little later
_KEPT_SECONDS: Final = 5

_logger = logging.getLogger(__name__)


class StorageHealth:
    """Whether the archive's storage answered lately; `archive` opens the archive."""

    def __init__(self, archive: "Callable[[], Awaitable[Archive]]") -> None:
        self._archive = archive
        self._checking = asyncio.Lock()
        self._is_healthy = False
        self._asked_next = 0.0

    async def is_healthy(self) -> bool:
        """True when blob and table storage answered within the last seconds; storage is given 4 seconds."""
        async with self._checking:
            if time.monotonic() >= self._asked_next:
                self._is_healthy = await self._answers()
                self._asked_next = time.monotonic() + _KEPT_SECONDS
        return self._is_healthy

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await (await self._archive()).check()
        except Exception as error:  # noqa: BLE001 -- it is logged, without its message, and answered
            _logger.error("Not healthy: %s", described(error))
            return False
        return True

"""Processes that serve one archive: each has its own clients, locks and clock, and may die."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context, ContextVar, copy_context
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from shared.services.answer_work import ProcessWork
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage import account
from shared.storage.archive import Archive
from shared.storage.backup_container import BackupContainer
from tests.simulation.connection import Connection, SimulatedTransport, Surroundings
from tests.simulation.storage import CONNECTION_STRING
from tests.simulation.virtual_clock import START

SETTINGS = Settings(
    storage_connection_string=CONNECTION_STRING, backup_connection_string=CONNECTION_STRING, backup_container="backup"
)

_CLOCK_STEP_SECONDS = 0.000001  # reading a clock takes time, so no two readings are the same
_MAX_SKEW_SECONDS = 3.0

_current: ContextVar["Process | None"] = ContextVar("process", default=None)


class Process:
    """A process; once it `is_dead`, nothing of it runs any more, not even what cleans up."""

    archive: Archive
    backup: BackupContainer
    stores: StoreService
    work: ProcessWork

    def __init__(self, shared: Surroundings, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.death: asyncio.Future[None] = shared.loop.create_future()
        self._shared = shared
        limit = _MAX_SKEW_SECONDS
        self._skew_seconds = shared.schedule.random.choice((0, 0, shared.schedule.random.uniform(-limit, limit)))
        self._context = copy_context()
        self._context.run(_current.set, self)

    async def open(self, *, create_storage: bool) -> None:
        """Open the archive, as a process does that begins to serve."""
        connection = Connection(self._shared, self.name, self.die)

        def transport(**options: Any) -> SimulatedTransport:
            return SimulatedTransport(connection, **options)

        with patch.object(account, "WatchedTransport", transport):
            settings = replace(SETTINGS, create_storage=create_storage)
            self.archive = await Archive.open(settings)
            self.archive.queues._opened()  # while the transport is replaced
            self.backup = await BackupContainer.open(settings)
        self.stores = StoreService(self.archive, SETTINGS)
        self.work = ProcessWork(SETTINGS.max_decoded_bytes, SETTINGS.max_frames, SETTINGS.max_caller_requests)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin some work in this process."""
        return self._shared.loop.create_task(work, context=self._context.copy())

    def die(self) -> None:
        """Die."""
        if not self.is_dead:
            self._shared.schedule.note(self._shared.loop.time(), self.name, "dies")
            self.is_dead = True
            self.death.set_result(None)

    def now(self) -> datetime:
        """What the clock of the process says."""
        self._shared.loop.pass_time(_CLOCK_STEP_SECONDS)
        return START + timedelta(seconds=self._shared.loop.time() + self._skew_seconds)


def is_dead(context: Context) -> bool:
    """Whether the process to which something belongs is dead."""
    process = context.get(_current)
    return process is not None and process.is_dead


def now() -> datetime:
    """What the clock says of the process that asks."""
    process = _current.get()
    if process is None:
        raise LookupError("Only processes read the clock.")
    return process.now()

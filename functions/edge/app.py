"""What the functions of one process share, as one object: settings, archive, store service, authority, bounds, caches.

It is made at the first request. The storage SDKs, pydicom and the checks of tokens are imported when first needed, so
that a process starts quickly, and quickly answers requests that need none of them.
"""

import asyncio
import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Self

from functions.edge.interpreter import share_arenas, yield_soon
from functions.edge.loop_probe import LoopProbe
from functions.edge.storage_health import StorageHealth
from functions.edge.telemetry import open_telemetry
from shared.services.answer_work import ProcessWork
from shared.services.search.page_ends import PageEnds
from shared.settings import Settings, SettingsError

if TYPE_CHECKING:
    from functions.edge.application_insights import ApplicationInsights
    from shared.services.sign_in.authority import Authority
    from shared.services.write.store import StoreService
    from shared.storage.archive import Archive


class App:
    """The shared object of a process. It belongs to the event loop of its first use.

    `settings` are the defaults where the environment's cannot be read.
    """

    def __init__(
        self, settings: Settings, *, archive: "Archive | None" = None, telemetry: "ApplicationInsights | None" = None
    ) -> None:
        self.settings = settings
        self._sign_in_problem = settings.sign_in_problem()
        self.process_work = ProcessWork(settings.max_decoded_bytes, settings.max_frames, settings.max_caller_requests)
        self.page_ends = PageEnds()
        self.storage_health = StorageHealth(self.archive)
        self.loop_probe = LoopProbe()
        self._settings_problem: str | None = None
        self._archive = archive
        self._store_service: StoreService | None = None
        self._telemetry = telemetry
        self._has_telemetry = telemetry is not None
        self._opening = asyncio.Lock()
        self._opening_telemetry = asyncio.Lock()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The object of a process with this environment; never fails: `check` reports settings that cannot be read."""
        try:
            return cls(Settings.from_environment(environment))
        except SettingsError as error:
            app = cls(Settings())
            app._settings_problem = str(error)
            return app

    def check(self) -> None:
        """Raises SettingsError where the settings cannot be read."""
        if self._settings_problem:
            raise SettingsError(self._settings_problem)

    def check_sign_in(self) -> None:
        """Raises SettingsError where the settings do not say who may use the service."""
        if self._sign_in_problem:
            raise SettingsError(self._sign_in_problem)

    @cached_property
    def authority(self) -> "Authority":
        """The authority whose tokens are accepted, with those of its keys that the process holds."""
        from shared.services.sign_in.authority import Authority  # aiohttp and PyJWT

        return Authority(self.settings.authority)

    async def archive(self) -> "Archive":
        """The archive, opened once. Raises SettingsError where the settings do not name one storage account."""
        from shared.storage.archive import Archive  # the storage SDKs

        self.check()
        async with self._opening:
            if self._archive is None:
                self._archive = await Archive.open(self.settings)
        return self._archive

    async def store_service(self) -> "StoreService":
        """The one store service, which bounds what all stores together hold in memory."""
        from shared.services.write.store import StoreService  # pydicom

        archive = await self.archive()
        if self._store_service is None:
            self._store_service = StoreService(archive, self.settings)
        return self._store_service

    async def telemetry(self) -> "ApplicationInsights | None":
        """Application Insights, opened once; None where it is not configured."""
        if not self._has_telemetry:
            async with self._opening_telemetry:
                if not self._has_telemetry:
                    self._telemetry = await open_telemetry(self.settings)
                    self._has_telemetry = True
        return self._telemetry

    async def close(self) -> None:
        """Close the archive's connections, for a server that knows when it ends; Azure's worker does not."""
        opened, self._archive = self._archive, None
        if opened is not None:
            await opened.close()


of_process: App | None = None
"""The object of this process, once it is made. Tests put their own here."""


def app_of_process() -> App:
    """The object of this process, made from the environment on the first call."""
    global of_process
    if of_process is None:
        yield_soon()
        share_arenas()
        of_process = App.from_environment(os.environ)
    return of_process

"""The lock of a backup: a lease on a blob of its container, which expires soon after whoever held it has died."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import StorageErrorCode
from azure.storage.blob.aio import BlobClient, BlobLeaseClient, ContainerClient

_NAME: Final = "lock"
_LEASE_SECONDS: Final = 60
_RENEW_SECONDS: Final = 15
_LATEST_SECONDS: Final = 50  # after the last renewal: what is under way has to end before another may begin


class BackupUnderWay(Exception):
    """Another backup into the container is under way, or died within the last minute."""


class LockLost(Exception):
    """The lock could not be renewed, so another backup may have begun."""


class BackupLock:
    """Keeps backups into a container from meeting."""

    def __init__(self, container: ContainerClient) -> None:
        self._blob: BlobClient = container.get_blob_client(_NAME)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the lock. Raises BackupUnderWay where another does, and LockLost, in the midst of the work."""
        lease = await self._acquire()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_LATEST_SECONDS) as validity:

                async def renew() -> None:
                    while True:
                        await asyncio.sleep(_RENEW_SECONDS)
                        begun = loop.time()
                        with suppress(AzureError):  # then the work ends in time, unless the next one succeeds
                            await lease.renew()
                            validity.reschedule(begun + _LATEST_SECONDS)

                renewing = asyncio.create_task(renew())
                try:
                    yield
                finally:
                    renewing.cancel()
                    with suppress(AzureError):  # it expires
                        await lease.release()
        except TimeoutError as error:
            if validity.expired():
                raise LockLost from error
            raise

    async def _acquire(self) -> BlobLeaseClient:
        try:
            with suppress(ResourceNotFoundError):
                return await self._blob.acquire_lease(_LEASE_SECONDS)
            with suppress(ResourceExistsError):
                await self._blob.upload_blob(b"")
            return await self._blob.acquire_lease(_LEASE_SECONDS)
        except HttpResponseError as error:
            if getattr(error, "error_code", None) == StorageErrorCode.LEASE_ALREADY_PRESENT:
                raise BackupUnderWay from error
            raise

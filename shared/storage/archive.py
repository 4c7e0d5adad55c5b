"""The archive's stores, opened on one storage account and shared by everything a process serves."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final, Self
from weakref import WeakValueDictionary

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient

from shared.errors import Unavailable
from shared.settings import Settings, SettingsError
from shared.storage.blobs import InstanceBlobs
from shared.storage.catalog import Catalog
from shared.storage.journal import Journal
from shared.storage.terms import Terms
from shared.storage.transport import WatchedTransport

_CONTAINER: Final = "dicom"
_TABLES: Final = ("catalog", "terms", "journal")

# The SDK waits 15 seconds before its first retry of a blob operation; a client would have gone by then.
_CLIENT_OPTIONS: Final[dict[str, Any]] = {
    "retry_total": 4,
    "initial_backoff": 1,
    "increment_base": 2,
    "retry_backoff_factor": 0.5,
}
_TIMEOUTS: Final = {"connection_timeout": 10, "read_timeout": 60}
# One request a range: larger first and following ranges would be held in memory whole.
_BLOB_OPTIONS: Final[dict[str, Any]] = {
    "max_single_get_size": 4 * 1024**2,
    "max_chunk_get_size": 4 * 1024**2,
    "max_single_put_size": 8 * 1024**2,
}


@dataclass(frozen=True, slots=True)
class Archive:
    """The stores of one archive and the clients beneath them. Belongs to the event loop it was opened on."""

    blobs: InstanceBlobs
    catalog: Catalog
    terms: Terms
    journal: Journal
    _blob_service: BlobServiceClient
    _table_service: TableServiceClient
    _study_locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Open the archive that the settings name; where they say so, create its container and tables.

        Raises SettingsError when no storage is named.
        """
        if not settings.storage_connection_string:
            raise SettingsError("STORAGE_CONNECTION_STRING is not set: the archive has no storage account.")
        blob_service = BlobServiceClient.from_connection_string(
            settings.storage_connection_string, **_client_options(), **_BLOB_OPTIONS
        )
        table_service = TableServiceClient.from_connection_string(
            settings.storage_connection_string, **_client_options()
        )
        container = blob_service.get_container_client(_CONTAINER)
        catalog, terms, journal = map(table_service.get_table_client, _TABLES)
        if settings.create_storage:
            for create in (container.create_container, catalog.create_table, terms.create_table, journal.create_table):
                try:
                    await create()
                except ResourceExistsError:
                    continue
        return cls(
            InstanceBlobs(container), Catalog(catalog), Terms(terms), Journal(journal), blob_service, table_service
        )

    def study_lock(self, study_instance_uid: str) -> asyncio.Lock:
        """A lock of this process for changes to a study, so that its own requests queue up and do not race.

        It only saves work: what keeps a study whole, against other processes too, is the catalog's own lock.
        """
        return self._study_locks.setdefault(study_instance_uid, asyncio.Lock())

    async def check(self) -> None:
        """Ask blob and table storage for something small; raises Unavailable unless both answer."""
        try:
            await asyncio.gather(self.blobs.check(), self.catalog.check())
        except AzureError as error:
            raise Unavailable("Storage does not answer.") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._blob_service.close()
        await self._table_service.close()


def _client_options() -> dict[str, Any]:
    return {"transport": WatchedTransport(**_TIMEOUTS), **_CLIENT_OPTIONS}

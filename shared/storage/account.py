"""The storage accounts of an archive and of its backup, reached with a connection string or by identity."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from azure.storage.blob.aio import BlobServiceClient

from shared.settings import Settings, SettingsError
from shared.storage.event_grid import EventGrid
from shared.storage.pipeline import Pipeline, pipeline
from shared.storage.queues import OpenQueues, Queues
from shared.storage.table import Tables
from shared.storage.transport import WatchedTransport

if TYPE_CHECKING:
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

    _Identity = DefaultAzureCredential | ManagedIdentityCredential

# By default the SDK waits 15 seconds before it first retries a blob operation; a client would have given up by then.
_CLIENT_OPTIONS: Final[dict[str, Any]] = {
    "retry_total": 4,
    "initial_backoff": 1,
    "increment_base": 2,
    "retry_backoff_factor": 0.5,
}
# The block size is the default of the SDK's own transport.
_TRANSPORT_OPTIONS: Final[dict[str, Any]] = {
    "connection_timeout": 10,
    "read_timeout": 60,
    "connection_data_block_size": 256 * 1024,
}


@dataclass(frozen=True, slots=True)
class Account:
    """The clients of one account, and the identity with which they sign in, if any.

    `blob_requests` is for the requests on blobs that this project writes itself.
    """

    blobs: BlobServiceClient
    blob_requests: Pipeline
    tables: Tables
    queues: Queues
    event_grid: EventGrid
    _identity: "_Identity | None"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The account that the settings name; no request is sent yet.

        Raises SettingsError where they name none, or one in two ways.
        """
        connection_string = settings.storage_connection_string
        endpoints = (settings.storage_blob_endpoint, settings.storage_table_endpoint)
        if bool(connection_string) == any(endpoints) or any(endpoints) != all(endpoints):
            raise SettingsError(
                "The storage account is named by STORAGE_CONNECTION_STRING, or by both of STORAGE_BLOB_ENDPOINT and "
                "STORAGE_TABLE_ENDPOINT; set one or the other."
            )
        event_grid = EventGrid(lambda: _identity_of(settings))
        if connection_string:
            with _a_connection_string("STORAGE_CONNECTION_STRING"):
                blobs, tables = _blobs_of(connection_string), Tables.of(connection_string, _client_options())
            queues = Queues(_queues_of(connection_string), settings.create_storage)
            return cls(*blobs, tables, queues, event_grid, None)
        if not all(map(_is_https, endpoints)):
            raise SettingsError("STORAGE_BLOB_ENDPOINT and STORAGE_TABLE_ENDPOINT must be https URLs.")
        identity = _identity_of(settings)
        blob_endpoint, table_endpoint = endpoints
        queue_endpoint = settings.storage_queue_endpoint
        if queue_endpoint and not _is_https(queue_endpoint):
            raise SettingsError("STORAGE_QUEUE_ENDPOINT must be an https URL.")
        queues = Queues(_queues_at(queue_endpoint, identity) if queue_endpoint else None)
        blobs, tables = _blobs_at(blob_endpoint, identity), Tables.at(table_endpoint, identity, _client_options())
        return cls(*blobs, tables, queues, event_grid, identity)

    async def close(self) -> None:
        """Close the connections."""
        await self.blobs.close()
        await self.tables.close()
        await self.queues.close()
        await self.event_grid.close()
        if self._identity is not None:
            await self._identity.close()


@dataclass(frozen=True, slots=True)
class BackupAccount:
    """The client of the account of a backup, of which only blobs are used, and its identity, if any."""

    blobs: BlobServiceClient
    blob_requests: Pipeline
    _identity: "_Identity | None"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The account that the settings name; no request is sent yet.

        Raises SettingsError where they name none, or one in two ways.
        """
        connection_string, endpoint = settings.backup_connection_string, settings.backup_blob_endpoint
        if bool(connection_string) == bool(endpoint):
            raise SettingsError(
                "The storage account of the backup is named by BACKUP_BLOB_ENDPOINT or by BACKUP_CONNECTION_STRING; "
                "set one or the other."
            )
        if connection_string:
            with _a_connection_string("BACKUP_CONNECTION_STRING"):
                return cls(*_blobs_of(connection_string), None)
        if not _is_https(endpoint):
            raise SettingsError("BACKUP_BLOB_ENDPOINT must be an https URL.")
        identity = _identity_of(settings)
        return cls(*_blobs_at(endpoint, identity), identity)

    async def close(self) -> None:
        """Close the connections."""
        await self.blobs.close()
        if self._identity is not None:
            await self._identity.close()


def _identity_of(settings: Settings) -> "_Identity":
    # Not needed where a connection string is used, as it is locally.
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential  # with MSAL

    client_id = settings.identity_client_id
    return ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()


@contextmanager
def _a_connection_string(variable: str) -> Iterator[None]:
    try:
        yield
    except ValueError:  # which may quote the key
        raise SettingsError(f"{variable} is not a connection string.") from None


def _is_https(endpoint: str) -> bool:
    return endpoint.startswith("https://")


def _blobs_of(connection_string: str) -> tuple[BlobServiceClient, Pipeline]:
    options = _client_options()
    client = BlobServiceClient.from_connection_string(connection_string, **options)
    return client, _blob_requests(client, options)


def _blobs_at(endpoint: str, identity: "_Identity") -> tuple[BlobServiceClient, Pipeline]:
    options = _client_options()
    client = BlobServiceClient(endpoint, credential=identity, **options)
    return client, _blob_requests(client, options)


def _blob_requests(client: BlobServiceClient, options: dict[str, Any]) -> Pipeline:
    return pipeline(client.url, client.credential, {"x-ms-version": client.api_version}, options)


def _queues_of(connection_string: str) -> OpenQueues:
    return lambda client: client.from_connection_string(connection_string, **_client_options())


def _queues_at(endpoint: str, identity: "_Identity") -> OpenQueues:
    return lambda client: client(endpoint, credential=identity, **_client_options())


def _client_options() -> dict[str, Any]:
    return {"transport": WatchedTransport(**_TRANSPORT_OPTIONS), **_CLIENT_OPTIONS}

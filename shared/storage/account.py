"""The storage account of an archive, reached with a connection string or by identity."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient

from shared.settings import Settings, SettingsError
from shared.storage.transport import WatchedTransport

if TYPE_CHECKING:
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

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
# One request a range: larger ones would be held in memory whole.
_BLOB_OPTIONS: Final[dict[str, Any]] = {
    "max_single_get_size": 4 * 1024**2,
    "max_chunk_get_size": 4 * 1024**2,
    "max_single_put_size": 8 * 1024**2,
}


@dataclass(frozen=True, slots=True)
class Account:
    """The clients of one account, and the identity with which they sign in, if any."""

    blobs: BlobServiceClient
    tables: TableServiceClient
    _identity: "DefaultAzureCredential | ManagedIdentityCredential | None"

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
        return cls._by_connection_string(connection_string) if connection_string else cls._by_identity(settings)

    @classmethod
    def _by_connection_string(cls, text: str) -> Self:
        try:
            return cls(
                BlobServiceClient.from_connection_string(text, **_client_options(), **_BLOB_OPTIONS),
                TableServiceClient.from_connection_string(text, **_client_options()),
                None,
            )
        except ValueError:  # which may quote the key
            raise SettingsError("STORAGE_CONNECTION_STRING is not a connection string.") from None

    @classmethod
    def _by_identity(cls, settings: Settings) -> Self:
        blob_endpoint, table_endpoint = settings.storage_blob_endpoint, settings.storage_table_endpoint
        if not all(endpoint.startswith("https://") for endpoint in (blob_endpoint, table_endpoint)):
            raise SettingsError("STORAGE_BLOB_ENDPOINT and STORAGE_TABLE_ENDPOINT must be https URLs.")
        # Not needed where a connection string is used, as it is locally.
        from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential  # with MSAL

        client_id = settings.identity_client_id
        identity = ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()
        return cls(
            BlobServiceClient(blob_endpoint, credential=identity, **_client_options(), **_BLOB_OPTIONS),
            TableServiceClient(table_endpoint, credential=identity, **_client_options()),
            identity,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self.blobs.close()
        await self.tables.close()
        if self._identity is not None:
            await self._identity.close()


def _client_options() -> dict[str, Any]:
    return {"transport": WatchedTransport(**_TRANSPORT_OPTIONS), **_CLIENT_OPTIONS}

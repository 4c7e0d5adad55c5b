"""A client of a table whose batches are written and read by this project: the SDK's takes ten times as long."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import urlsplit, urlunsplit

from azure.core import AsyncPipelineClient
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceResponseError,
    map_error,
)
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AsyncRetryPolicy,
    AzureSasCredentialPolicy,
    HeadersPolicy,
    RequestIdPolicy,
)
from azure.core.rest import HttpRequest
from azure.data.tables import TableTransactionError
from azure.data.tables.aio import TableClient, TableServiceClient

from shared.storage.batch_messages import (
    BatchFailure,
    MalformedAnswer,
    Operation,
    answer_to_batch,
    batch_request,
    failure_of,
)
from shared.storage.shared_key import SharedKeyPolicy

_SCOPE: Final = "https://storage.azure.com/.default"
_HEADERS: Final = {"DataServiceVersion": "3.0", "MaxDataServiceVersion": "3.0;NetFx", "Accept": "application/json"}
_ERRORS: Final[Mapping[int, type[HttpResponseError]]] = {
    HTTPStatus.UNAUTHORIZED: ClientAuthenticationError,
    HTTPStatus.FORBIDDEN: ClientAuthenticationError,
    HTTPStatus.NOT_FOUND: ResourceNotFoundError,
}


class Batches:
    """Sends batches to an account's tables, through the SDK's public parts: its transport, retries and credentials."""

    def __init__(self, service: TableServiceClient, **options: Any) -> None:
        """`options` are the transport and the retries, as the SDK's clients take them."""
        self._url = service.url
        self._pipeline: AsyncPipelineClient[HttpRequest, Any] = AsyncPipelineClient(
            self._url,
            policies=[
                HeadersPolicy({"x-ms-version": service.api_version, **_HEADERS}),
                RequestIdPolicy(),
                AsyncRetryPolicy(**options),
                *_signing(service.credential),
            ],
            transport=options["transport"],
        )

    async def submit(self, table_name: str, operations: Iterable[Operation], **options: Any) -> list[Mapping[str, Any]]:
        """Carry out operations on rows of one table partition, all or none; `options` change the retries.

        Returns the ETags of the rows, in the order of the operations, none for one that has gone. Raises
        TableTransactionError where storage refuses them, and the SDK's errors where it is not reached.
        """
        batch = batch_request(_below(self._url, table_name).partition("?")[0], operations)
        headers = {"Content-Type": batch.content_type}
        request = HttpRequest("POST", _below(self._url, "$batch"), headers=headers, content=batch.body)
        response = await self._pipeline.send_request(request, **options)
        content = response.content
        if response.status_code != HTTPStatus.ACCEPTED:
            map_error(response.status_code, response, _ERRORS)
            raise _error(failure_of(response.status_code, content))
        try:
            answer = answer_to_batch(response.headers.get("Content-Type", ""), content)
        except MalformedAnswer as error:
            raise ServiceResponseError("Storage's answer to a batch cannot be read.") from error
        if isinstance(answer, BatchFailure):
            raise _error(answer)
        return [{"etag": etag} if etag else {} for etag in answer]


class Table(TableClient):
    """The SDK's client of a table, but for batches."""

    def __init__(self, service: TableServiceClient, name: str, batches: Batches, **options: Any) -> None:
        super().__init__(service.url, name, credential=service.credential, **options)
        self._batches = batches

    async def submit_transaction(  # type: ignore[override] # the SDK takes more kinds of iterables
        self, operations: Iterable[Operation], **options: Any
    ) -> list[Mapping[str, Any]]:
        """As `Batches.submit`; nothing is sent where there are no operations."""
        given = list(operations)
        return await self._batches.submit(self.table_name, given, **options) if given else []


class Tables:
    """The tables of an account, over one transport."""

    def __init__(self, service: TableServiceClient, options: Mapping[str, Any]) -> None:
        """`options` are the transport and the retries, with which `service` was made."""
        self._service = service
        self._options = options
        self._batches = Batches(service, **options)

    @classmethod
    def of(cls, connection_string: str, options: Mapping[str, Any]) -> Self:
        """Those of the account that a connection string names. Raises ValueError where it is none."""
        return cls(TableServiceClient.from_connection_string(connection_string, **options), options)

    @classmethod
    def at(cls, endpoint: str, identity: AsyncTokenCredential, options: Mapping[str, Any]) -> Self:
        """Those of the account at an endpoint, signed in to with an identity."""
        return cls(TableServiceClient(endpoint, credential=identity, **options), options)

    def table(self, name: str) -> Table:
        """The client of a table. No request is sent."""
        return Table(self._service, name, self._batches, **self._options)

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()


def _signing(credential: Any) -> list[Any]:
    """The policies that sign requests; none where the URL is signed."""
    match credential:
        case AzureNamedKeyCredential():
            return [SharedKeyPolicy(credential)]
        case AzureSasCredential():
            return [AzureSasCredentialPolicy(credential)]
        case None:
            return []
        case _:
            return [AsyncBearerTokenCredentialPolicy(credential, _SCOPE)]


def _below(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


def _error(failure: BatchFailure) -> TableTransactionError:
    error = TableTransactionError(message=f"{failure.message}\nErrorCode:{failure.error_code}", index=failure.index)
    error.status_code = failure.status
    return error

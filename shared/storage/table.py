"""A client of a table whose rows are written by requests of our own: the SDK's take up to ten times as long."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Self

from azure.core.async_paging import AsyncItemPaged
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ResourceNotFoundError, ServiceResponseError
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient

from shared.storage.batch_messages import (
    MalformedAnswer,
    Refusal,
    answer_to_batch,
    batch_message,
    is_success,
    refusal_of,
)
from shared.storage.pipeline import Pipeline, coded, error_of, pipeline
from shared.storage.row_reads import Row, filter_text, query_text, rows_of, selection_text
from shared.storage.row_requests import RowRequest, row_request, row_url

Operation = tuple[Any, ...]
"""An operation of a batch, as the SDK takes it."""

_HEADERS: Final = {"MaxDataServiceVersion": "3.0;NetFx"}
_READ: Final = {"Accept": "application/json;odata=minimalmetadata", "DataServiceVersion": "3.0"}
_CONTINUATION: Final = {
    "NextPartitionKey": "x-ms-continuation-NextPartitionKey",
    "NextRowKey": "x-ms-continuation-NextRowKey",
}
_BATCH: Final = {"Accept": "application/json", "DataServiceVersion": "3.0"}


class Table(TableClient):
    """The SDK's client of a table, but for what writes rows, which returns the same and raises the same errors."""

    def __init__(self, service: TableServiceClient, name: str, requests: Pipeline, **options: Any) -> None:
        super().__init__(service.url, name, credential=service.credential, **options)
        account_url, _, signature = service.url.partition("?")
        self._own_url = f"{account_url.rstrip('/')}/{name}"
        self._batch_url = f"{account_url.rstrip('/')}/$batch"
        self._signature = signature
        self._requests = requests

    async def get_entity(  # type: ignore[override] # the SDK's rows have another class
        self, partition_key: str, row_key: str, *, select: Sequence[str] | None = None
    ) -> Row:
        """A row, or the properties that are selected of it. Raises ResourceNotFoundError."""
        url = row_url(self._own_url, partition_key, row_key)
        response = await self._read(url, {"$select": selection_text(select)})
        return _rows(response, is_page=False)[0]

    def query_entities(  # type: ignore[override]
        self,
        query_filter: str,
        *,
        parameters: Mapping[str, str | datetime] | None = None,
        select: Sequence[str] | None = None,
        results_per_page: int | None = None,
    ) -> AsyncItemPaged[Row]:
        """The rows that a filter lets through, in the order of their keys."""
        return self._paged({"$filter": filter_text(query_filter, parameters or {})}, select, results_per_page)

    def list_entities(  # type: ignore[override]
        self, *, select: Sequence[str] | None = None, results_per_page: int | None = None
    ) -> AsyncItemPaged[Row]:
        """All rows, in the order of their keys."""
        return self._paged({}, select, results_per_page)

    async def create_entity(self, entity: Mapping[str, Any], **options: Any) -> Mapping[str, Any]:
        """Insert a row; return its ETag. Raises ResourceExistsError: perhaps it is itself there, sent twice."""
        return await self._write("create", entity, options)

    async def upsert_entity(
        self, entity: Mapping[str, Any], mode: str | UpdateMode = UpdateMode.MERGE, **options: Any
    ) -> Mapping[str, Any]:
        """Write a row that may be there; return its ETag."""
        return await self._write("upsert", entity, {"mode": mode, **options})

    async def update_entity(
        self, entity: Mapping[str, Any], mode: str | UpdateMode = UpdateMode.MERGE, **options: Any
    ) -> Mapping[str, Any]:
        """Write a row that is there; return its ETag. Raises ResourceNotFoundError, ResourceModifiedError."""
        return await self._write("update", entity, {"mode": mode, **options})

    async def delete_entity(self, *entity_or_keys: Any, **options: Any) -> None:
        """Remove a row, named by itself or by its two keys, unless it has gone. Raises ResourceModifiedError."""
        entity = entity_or_keys[0] if len(entity_or_keys) == 1 else dict(zip(_KEYS, entity_or_keys, strict=True))
        try:
            await self._write("delete", entity, options)
        except ResourceNotFoundError:
            return

    async def submit_transaction(  # type: ignore[override] # the SDK takes more kinds of iterables
        self, operations: Iterable[Operation], **options: Any
    ) -> list[Mapping[str, Any]]:
        """Carry out operations on rows of one table partition, all or none; `options` change the retries.

        Returns the ETags of the rows, in the order of the operations, none for one that has gone. Nothing is sent where
        there are no operations. Raises TableTransactionError where storage refuses one.
        """
        requests = [row_request(self._own_url, *operation) for operation in operations]
        if not requests:
            return []
        batch = batch_message(requests)
        headers = {**_BATCH, "Content-Type": batch.content_type}
        response = await self._send(RowRequest("POST", self._batch_url, headers, batch.body), options)
        return [{"etag": etag} if etag else {} for etag in _etags(requests, response)]

    def _paged(
        self, filtered: Mapping[str, str], select: Sequence[str] | None, results_per_page: int | None
    ) -> AsyncItemPaged[Row]:
        options = {**filtered, "$select": selection_text(select), "$top": results_per_page}

        async def read(continuation: Mapping[str, str] | None) -> AsyncHttpResponse:
            return await self._read(f"{self._own_url}()", {**options, **(continuation or {})})

        async def extract(response: AsyncHttpResponse) -> tuple[Any, list[Row]]:
            headers = response.headers
            following = {name: headers[header] for name, header in _CONTINUATION.items() if headers.get(header)}
            return following or None, _rows(response, is_page=True)

        return AsyncItemPaged(read, extract)

    async def _read(self, url: str, options: Mapping[str, str | int | None]) -> AsyncHttpResponse:
        query = query_text(options)
        return await self._send(RowRequest("GET", f"{url}?{query}" if query else url, _READ, b""), {})

    async def _write(self, kind: str, row: Mapping[str, Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
        request = row_request(self._own_url, kind, row, options)
        response = await self._send(request, {})
        etag = response.headers.get("ETag")
        if kind == "delete":
            return {}
        if not etag:
            raise ServiceResponseError("Storage's answer has no ETag.")
        return {"etag": etag}

    async def _send(self, request: RowRequest, options: Mapping[str, Any]) -> AsyncHttpResponse:
        """The answer, whole. Raises the SDK's error where it is no success."""
        url = request.url
        if self._signature:
            url += f"{'&' if '?' in url else '?'}{self._signature}"
        sent = HttpRequest(request.method, url, headers=dict(request.headers), content=request.content or None)
        response: AsyncHttpResponse = await self._requests.send_request(sent, **options)
        if is_success(response.status_code):
            return response
        refusal = refusal_of(response.status_code, response.content, response.headers.get("x-ms-error-code", ""))
        raise error_of(response, refusal.error_code, refusal.message)


_KEYS: Final = ("PartitionKey", "RowKey")


class Tables:
    """The tables of an account, over one transport."""

    def __init__(self, service: TableServiceClient, options: Mapping[str, Any]) -> None:
        """`options` are the transport and the retries, with which `service` was made."""
        self._service = service
        self._options = options
        headers = {"x-ms-version": service.api_version, **_HEADERS}
        self._requests = pipeline(service.url, service.credential, headers, options)

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
        return Table(self._service, name, self._requests, **self._options)

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()


def _rows(response: AsyncHttpResponse, *, is_page: bool) -> list[Row]:
    try:
        return rows_of(response.content, is_page=is_page)
    except ValueError as error:
        raise ServiceResponseError("Storage's answer cannot be read.") from error


def _etags(requests: Sequence[RowRequest], response: AsyncHttpResponse) -> list[str | None]:
    try:
        answer = answer_to_batch(requests, response.headers.get("Content-Type", ""), response.content)
    except MalformedAnswer as error:
        raise ServiceResponseError("Storage's answer to a batch cannot be read.") from error
    if isinstance(answer, Refusal):
        index = answer.index if answer.index < len(requests) else 0
        message = f"{answer.message}\nErrorCode:{answer.error_code}"
        refused = TableTransactionError(message=message, index=index)
        refused.status_code = answer.status
        raise coded(refused, answer.error_code)
    return answer

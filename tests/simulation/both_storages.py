"""Azurite and the simulation side by side: what each answers to a call, in terms that can be compared."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch

from azure.core.exceptions import AzureError, HttpResponseError
from azure.data.tables import TableTransactionError
from azure.data.tables.aio import TableClient
from azure.storage.blob.aio import ContainerClient

from shared.settings import Settings
from shared.storage import account
from shared.storage.account import Account
from tests.simulation.connection import Response, SimulatedTransport, body_of
from tests.simulation.storage import CONNECTION_STRING, SimulatedStorage
from tests.support.storage_messages import Request

NAME: Final = "compared"


class DirectConnection:
    """In place of aiohttp's session: storage answers at once."""

    auto_decompress = False

    def __init__(self, storage: SimulatedStorage) -> None:
        self._storage = storage

    async def __aenter__(self) -> "DirectConnection":
        return self

    async def close(self) -> None:
        """As the session's."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], data: Any = None, **_: Any
    ) -> Response:
        """Send a request, as the session's."""
        request = Request.of(method, url, headers, body_of(data))
        return Response(self._storage.answer(url.split(".")[1], request))


@dataclass
class Side:
    """The clients of one storage; `etags` are those that it has given, by what they are of, the latest last."""

    table: TableClient
    container: ContainerClient
    etags: dict[str, list[str]] = field(default_factory=dict)
    staged: set[str] = field(default_factory=set)
    """The names of blobs of which blocks were staged."""

    def note(self, of: str, etag: str) -> str:
        """Whether an ETag is new, or the number of the one that it is: so ETags of two storages can be compared."""
        known = self.etags.setdefault(of, [])
        if etag not in known:
            known.append(etag)
        return f"etag {known.index(etag)}"


@asynccontextmanager
async def both(azurite: str) -> AsyncIterator[tuple[Side, Side]]:
    """Azurite, by its connection string, and the simulation, each with an empty table and container."""
    connection = DirectConnection(SimulatedStorage(lambda: 0.0, lambda most: most))
    real = Account.of(Settings(storage_connection_string=azurite))
    with patch.object(account, "WatchedTransport", lambda **options: SimulatedTransport(connection, **options)):
        simulated = Account.of(Settings(storage_connection_string=CONNECTION_STRING))
    sides = []
    for one in (real, simulated):
        table, container = one.tables.table(NAME), one.blobs.get_container_client(NAME)
        await table.create_table()
        await container.create_container()
        sides.append(Side(table, container))
    try:
        yield sides[0], sides[1]
    finally:
        await sides[0].table.delete_table()
        await sides[0].container.delete_container()
        await real.close()


Call = Callable[[Side], Awaitable[Any]]


async def answer(side: Side, call: Call) -> Any:
    """What a call returns, or what its error says."""
    try:
        return await call(side)
    except AzureError as error:
        response = getattr(error, "response", None)
        code = getattr(error, "error_code", None) or (response and response.headers.get("x-ms-error-code"))
        index = error.index if isinstance(error, TableTransactionError) else None
        status = error.status_code if isinstance(error, HttpResponseError) else None
        return type(error).__name__, status, getattr(code, "value", code), index

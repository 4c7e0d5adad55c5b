"""A served app that can be inspected: what its storage really keeps, whatever its answers say."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from azure.storage.blob.aio import ContainerClient

from local.azurite import connection_string
from shared.settings import Settings
from shared.storage.archive import Archive
from tests.conftest import Server, serving
from tests.support.invariants import check_study, requests_in_journal
from tests.support.token_issuer import AUDIENCE, issuing


@dataclass(frozen=True)
class WatchedServer(Server):
    """A served app with its own archive. Not for tests that are coroutines: each check runs its own loop."""

    def check(self) -> dict[str, int]:
        """Check all studies that anything is kept of, and that the journal is empty; return their instance counts."""
        # `served` gives Azurite the ports that follow the server's.
        connection = connection_string((httpx.URL(self.base_url).port or 0) + 1)

        async def run() -> dict[str, int]:
            archive = await Archive.open(Settings(storage_connection_string=connection))
            try:
                async with ContainerClient.from_connection_string(connection, "dicom") as container:
                    return await _check(archive, container)
            finally:
                await archive.close()

        # With its own factory, the runner leaves the loop of the coroutine tests in place.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(run())


@contextmanager
def watched(log: Path, **environment: str) -> Iterator[WatchedServer]:
    """The app, served as `make run` serves it, except for `environment`, with nothing stored."""
    with serving(log, **environment) as server:
        yield WatchedServer(server.base_url, server.log)


async def _check(archive: Archive, container: ContainerClient) -> dict[str, int]:
    studies = {rows.study.study_instance_uid async for rows in archive.catalog.read_study_rows() if rows.is_there}
    studies |= {name.partition("/")[0] async for name in container.list_blob_names()}
    counts = {uid: await check_study(archive, container, uid) for uid in sorted(studies)}
    assert await requests_in_journal(archive) == 0
    return counts


@contextmanager
def watched_with_sign_in(log: Path) -> Iterator[WatchedServer]:
    """A server that demands tokens of an issuer which runs as long as it does."""
    with (
        issuing() as issuer,
        watched(log, ANONYMOUS_ACCESS="false", AUTHORITY=issuer.url, AUDIENCE=AUDIENCE) as running,
    ):
        yield running

"""A healthy process, and how to start one that dies."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import pytest
from azure.storage.blob.aio import ContainerClient

from shared.dicom.identifiers import ResourceIdentifiers
from shared.errors import NotFound
from shared.services.repair.maintenance import replay_journal
from shared.services.write.announce import announce
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.web.store_response import Outcome, Stored
from tests.support.changes import changes_in_outbox, check_changes, drop_changes
from tests.support.default_partition import resource_of, study_key
from tests.support.invariants import check_archive
from tests.support.storage_policies import StopAt, die_at
from tests.support.stored_instances import KnownInstance, is_wholly_there
from tests.support.stores import LATER, store


@dataclass(frozen=True)
class World:
    """A healthy process and a way to start one that dies."""

    stores: StoreService
    container: ContainerClient
    settings: Settings
    monkeypatch: pytest.MonkeyPatch

    @property
    def archive(self) -> Archive:
        return self.stores.archive

    async def store(self, *instances: KnownInstance) -> None:
        """Store, in the healthy process, instances that are not there yet."""
        outcomes = await store(self.stores, *(instance.file for instance in instances))
        assert [type(outcome) for outcome in outcomes] == [Stored] * len(instances)

    async def dies_storing(self, files: Sequence[bytes], stop: StopAt) -> bool:
        return await die_at(stop, self.monkeypatch, self.settings, partial(self._store, files))

    async def _store(self, files: Sequence[bytes], archive: Archive) -> list[Outcome]:
        return await store(StoreService(archive, self.settings), *files)

    async def dies_storing_at_once(self, requests: Sequence[Sequence[KnownInstance]], stop: StopAt) -> bool:
        async def request(archive: Archive) -> None:
            stores = StoreService(archive, self.settings)
            await asyncio.gather(*(store(stores, *(part.file for part in request)) for request in requests))

        return await die_at(stop, self.monkeypatch, self.settings, request)

    async def dies_deleting(self, resource: ResourceIdentifiers, stop: StopAt) -> bool:
        return await die_at(stop, self.monkeypatch, self.settings, lambda archive: delete(archive, resource))

    async def dies_announcing(self, study: str, stop: StopAt) -> bool:
        request = partial(announce, study_key=study_key(study))
        return await die_at(stop, self.monkeypatch, self.settings, request)

    async def dies_maintaining(self, stop: StopAt) -> bool:
        return await die_at(stop, self.monkeypatch, self.settings, self._maintain)

    async def maintain(self) -> None:
        await self._maintain(self.archive)

    async def _maintain(self, archive: Archive) -> None:
        await replay_journal(archive, self.settings, now=datetime.now(UTC) + LATER)

    async def forget(self, study: str) -> None:
        """Leave the archive empty, so that examining all of it stays quick."""
        with suppress(NotFound):
            await delete(self.archive, resource_of(study))
        await drop_changes(self.archive)

    async def has(self, instance: KnownInstance) -> bool:
        return await is_wholly_there(self.archive, self.settings, self.container, instance)

    async def which(self, instances: Sequence[KnownInstance]) -> list[KnownInstance]:
        """Those of the instances that are there; of the others, nothing is."""
        found = await asyncio.gather(*map(self.has, instances))
        return [instance for instance, is_there in zip(instances, found, strict=True) if is_there]

    async def check(self, there: Sequence[KnownInstance] = (), gone: Sequence[KnownInstance] = ()) -> None:
        await check_archive(self.archive, self.settings)
        await check_changes(self.archive, await changes_in_outbox(self.archive))
        assert await self.which(there) == list(there)
        assert await self.which(gone) == []

"""The archive's stores, opened on one storage account and shared by everything a process serves."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self
from weakref import WeakValueDictionary

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.data.tables.aio import TableClient

from shared.archive.instance import InstanceWithFrames
from shared.dicom.frame_table import FrameTable
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey
from shared.errors import NotFound, Unavailable
from shared.settings import Settings
from shared.storage.account import Account
from shared.storage.blobs import InstanceBlobs
from shared.storage.catalog import Catalog
from shared.storage.event_grid import EventGrid
from shared.storage.feed import Feed
from shared.storage.instance_versions import InstanceVersions
from shared.storage.journal import Journal
from shared.storage.operation_table import Operations
from shared.storage.outbox import Outbox
from shared.storage.postings import Postings
from shared.storage.queues import Queues
from shared.storage.recent import Recent
from shared.storage.tag_table import Tags

if TYPE_CHECKING:
    from shared.storage.subscription_table import Subscriptions
    from shared.storage.wakes import Wakes

_CONTAINER: Final = "dicom"
_TABLES: Final = ("catalog", "terms", "journal", "feed", "operations", "tags", "subscriptions")

_RECENT_BYTES: Final = 8 * 1024**2
_RECENT_ENTRIES: Final = 4096

_Creation = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Archive:
    """The stores of one archive and the clients beneath them. Belongs to the event loop it was opened on."""

    blobs: InstanceBlobs
    catalog: Catalog
    postings: Postings
    journal: Journal
    outbox: Outbox
    feed: Feed
    versions: InstanceVersions
    operations: Operations
    tags: Tags
    queues: Queues
    event_grid: EventGrid
    _wakes: "Wakes | None"
    _account: Account
    _study_locks: WeakValueDictionary[StudyKey, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    drain_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Keeps the requests of this process from draining side by side. It only saves work."""
    filling_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """The same for the first filling of the change feed."""
    recent_instances: Recent[InstanceIdentifiers, InstanceWithFrames] = field(
        default_factory=lambda: Recent(_RECENT_BYTES, _RECENT_ENTRIES)
    )
    """Rows of instances, for reading a blob along with the row; only that says whether it is still the right one."""
    recent_tables: Recent[str, FrameTable] = field(default_factory=lambda: Recent(_RECENT_BYTES, _RECENT_ENTRIES))
    """Long frame tables, by the name of the blob that each has or would have. A blob version's never changes."""

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Open the archive that the settings name; where they say so, create its container and tables.

        Raises SettingsError when they do not name one storage account.
        """
        account = Account.of(settings)
        container = account.blobs.get_container_client(_CONTAINER)
        catalog, terms, journal, feed, operations, tags, subscriptions = tables = [
            account.tables.table(name) for name in _TABLES
        ]
        if not settings.subscription_hosts:
            tables.remove(subscriptions)
        if settings.create_storage:
            creations: list[_Creation] = [container.create_container, *(table.create_table for table in tables)]
            for create in creations:
                try:
                    await create()
                except ResourceExistsError:
                    continue
        return cls(
            InstanceBlobs(container, account.blob_requests),
            Catalog(catalog),
            Postings(terms),
            Journal(journal),
            Outbox(catalog),
            Feed(feed),
            InstanceVersions(catalog),
            Operations(operations),
            Tags(tags),
            account.queues,
            account.event_grid,
            _wakes_of(subscriptions, account.queues) if settings.subscription_hosts else None,
            account,
        )

    def study_lock(self, study_key: StudyKey) -> asyncio.Lock:
        """A lock of this process for changes to a study, so that its requests queue up instead of racing.

        It only saves work: the catalog's own lock keeps a study consistent, also against other processes.
        """
        return self._study_locks.setdefault(study_key, asyncio.Lock())

    @property
    def wakes(self) -> "Wakes":
        """What has subscribers told of changes. Raises NotFound where subscriptions are switched off."""
        if self._wakes is None:
            raise NotFound("There are no subscriptions here: the setting SUBSCRIPTION_HOSTS names no host.")
        return self._wakes

    @property
    def subscriptions(self) -> "Subscriptions":
        """The subscriptions. Raises NotFound where they are switched off."""
        return self.wakes.subscriptions

    async def announce_commit(self) -> None:
        """Have subscribers told of what the journal now leads to. Mostly no storage operation: see Wakes."""
        if self._wakes is not None:
            await self._wakes.send()

    async def check(self) -> None:
        """Ask blob and table storage for something small; raises Unavailable unless both answer."""
        try:
            await asyncio.gather(self.blobs.check(), self.catalog.check())
        except AzureError as error:
            raise Unavailable("Storage does not answer.") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._account.close()


def _wakes_of(table: TableClient, queues: Queues) -> "Wakes":
    from shared.storage.wakes import Wakes  # and what it needs: switched off, not even that is imported

    return Wakes(table, queues)

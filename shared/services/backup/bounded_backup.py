"""A run of the backup that ends in time: what it does not come to is for the next one."""

import asyncio
from enum import StrEnum

from shared.services.backup.backup import BackedUp, back_up
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.backup_container import BackupContainer
from shared.storage.backup_lock import BackupUnderWay


class End(StrEnum):
    """How a run ended."""

    COMPLETE = "complete"
    LATE = "late"
    ANOTHER = "another"  # is under way


async def back_up_for(archive: Archive, settings: Settings, done: BackedUp, *, seconds: float) -> End:
    """Back up until all is done, or the time is up. `done` counts as it goes. Raises OtherArchive and LockLost."""
    container = await BackupContainer.open(settings)
    try:
        async with asyncio.timeout(seconds) as limit:
            await back_up(archive, container, settings, done)
    except BackupUnderWay:
        return End.ANOTHER
    except TimeoutError:
        if not limit.expired():
            raise
        return End.LATE
    finally:
        await container.close()
    return End.COMPLETE

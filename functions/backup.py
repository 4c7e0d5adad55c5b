"""The timer that backs the archive up."""

import asyncio
import logging
from typing import Final

import azure.functions as func

from functions.edge.app import app_of_process
from shared.failures import described
from shared.services.backup.backup import BackedUp, back_up
from shared.storage.backup_container import BackupContainer
from shared.storage.backup_lock import BackupUnderWay
from shared.storage.storage_use import StorageUse

bp = func.Blueprint()

_RUN_SECONDS: Final = 25 * 60  # of the host's functionTimeout, which leaves time to end what is under way

_logger = logging.getLogger(__name__)


class BackupFailed(Exception):
    """A backup failed, or not all studies could be backed up; the log says which, and why."""


@bp.function_name("BackUpArchive")
@bp.timer_trigger(arg_name="timer", schedule="0 30 1 * * *", run_on_startup=False)
async def back_up_archive(timer: func.TimerRequest) -> None:
    """Each night, for 25 minutes at most: the next run goes on from there. Raises BackupFailed."""
    done, storage = BackedUp(), StorageUse()
    end = "failed"
    try:
        with storage.watching():
            end = await _run(done)
    except Exception as error:  # noqa: BLE001 -- it is logged, without its message, and raised as another
        _logger.error("The backup failed: %s", described(error))
        raise BackupFailed from None  # the host logs it with its message
    finally:
        _logger.info(
            "transaction=BackUpArchive end=%s studies=%d taken=%d gone=%d removed=%d blobs=%d bytes=%d failures=%d "
            "storage=%d",
            end,
            done.studies,
            done.taken,
            done.gone,
            done.removed,
            done.blobs,
            done.bytes,
            len(done.failures),
            storage.operations.total(),
        )
    for study, why in done.failures:
        _logger.error("Study %s is not backed up: %s", study.study_instance_uid, why)
    if done.failures:
        raise BackupFailed


async def _run(done: BackedUp) -> str:
    """Back up until all is done, or the time is up; return how it ended."""
    app = app_of_process()
    archive = await app.archive()
    container = await BackupContainer.open(app.settings)
    try:
        async with asyncio.timeout(_RUN_SECONDS) as limit:
            await back_up(archive, container, app.settings, done)
    except BackupUnderWay:
        return "another"
    except TimeoutError:
        if not limit.expired():
            raise
        return "late"
    finally:
        await container.close()
    return "complete"

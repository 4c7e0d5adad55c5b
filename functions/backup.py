"""The timer that backs the archive up."""

import logging
from typing import Final

import azure.functions as func

from functions.edge.app import app_of_process
from shared.failures import described
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
    from shared.services.backup.backup import BackedUp  # the storage SDKs
    from shared.services.backup.bounded_backup import back_up_for  # the same

    app = app_of_process()
    done, storage, end = BackedUp(), StorageUse(), "failed"
    try:
        with storage.watching():
            end = await back_up_for(await app.archive(), app.settings, done, seconds=_RUN_SECONDS)
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

"""The timer that finishes what dead processes left behind."""

import logging

import azure.functions as func

from functions.edge.app import app_of_process
from shared.failures import described
from shared.storage.storage_use import StorageUse

bp = func.Blueprint()

_logger = logging.getLogger(__name__)


class MaintenanceFailed(Exception):
    """A run of maintenance failed; the log says where."""


@bp.function_name("ReplayJournal")
@bp.timer_trigger(arg_name="timer", schedule="0 */10 * * * *", run_on_startup=False)
async def replay_journal(timer: func.TimerRequest) -> None:
    """Every ten minutes; the host allows one run at a time across all instances. Raises MaintenanceFailed."""
    from shared.services.repair import maintenance  # the storage SDKs

    app = app_of_process()
    storage, replay = StorageUse(), maintenance.Replay(failures=1)
    try:
        with storage.watching():
            replay = await maintenance.replay_journal(await app.archive(), app.settings)
    except Exception as error:  # noqa: BLE001 -- it is logged, without its message, and raised as another
        _logger.error("Maintenance failed: %s", described(error))
        raise MaintenanceFailed from None  # the host logs it with its message
    finally:
        _logger.info(
            "transaction=ReplayJournal settled=%d blobs=%d failures=%d oldest_seconds=%.0f storage=%d retries=%d",
            replay.settled_entries,
            replay.removed_blobs,
            replay.failures,
            replay.oldest_entry_seconds,
            storage.operations.total(),
            storage.retries.total(),
        )
        if (telemetry := await app.telemetry()) is not None:
            telemetry.maintenance(replay, storage)
            await telemetry.send_metrics()

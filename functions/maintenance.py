"""The timer that finishes what dead processes left behind, drains changes, and looks after operations.

Where there are subscribers, it has those told whose messages were lost.
"""

import logging
from typing import Final

import azure.functions as func

from functions.edge.app import app_of_process
from shared.failures import described
from shared.storage.storage_use import StorageUse

bp = func.Blueprint()

_FEED_SECONDS: Final = 240  # for each step of the change feed; the next run goes on

_logger = logging.getLogger(__name__)


class MaintenanceFailed(Exception):
    """A run of maintenance failed; the log says where."""


@bp.function_name("ReplayJournal")
@bp.timer_trigger(arg_name="timer", schedule="0 */10 * * * *", run_on_startup=False)
async def replay_journal(timer: func.TimerRequest) -> None:
    """Every ten minutes; the host allows one run at a time across all instances. Raises MaintenanceFailed."""
    from shared.services.feed.backfill import prepare  # the storage SDKs
    from shared.services.feed.drain import Drained, drain  # the storage SDKs
    from shared.services.operations.upkeep import look_after_operations  # the storage SDKs
    from shared.services.repair import maintenance  # the storage SDKs

    app = app_of_process()
    storage, replay, drained = StorageUse(), maintenance.Replay(failures=1), Drained()
    try:
        with storage.watching():
            archive = await app.archive()
            replay = await maintenance.replay_journal(archive, app.settings)
            try:
                await prepare(archive, seconds=_FEED_SECONDS)
                await drain(archive, seconds=_FEED_SECONDS, drained=drained)
                if app.settings.subscription_hosts:
                    from shared.services.subscriptions.wake import wake_if_needed  # off, it costs not even its import

                    await wake_if_needed(archive)
            finally:  # operations do not wait until the feed can be written
                await look_after_operations(archive, app.settings)
    except Exception as error:  # noqa: BLE001 -- it is logged, without its message, and raised as another
        replay.failures = max(replay.failures, 1)
        _logger.error("Maintenance failed: %s", described(error))
        raise MaintenanceFailed from None  # the host logs it with its message
    finally:
        _logger.info(
            "transaction=ReplayJournal settled=%d blobs=%d drained=%d failures=%d oldest_seconds=%.0f "
            "waiting_seconds=%.0f storage=%d retries=%d",
            replay.settled_entries,
            replay.removed_blobs,
            drained.changes,
            replay.failures,
            replay.oldest_entry_seconds,
            drained.waiting_seconds,
            storage.operations.total(),
            storage.retries.total(),
        )
        if (telemetry := await app.telemetry()) is not None:
            telemetry.maintenance(replay, drained, storage)
            await telemetry.send_metrics()

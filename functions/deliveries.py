"""The queue function that tells subscribers of changes."""

import logging
from typing import Final

import azure.functions as func

from functions.edge.app import app_of_process
from shared.failures import described
from shared.storage.storage_use import StorageUse

bp = func.Blueprint()

CONNECTION: Final = "ArchiveQueues"
"""The setting, or the beginning of the settings, by which the host reaches the archive's queues."""

_logger = logging.getLogger(__name__)


class DeliveryFailed(Exception):
    """A run of deliveries failed; the log says where."""


@bp.function_name("DeliverEvents")
@bp.queue_trigger(arg_name="message", queue_name="deliveries", connection=CONNECTION)
async def deliver_events(message: func.QueueMessage) -> None:
    """A message names a subscription to deliver to, or none: then all are looked through. Raises DeliveryFailed."""
    from shared.services.subscriptions.runs import run  # the storage SDKs

    app = app_of_process()
    storage, asked = StorageUse(), message.get_json()
    try:
        with storage.watching():
            await run(await app.archive(), app.settings, asked)
    except Exception as error:  # noqa: BLE001 -- it is logged, without its message, and raised as another
        _logger.error("A delivery failed: %s", described(error))
        raise DeliveryFailed from None  # the host logs it with its message
    finally:
        _logger.info(
            "transaction=DeliverEvents subscription=%s storage=%d retries=%d",
            asked.get("subscription", "all"),
            storage.operations.total(),
            storage.retries.total(),
        )

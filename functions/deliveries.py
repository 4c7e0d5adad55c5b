"""The queue functions that tell subscribers of changes, one run for each message, and note what cannot be run."""

import logging
from typing import Final

import azure.functions as func

from functions.edge.app import app_of_process
from shared.failures import described
from shared.storage.storage_use import StorageUse

bp = func.Blueprint()

_CONNECTION: Final = "ArchiveQueues"

_logger = logging.getLogger(__name__)


class DeliveryNotRun(Exception):
    """A delivery could not be run; the log says why. The host delivers its message again."""


@bp.function_name("DeliverEvents")
@bp.queue_trigger(arg_name="message", queue_name="deliveries", connection=_CONNECTION)
async def deliver_events(message: func.QueueMessage) -> None:
    """Deliver to the subscription that a message names, or look through all of them. Raises DeliveryNotRun."""
    from shared.services.subscriptions.runs import Asked, run  # the storage SDKs

    app, storage = app_of_process(), StorageUse()
    asked = Asked.by(message.get_body())
    if asked is None:
        _logger.error("A message could not be handled: it is not one of this service.")
        return
    try:
        with storage.watching():
            await run(await app.archive(), app.settings, asked)
    except Exception as error:  # noqa: BLE001 -- it is logged, without its message, and raised as another
        _logger.warning("A delivery to subscription %s is tried again: %s", asked.subscription, described(error))
        raise DeliveryNotRun from None  # the host logs it with its message
    finally:
        _logger.info(
            "transaction=DeliverEvents subscription=%s storage=%d retries=%d",
            asked.subscription or "all",
            storage.operations.total(),
            storage.retries.total(),
        )


@bp.function_name("NoteFailedDelivery")
@bp.queue_trigger(arg_name="message", queue_name="deliveries-poison", connection=_CONNECTION)
async def note_failed_delivery(message: func.QueueMessage) -> None:
    """Note that the host gave a message up: the next wake, or maintenance, has done what it asked for."""
    _logger.error("A message could not be handled: events are late until maintenance runs. Id: %s", message.id)

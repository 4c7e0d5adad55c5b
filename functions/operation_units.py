"""The queue functions that run the units of operations, one for each message, and note those that cannot be run."""

import logging

import azure.functions as func

from functions.edge.app import app_of_process
from shared.failures import described
from shared.storage.storage_use import StorageUse

bp = func.Blueprint()

_logger = logging.getLogger(__name__)


class UnitNotRun(Exception):
    """A unit could not be run; the log says why. The host delivers its message again."""


@bp.function_name("RunOperationUnit")
@bp.queue_trigger(arg_name="message", queue_name="operations", connection="ArchiveQueues")
async def run_operation_unit(message: func.QueueMessage) -> None:
    """Run what a message asks for. Raises UnitNotRun."""
    from shared.services.operations.engine import run_unit  # the storage SDKs
    from shared.services.operations.unit_message import NotAUnitMessage, UnitMessage  # with it

    app, storage = app_of_process(), StorageUse()
    try:
        asked = UnitMessage.of(message.get_body())
    except NotAUnitMessage:
        _logger.error("A message could not be handled: it is not one of this service.")
        return
    try:
        with storage.watching():
            failure = await run_unit(await app.archive(), app.settings, asked, message.dequeue_count or 1)
    except Exception as error:  # noqa: BLE001 -- it is logged, without its message, and raised as another
        _logger.warning("A unit of operation %s is tried again: %s", asked.operation, described(error))
        raise UnitNotRun from None  # the host logs it with its message
    finally:
        _logger.info(
            "transaction=RunOperationUnit operation=%s unit=%d generation=%d tries=%d storage=%d retries=%d",
            asked.operation,
            asked.unit,
            asked.generation,
            message.dequeue_count or 1,
            storage.operations.total(),
            storage.retries.total(),
        )
        if (telemetry := await app.telemetry()) is not None:
            telemetry.unit(storage)
            await telemetry.send_metrics()
    if failure:
        _logger.error("A unit of operation %s failed: %s", asked.operation, failure)


@bp.function_name("FailOperationUnit")
@bp.queue_trigger(arg_name="message", queue_name="operations-poison", connection="ArchiveQueues")
async def fail_operation_unit(message: func.QueueMessage) -> None:
    """Note that the unit of a message failed that the host gave up. Raises UnitNotRun."""
    from shared.services.operations.engine import fail_unit  # the storage SDKs
    from shared.services.operations.unit_message import NotAUnitMessage, UnitMessage  # with it

    app = app_of_process()
    try:
        asked = UnitMessage.of(message.get_body())
    except NotAUnitMessage:
        _logger.error("A message could not be handled: it is not one of this service.")
        return
    try:
        failure = await fail_unit(await app.archive(), asked)
    except Exception as error:  # noqa: BLE001 -- it is logged, without its message, and raised as another
        _logger.error("A message could not be handled: %s", described(error))
        raise UnitNotRun from None  # the host logs it with its message
    if failure:
        _logger.error("A unit of operation %s failed: %s", asked.operation, failure)

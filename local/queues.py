"""Runs an app's queue functions as the host does: a batch of messages at once, and those that fail again, five times.

A message that fails once more is set aside: copied to the queue with `-poison` behind the name, and deleted. One of
that queue has nowhere to go: it is seen again when its lease ends, and after the last try it only waits to expire.
"""

import asyncio
import inspect
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.functions.decorators.function_app import Function
from azure.functions.queue import QueueMessage
from azure.storage.queue import QueueMessage as ReceivedMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.azurite import LocalError

POISON: Final = "-poison"
"""What the host puts behind a queue's name to name the queue of messages that failed too often."""

_MIN_PAUSE_SECONDS: Final = 0.1  # the host's, after the first look that finds nothing
_TIME_SPAN: Final = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)")

_logger = logging.getLogger("local.queues")


@dataclass(frozen=True, slots=True)
class QueueFunction:
    """A function of the messages of a queue, in the account whose connection string the setting `connection` holds."""

    name: str
    queue: str
    connection: str
    handler: Callable[[QueueMessage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """The settings of host.json that hold for all queues, and two that it does not set, in seconds."""

    batch_size: int
    new_batch_threshold: int
    max_dequeue_count: int
    visibility_timeout: int
    lease_seconds: int = 600
    """How long a message is invisible, from when it is received and from each renewal: the host's."""
    max_pause_seconds: float = 2
    """The longest pause between two looks. The host's is a minute; here somebody watches, and looking costs nothing."""


def queue_functions_of(functions: Iterable[Function]) -> list[QueueFunction]:
    """The queue functions of an app. Raises LocalError for a handler that is not async."""
    found = []
    for function in functions:
        trigger = function.get_trigger()
        if trigger is not None and trigger.type == "queueTrigger":
            name, handler = function.get_function_name() or "", function.get_user_function()
            if not inspect.iscoroutinefunction(handler):
                raise LocalError(f"{name}: the handler is not an async function.")
            binding = trigger.get_dict_repr()
            found.append(QueueFunction(name, binding["queueName"], binding["connection"], handler))
    return found


def queue_settings_of(host_json: Path) -> QueueSettings:
    """What a host.json sets for queues. Raises LocalError where it lacks a setting, or encodes messages."""
    settings: Mapping[str, Any] = json.loads(host_json.read_text()).get("extensions", {}).get("queues", {})
    if settings.get("messageEncoding") != "none":
        raise LocalError(f"{host_json}: messageEncoding of queues must be none; messages are sent as they are.")
    try:
        return QueueSettings(
            batch_size=settings["batchSize"],
            new_batch_threshold=settings["newBatchThreshold"],
            max_dequeue_count=settings["maxDequeueCount"],
            visibility_timeout=_seconds(settings["visibilityTimeout"]),
        )
    except KeyError as error:
        raise LocalError(f"{host_json}: extensions.queues lacks {error}.") from error


def _seconds(time_span: str) -> int:
    found = _TIME_SPAN.fullmatch(time_span)
    if not found:
        raise LocalError(f"visibilityTimeout must be hours, minutes and seconds such as 00:00:30, not {time_span!r}.")
    hours, minutes, seconds = map(int, found.groups())
    return (hours * 60 + minutes) * 60 + seconds


async def run(function: QueueFunction, settings: QueueSettings, environment: Mapping[str, str]) -> None:
    """Run a function for each message of its queue, forever; a queue that does not exist is an empty one.

    When cancelled, it cancels the runs under way, whose messages can be seen again at once.
    """
    under_way: set[asyncio.Task[None]] = set()
    pause = _MIN_PAUSE_SECONDS
    account = QueueServiceClient.from_connection_string(environment[function.connection])
    async with account, asyncio.TaskGroup() as group:
        while True:
            messages = await _receive(account.get_queue_client(function.queue), settings)
            under_way |= {group.create_task(_handle(function, settings, account, message)) for message in messages}
            if messages:
                pause = _MIN_PAUSE_SECONDS
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, settings.max_pause_seconds)
            while len(under_way) > settings.new_batch_threshold:
                _, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)


async def _receive(queue: QueueClient, settings: QueueSettings) -> list[ReceivedMessage]:
    """The next batch of messages that can be seen; none where storage has no answer."""
    pages = queue.receive_messages(messages_per_page=settings.batch_size, visibility_timeout=settings.lease_seconds)
    try:
        async for page in pages.by_page():
            return [message async for message in page]
    except ResourceNotFoundError:
        pass
    except AzureError as error:
        _logger.error("%s: no messages can be received: %s", queue.queue_name, error)
    return []


async def _handle(
    function: QueueFunction, settings: QueueSettings, account: QueueServiceClient, message: ReceivedMessage
) -> None:
    """Run a function for a message, and have the queue know how that ended. Raises nothing."""
    queue = account.get_queue_client(function.queue)
    tries = message.dequeue_count or 0
    try:
        if tries <= settings.max_dequeue_count and await _run(function, settings, queue, message):
            await queue.delete_message(message)
        elif function.queue.endswith(POISON):
            pass  # it stays invisible until its lease ends
        elif tries >= settings.max_dequeue_count:
            await _set_aside(account, queue, message)
        else:
            await queue.update_message(message, visibility_timeout=settings.visibility_timeout)
    except AzureError as error:
        _logger.error("%s: the queue does not know how a message ended: %s", function.name, error)


async def _run(function: QueueFunction, settings: QueueSettings, queue: QueueClient, message: ReceivedMessage) -> bool:
    """Whether a function succeeds for a message, whose lease is renewed in the meantime, as is its receipt."""
    _logger.info("%s runs, for the %d. time.", function.name, message.dequeue_count)
    running = asyncio.ensure_future(function.handler(_given(message)))
    try:
        while not (await asyncio.wait({running}, timeout=settings.lease_seconds / 2))[0]:
            await _renew(queue, message, settings.lease_seconds)
    except asyncio.CancelledError:
        running.cancel()
        await asyncio.wait({running})
        await queue.update_message(message, visibility_timeout=0)
        raise
    failure = running.exception()
    if failure is not None:
        _logger.error("%s failed.", function.name, exc_info=failure)
    return failure is None


async def _renew(queue: QueueClient, message: ReceivedMessage, lease_seconds: int) -> None:
    try:
        renewed = await queue.update_message(message, visibility_timeout=lease_seconds)
        message.pop_receipt = renewed.pop_receipt
    except AzureError as error:  # the run goes on, as on the host
        _logger.error("%s: the lease of a message is not renewed: %s", queue.queue_name, error)


def _given(message: ReceivedMessage) -> QueueMessage:
    """A message as the worker hands it to a function."""
    return QueueMessage(
        id=message.id,
        body=message.content,
        dequeue_count=message.dequeue_count,
        expiration_time=message.expires_on,
        insertion_time=message.inserted_on,
        time_next_visible=message.next_visible_on,
        pop_receipt=message.pop_receipt,
    )


async def _set_aside(account: QueueServiceClient, queue: QueueClient, message: ReceivedMessage) -> None:
    poison = account.get_queue_client(queue.queue_name + POISON)
    _logger.warning("A message of %s has failed too often: it moves to %s.", queue.queue_name, poison.queue_name)
    with suppress(ResourceExistsError):
        await poison.create_queue()
    await poison.send_message(message.content)  # expires after seven days, as from the host
    await queue.delete_message(message)

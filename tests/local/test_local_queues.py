"""When queue functions run, how often, and what becomes of their messages: on Azurite's queues."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import azure.functions as func
import pytest
import pytest_asyncio
from azure.core.exceptions import ResourceNotFoundError
from azure.functions.queue import QueueMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.azurite import ROOT, Azurite, LocalError
from local.queues import POISON, QueueFunction, QueueSettings, queue_functions_of, queue_settings_of, run
from tests.support.logged import logged

SETTINGS = QueueSettings(
    batch_size=2, new_batch_threshold=0, max_dequeue_count=3, visibility_timeout=1, max_pause_seconds=0.2
)
SECONDS = 20


@pytest_asyncio.fixture
async def account(azurite: Azurite) -> AsyncIterator[QueueServiceClient]:
    async with QueueServiceClient.from_connection_string(azurite.connection_string) as account:
        yield account


@pytest_asyncio.fixture
async def queue(account: QueueServiceClient) -> QueueClient:
    return await account.create_queue(f"toys-{uuid4().hex}")


class Runs:
    """A handler that notes its messages; it does as told for each, by default nothing."""

    def __init__(self, do: Callable[[str], Any] = lambda _: None) -> None:
        self.messages: list[QueueMessage] = []
        self.seen: list[tuple[str, int]] = []  # body and dequeue count of each run, as they began
        self.at: list[float] = []
        self.ended: list[str] = []
        self._do = do

    async def __call__(self, message: QueueMessage) -> None:
        body = message.get_body().decode()
        self.messages.append(message)
        self.seen.append((body, message.dequeue_count))
        self.at.append(time.monotonic())
        if (done := self._do(body)) is not None:
            await done
        self.ended.append(body)


def failing(body: str) -> None:
    if body.startswith("bad"):
        raise ZeroDivisionError(body)


@asynccontextmanager
async def running(
    azurite: Azurite, queue: QueueClient, handler: Runs, settings: QueueSettings = SETTINGS
) -> AsyncIterator["asyncio.Task[None]"]:
    function = QueueFunction("Play", queue.queue_name, "Toys", handler)
    task = asyncio.create_task(run(function, settings, {"Toys": azurite.connection_string}))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not is_so():  # noqa: ASYNC110 -- what it waits for is a list
            await asyncio.sleep(0.02)


async def send(queue: QueueClient, bodies: Iterable[str]) -> None:
    for body in bodies:
        await queue.send_message(body)


async def is_empty(queue: QueueClient) -> bool:
    """Whether the queue holds no message, be it visible or not."""
    return (await queue.get_queue_properties()).approximate_message_count == 0


async def until_empty(queue: QueueClient) -> None:
    async with asyncio.timeout(SECONDS):
        while not await is_empty(queue):  # noqa: ASYNC110 -- another service's state
            await asyncio.sleep(0.05)


async def test_a_function_gets_what_the_worker_would_give_it(azurite: Azurite, queue: QueueClient) -> None:
    sent = await queue.send_message('{"unit":"é"}')
    runs = Runs()
    async with running(azurite, queue, runs):
        await until_empty(queue)
    (message,) = runs.messages
    assert isinstance(message, func.QueueMessage)
    assert (message.id, message.dequeue_count, message.get_json()) == (sent.id, 1, {"unit": "é"})
    assert message.insertion_time == sent.inserted_on
    assert message.expiration_time == sent.expires_on
    assert message.time_next_visible > message.insertion_time
    assert message.pop_receipt


async def test_a_batch_runs_at_once_and_the_next_when_few_enough_are_left(azurite: Azurite, queue: QueueClient) -> None:
    gates = {body: asyncio.Event() for body in "abcd"}
    runs = Runs(lambda body: gates[body].wait())
    await send(queue, "abcd")
    async with running(azurite, queue, runs):
        await until(lambda: len(runs.seen) == 2)
        first = runs.seen[0][0]
        gates[first].set()
        await until(lambda: runs.ended == [first])
        await asyncio.sleep(0.5)
        assert len(runs.seen) == 2  # the threshold is none left
        for gate in gates.values():
            gate.set()
        await until(lambda: len(runs.ended) == 4)
        await until_empty(queue)

    gates = {body: asyncio.Event() for body in "abcd"}
    runs = Runs(lambda body: gates[body].wait())
    await send(queue, "abcd")
    async with running(azurite, queue, runs, replace(SETTINGS, new_batch_threshold=1)):
        await until(lambda: len(runs.seen) == 2)
        gates[runs.seen[1][0]].set()
        await until(lambda: len(runs.seen) == 4)  # one was left, and a batch of two is received


async def test_two_long_runs_do_not_keep_the_app_from_others(azurite: Azurite, queue: QueueClient) -> None:
    """By the settings of host.json: as of two subscribers that are slow."""
    gate = asyncio.Event()
    runs, slow = Runs(lambda body: gate.wait() if body in "ab" else asyncio.sleep(0)), 2
    await send(queue, "ab")
    async with running(azurite, queue, runs, queue_settings_of(ROOT / "host.json")):
        await until(lambda: len(runs.seen) == slow)
        await send(queue, "cdef")
        await until(lambda: len(runs.ended) == 4)
        gate.set()
        await until_empty(queue)


async def test_what_fails_is_tried_again_after_a_pause_then_set_aside(
    azurite: Azurite, account: QueueServiceClient, queue: QueueClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "local.queues")
    runs = Runs(failing)
    await send(queue, ["bad", "good"])
    async with running(azurite, queue, runs):
        await until_empty(queue)
        assert sorted(runs.seen) == [("bad", 1), ("bad", 2), ("bad", 3), ("good", 1)]
        tries = [at for at, (body, _) in zip(runs.at, runs.seen, strict=True) if body == "bad"]
        assert all(later - earlier > 0.9 for earlier, later in pairwise(tries))
    (set_aside,) = [message async for message in account.get_queue_client(queue.queue_name + POISON).receive_messages()]
    assert (set_aside.content, set_aside.dequeue_count) == ("bad", 1)
    failures = [record for record in caplog.records if record.getMessage() == "Play failed."]
    assert [record.exc_info and record.exc_info[0] for record in failures] == [ZeroDivisionError] * 3


async def test_a_message_that_was_received_too_often_is_set_aside_unread(
    azurite: Azurite, account: QueueServiceClient, queue: QueueClient
) -> None:
    await account.create_queue(queue.queue_name + POISON)  # as a deployment makes it
    await send(queue, ["bad"])
    for _ in range(3):  # processes that died
        message = await queue.receive_message(visibility_timeout=600)
        assert message
        await queue.update_message(message, visibility_timeout=0)
    runs = Runs()
    async with running(azurite, queue, runs):
        await until_empty(queue)
    assert runs.seen == []
    assert not await is_empty(account.get_queue_client(queue.queue_name + POISON))


async def test_a_long_run_keeps_its_message(azurite: Azurite, queue: QueueClient) -> None:
    runs = Runs(lambda body: asyncio.sleep(5) if body == "long" else None)
    await send(queue, ["long"])
    async with running(azurite, queue, runs, replace(SETTINGS, lease_seconds=2, new_batch_threshold=8)):
        await until(lambda: bool(runs.seen))
        await send(queue, ["short"])  # looks for messages go on
        await until(lambda: len(runs.ended) == 2)
        await until_empty(queue)
    assert runs.seen == [("long", 1), ("short", 1)]


async def test_a_run_goes_on_when_its_message_has_gone(
    azurite: Azurite, queue: QueueClient, caplog: pytest.LogCaptureFixture
) -> None:
    runs = Runs(lambda _: asyncio.sleep(1.5))
    await send(queue, ["long"])
    async with running(azurite, queue, runs, replace(SETTINGS, lease_seconds=2)) as task:
        await until(lambda: bool(runs.seen))
        await queue.clear_messages()
        await until(lambda: runs.ended == ["long"])
        await until(lambda: "the queue does not know how a message ended" in caplog.text)
        assert "the lease of a message is not renewed" in caplog.text
        assert not task.done()


async def test_a_poison_queue_has_none_of_its_own(
    azurite: Azurite, account: QueueServiceClient, queue: QueueClient
) -> None:
    poison = await account.create_queue(queue.queue_name + POISON)
    await send(poison, ["bad"])
    runs = Runs(failing)
    settings = replace(SETTINGS, visibility_timeout=0, lease_seconds=1)
    async with running(azurite, poison, runs, settings):
        await until(lambda: len(runs.seen) == 3)
        assert all(later - earlier > 0.9 for earlier, later in pairwise(runs.at))
        await asyncio.sleep(2.5)
    assert runs.seen == [("bad", 1), ("bad", 2), ("bad", 3)]
    assert not await is_empty(poison)  # it waits to expire
    with pytest.raises(ResourceNotFoundError):
        await account.get_queue_client(queue.queue_name + POISON + POISON).get_queue_properties()


async def test_a_queue_that_does_not_exist_is_empty_until_it_does(
    azurite: Azurite, account: QueueServiceClient, caplog: pytest.LogCaptureFixture
) -> None:
    queue = account.get_queue_client(f"later-{uuid4().hex}")
    runs = Runs()
    async with running(azurite, queue, runs):
        await asyncio.sleep(0.5)
        await queue.create_queue()
        await send(queue, ["first"])
        await until(lambda: runs.ended == ["first"])
    assert [record.levelname for record in logged(caplog, "local.queues")] == ["INFO"]


async def test_a_storage_without_an_answer_is_asked_again(
    azurite: Azurite, queue: QueueClient, caplog: pytest.LogCaptureFixture
) -> None:
    function = QueueFunction("Play", queue.queue_name, "Toys", Runs())
    nobody = azurite.connection_string.replace("AccountKey=E", "AccountKey=F")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await run(function, SETTINGS, {"Toys": nobody})
    first, _, *_ = logged(caplog, "local.queues")
    assert first.getMessage().startswith(f"{queue.queue_name}: no messages can be received: ")


async def test_pauses_grow_while_nothing_comes_and_are_short_again_after_a_message(
    azurite: Azurite, queue: QueueClient
) -> None:
    runs = Runs()
    async with running(azurite, queue, runs, replace(SETTINGS, max_pause_seconds=60)):
        await asyncio.sleep(2)  # looks after 0, 0.1, 0.3, 0.7 and 1.5 seconds; the next is after 3.1
        began = time.monotonic()
        await send(queue, ["first"])
        await until(lambda: len(runs.ended) == 1)
        assert time.monotonic() - began > 0.5
        began = time.monotonic()
        await send(queue, ["second"])
        await until(lambda: len(runs.ended) == 2)
        assert time.monotonic() - began < 0.5


async def test_when_stopped_runs_are_cancelled_and_their_messages_come_back_at_once(
    azurite: Azurite, queue: QueueClient
) -> None:
    runs = Runs(lambda _: asyncio.sleep(3600))
    await send(queue, ["a", "b"])
    async with running(azurite, queue, runs):
        await until(lambda: len(runs.seen) == 2)
    assert runs.ended == []
    again = Runs()
    async with running(azurite, queue, again):
        await until(lambda: len(again.ended) == 2)
    assert sorted(again.seen) == [("a", 2), ("b", 2)]


def app_with(handler: Callable[[func.QueueMessage], Any]) -> func.FunctionApp:
    async def tick(timer: func.TimerRequest) -> None: ...

    app = func.FunctionApp()
    app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")(tick)
    app.queue_trigger(arg_name="message", queue_name="toys", connection="Toys")(handler)
    return app


def test_queue_functions_of_finds_only_the_queue_functions() -> None:
    async def play(message: func.QueueMessage) -> None: ...

    (function,) = queue_functions_of(app_with(play).get_functions())
    assert (function.name, function.queue, function.connection) == ("play", "toys", "Toys")


def test_a_handler_that_is_not_async_is_refused() -> None:
    def play(message: func.QueueMessage) -> None: ...

    with pytest.raises(LocalError, match=r"^play: the handler is not an async function\.$"):
        queue_functions_of(app_with(play).get_functions())


def test_the_settings_are_those_of_host_json() -> None:
    settings = queue_settings_of(ROOT / "host.json")
    assert settings == QueueSettings(batch_size=2, new_batch_threshold=2, max_dequeue_count=5, visibility_timeout=30)
    assert settings.lease_seconds == 600


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"messageEncoding": "base64"}, "messageEncoding of queues must be none"),
        ({"messageEncoding": None}, "messageEncoding of queues must be none"),
        ({"batchSize": None}, r"extensions\.queues lacks 'batchSize'\.$"),
        ({"visibilityTimeout": "30"}, "hours, minutes and seconds such as 00:00:30, not '30'"),
    ],
)
def test_settings_that_cannot_be_heeded_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    settings = json.loads((ROOT / "host.json").read_text())
    queues = {**settings["extensions"]["queues"], **changed}
    settings["extensions"]["queues"] = {name: value for name, value in queues.items() if value is not None}
    (tmp_path / "host.json").write_text(json.dumps(settings))
    with pytest.raises(LocalError, match=message):
        queue_settings_of(tmp_path / "host.json")

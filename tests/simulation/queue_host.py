"""The platform's side of queue functions: it hands messages to processes, again where a run fails or never ends."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from shared.services.operations import engine
from tests.simulation.connection import Surroundings
from tests.support.storage_messages import Answer, Request

Handler = Callable[[Mapping[str, Any], int], Awaitable[None]]
"""Runs a function on a message and the number of times that it has been handed out; raises where the run fails."""

_POISON: Final = "-poison"
_LEASE_SECONDS: Final = 600  # how long the host keeps a message from others, and longer while its run lasts
_RETRY_SECONDS: Final = 30  # visibilityTimeout of host.json
_IDLE_SECONDS: Final = 10
_CALM_IDLE_SECONDS: Final = 60

_LOST: Final = 0.02  # of the messages: the queue is cleared, or who sent it died before
_TWICE: Final = 0.05  # whose lease ends while they run
_NOT_DELETED: Final = 0.05  # whose removal fails


@dataclass(frozen=True, slots=True)
class _Message:
    queue: str
    id: str
    receipt: str
    text: str
    dequeued: int


class QueueHost:
    """Runs functions, by their queues, on the messages of simulated storage; the schedule's chance decides."""

    def __init__(self, shared: Surroundings, functions: Mapping[str, Handler]) -> None:
        self._shared = shared
        self._functions = functions
        self._running: set[asyncio.Task[None]] = set()
        self.poisoned: list[Mapping[str, Any]] = []
        """Messages that were handed out as often as they may be, and never handled."""
        for queue in functions:  # which a deployment makes
            self._send("PUT", queue)

    async def serve(self, seconds: float) -> None:
        """Hand messages out for so long, then let what runs end."""
        end = self._shared.loop.time() + seconds
        while self._shared.loop.time() < end:
            taken = [message for queue in self._functions if (message := self._take(queue))]
            for message in taken:
                task = self._shared.loop.create_task(self._run(message))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            idle_seconds = _CALM_IDLE_SECONDS if self._shared.schedule.is_calm else _IDLE_SECONDS
            await asyncio.sleep(self._chance() * (0.01 if taken else idle_seconds))
        while self._running:
            await asyncio.wait(self._running)

    @property
    def waiting(self) -> list[str]:
        """The texts of all messages, visible or not; a poison queue keeps those that its function failed on."""
        queues = (queue for queue in self._functions if not queue.endswith(_POISON))
        return [text for queue in queues for text in self._shared.storage.queues.texts(queue)]

    async def _run(self, message: _Message) -> None:
        faulty = not self._shared.schedule.is_calm
        if message.dequeued > engine.MAX_TRIES:  # a run of it never ended; in a poison queue it stays until it expires
            if not message.queue.endswith(_POISON):
                self._poison(message)
            return
        if faulty and self._chance() < _LOST:
            self._note("loses", message)
            self._send("DELETE", f"{_path(message)}?popreceipt={quote(message.receipt)}")
            return
        if faulty and self._chance() < _TWICE:
            self._note("hands out twice", message)
            self._show_again(message, 0)
        try:
            await self._functions[message.queue](json.loads(message.text), message.dequeued)
        except Exception as error:  # noqa: BLE001 -- the host only knows that a run failed
            self._note("fails", message, type(error).__name__)
            self._fail(message)
        else:
            if not (faulty and self._chance() < _NOT_DELETED):
                self._send("DELETE", f"{_path(message)}?popreceipt={quote(message.receipt)}")

    def _fail(self, message: _Message) -> None:
        if message.queue.endswith(_POISON):  # it stays invisible until its lease ends
            return
        if message.dequeued < engine.MAX_TRIES:
            self._show_again(message, _RETRY_SECONDS)
            return
        self._poison(message)

    def _poison(self, message: _Message) -> None:
        self.poisoned.append(json.loads(message.text))
        self._send("POST", f"{message.queue}{_POISON}/messages?messagettl=-1", message.text)
        self._send("DELETE", f"{_path(message)}?popreceipt={quote(message.receipt)}")

    def _show_again(self, message: _Message, seconds: int) -> None:
        self._send("PUT", f"{_path(message)}?popreceipt={quote(message.receipt)}&visibilitytimeout={seconds}")

    def _take(self, queue: str) -> _Message | None:
        answer = self._send("GET", f"{queue}/messages?numofmessages=1&visibilitytimeout={_LEASE_SECONDS}")
        for found in _messages_of(answer):
            each = {name: found.findtext(name) or "" for name in ("MessageId", "PopReceipt", "MessageText")}
            dequeued = int(found.findtext("DequeueCount") or "0")
            message = _Message(queue, each["MessageId"], each["PopReceipt"], each["MessageText"], dequeued)
            self._note("hands out", message, f"for the {dequeued}. time")
            return message
        return None

    def _send(self, method: str, url: str, text: str | None = None) -> Answer:
        body = (
            b"" if text is None else f"<QueueMessage><MessageText>{escape(text)}</MessageText></QueueMessage>".encode()
        )
        return self._shared.storage.answer("queue", Request.of(method, f"/{url}", {}, body))

    def _chance(self) -> float:
        return self._shared.schedule.random.random()

    def _note(self, what: str, message: _Message, *more: object) -> None:
        self._shared.schedule.note(self._shared.loop.time(), "host", what, message.queue, message.text, *more)


def _path(message: _Message) -> str:
    return f"{message.queue}/messages/{message.id}"


def _messages_of(answer: Answer) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(answer.body)) if answer.status == 200 else []  # noqa: S314 -- of storage

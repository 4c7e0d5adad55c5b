"""Queue Storage, in memory: messages that whoever takes them has to delete before they become visible again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import format_datetime
from itertools import count
from typing import Final
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.simulation.table_values import time_of
from tests.support.storage_messages import Answer, Request, StorageError

_TICKS: Final = 10_000_000  # of a second
_VISIBILITY_SECONDS: Final = "30"
_LIFETIME_SECONDS: Final = str(7 * 24 * 3600)
_FOREVER: Final = 10**18  # in the year 4769
_MAX_TAKEN: Final = 32


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was put, taken or changed last; `receipt` is that of this time, and times are in ticks."""

    id: str
    text: str
    receipt: str
    inserted: int
    expires: int
    visible: int
    dequeued: int = 0


Queue = dict[str, Message]


class QueueService:
    """The queue service of an account; `now` is the time in ticks."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._numbers = count(1)
        self._queues: dict[str, Queue] = {}

    def answer(self, request: Request) -> Answer:
        """Carry out a request."""
        try:
            return self._answer(request)
        except StorageError as error:
            return error.as_xml()

    def texts(self, name: str) -> list[str]:
        """The texts of all messages of a queue, visible or not."""
        return [message.text for message in self._queues.get(name, {}).values()]

    def _answer(self, request: Request) -> Answer:
        name, *rest = unquote(request.path).split("/")
        if not rest:
            if request.method != "PUT":
                raise StorageError(400, "UnsupportedQueryParameter")
            is_new = name not in self._queues
            self._queues.setdefault(name, {})
            return Answer(201 if is_new else 204)
        if name not in self._queues:
            raise StorageError(404, "QueueNotFound")
        queue = self._queues[name]
        for expired in [one.id for one in queue.values() if one.expires <= self._now()]:
            del queue[expired]
        action = _ACTIONS[request.method, len(rest)]
        return action(self, queue, rest[-1], request)

    def _put(self, queue: Queue, _: str, request: Request) -> Answer:
        now = self._now()
        lifetime = int(request.query.get("messagettl", _LIFETIME_SECONDS))
        visible = now + int(request.query.get("visibilitytimeout", "0")) * _TICKS
        expires = now + lifetime * _TICKS if lifetime > 0 else _FOREVER
        number = str(next(self._numbers))
        queue[number] = Message(number, _text_of(request) or "", self._receipt(), now, expires, visible)
        return _list([queue[number]], 201, _PUT)

    def _take(self, queue: Queue, _: str, request: Request) -> Answer:
        most = min(int(request.query.get("numofmessages", "1")), _MAX_TAKEN)
        now = self._now()
        found = sorted((one for one in queue.values() if one.visible <= now), key=lambda one: one.visible)[:most]
        if request.query.get("peekonly") == "true":
            return _list(found, 200, _PEEKED)
        visible = now + int(request.query.get("visibilitytimeout", _VISIBILITY_SECONDS)) * _TICKS
        taken = [replace(one, receipt=self._receipt(), visible=visible, dequeued=one.dequeued + 1) for one in found]
        queue.update((one.id, one) for one in taken)
        return _list(taken, 200, _TAKEN)

    def _change(self, queue: Queue, message_id: str, request: Request) -> Answer:
        message = _existing(queue, message_id, request)
        visible = self._now() + int(request.query["visibilitytimeout"]) * _TICKS
        text = _text_of(request)
        changed = replace(
            message, receipt=self._receipt(), visible=visible, text=message.text if text is None else text
        )
        queue[message_id] = changed
        return Answer(204, {"x-ms-popreceipt": changed.receipt, "x-ms-time-next-visible": _date(visible)})

    def _delete(self, queue: Queue, message_id: str, request: Request) -> Answer:
        del queue[_existing(queue, message_id, request).id]
        return Answer(204)

    def _clear(self, queue: Queue, _: str, __: Request) -> Answer:
        queue.clear()
        return Answer(204)

    def _receipt(self) -> str:
        return f"receipt{next(self._numbers)}"


_Action = Callable[[QueueService, Queue, str, Request], Answer]
_ACTIONS: Final[Mapping[tuple[str, int], _Action]] = {
    ("POST", 1): QueueService._put,
    ("GET", 1): QueueService._take,
    ("DELETE", 1): QueueService._clear,
    ("PUT", 2): QueueService._change,
    ("DELETE", 2): QueueService._delete,
}


def _date(ticks: int) -> str:
    return format_datetime(time_of(ticks), usegmt=True)


_FIELDS: Final[Mapping[str, Callable[[Message], str]]] = {
    "MessageId": lambda one: one.id,
    "InsertionTime": lambda one: _date(one.inserted),
    "ExpirationTime": lambda one: _date(one.expires),
    "PopReceipt": lambda one: one.receipt,
    "TimeNextVisible": lambda one: _date(one.visible),
    "DequeueCount": lambda one: str(one.dequeued),
    "MessageText": lambda one: one.text,
}
_PUT: Final = ("MessageId", "InsertionTime", "ExpirationTime", "PopReceipt", "TimeNextVisible")
_PEEKED: Final = ("MessageId", "InsertionTime", "ExpirationTime", "DequeueCount", "MessageText")
_TAKEN: Final = tuple(_FIELDS)


def _existing(queue: Queue, message_id: str, request: Request) -> Message:
    message = queue.get(message_id)
    if message is None:
        raise StorageError(404, "MessageNotFound")
    if message.receipt != request.query.get("popreceipt"):
        raise StorageError(400, "PopReceiptMismatch")
    return message


def _text_of(request: Request) -> str | None:
    if not request.body:
        return None
    root = ElementTree.fromstring(request.body)  # noqa: S314 -- the client made it
    return root.findtext("MessageText")


def _list(messages: list[Message], status: int, names: tuple[str, ...]) -> Answer:
    found = "".join(
        f"<QueueMessage>{''.join(f'<{name}>{escape(_FIELDS[name](one))}</{name}>' for name in names)}</QueueMessage>"
        for one in messages
    )
    text = f'<?xml version="1.0" encoding="utf-8"?><QueueMessagesList>{found}</QueueMessagesList>'
    return Answer(status, {"Content-Type": "application/xml"}, text.encode())

"""Random calls of the queue service, as its REST interface has them, for two storages to answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random
from typing import Any, Final
from urllib.parse import quote
from xml.etree import ElementTree

from azure.core.pipeline import AsyncPipeline, PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest
from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy

NAME: Final = "compared"
_SHORT_SECONDS: Final = 1
_TEXTS: Final = ("a", "b<c>", "é", "")


class _Headers(SansIOHTTPPolicy[Any, Any]):
    def on_request(self, request: PipelineRequest[Any]) -> None:
        request.http_request.headers.update({"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"})


@dataclass
class QueueSide:
    """A queue of one storage; `taken` are the ids and receipts of messages as they were given, by what is in them."""

    url: str
    pipeline: AsyncPipeline[Any, Any]
    taken: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    async def send(
        self, method: str, path: str, text: str | None = None
    ) -> tuple[int, str | None, ElementTree.Element]:
        """Status, error code and document of an answer."""
        body = f"<QueueMessage><MessageText>{quote(text)}</MessageText></QueueMessage>" if text is not None else None
        headers = {"Content-Type": "application/xml"}
        request = HttpRequest(method, f"{self.url}/{NAME}{path}", headers=headers, content=body and body.encode())
        response = (await self.pipeline.run(request)).http_response
        root = ElementTree.fromstring(response.body() or b"<nothing/>")  # noqa: S314 -- of storage
        return response.status_code, response.headers.get("x-ms-error-code"), root


@asynccontextmanager
async def queue_side(url: str, account: str, key: str, transport: AioHttpTransport) -> AsyncIterator[QueueSide]:
    """An empty queue at a URL of a service."""
    policies = [_Headers(), SharedKeyCredentialPolicy(account, key)]  # type: ignore[no-untyped-call]
    async with AsyncPipeline(transport, policies) as pipeline:
        side = QueueSide(url, pipeline)
        await side.send("PUT", "")
        await side.send("DELETE", "/messages")
        yield side


async def queue_call(chance: Random, number: int, *sides: QueueSide) -> tuple[str, list[Any]]:
    """One call to each side: what it is, and what each answers."""
    kind = chance.choices(["put", "take", "peek", "change", "delete", "wait"], [5, 5, 2, 3, 3, 1])[0]
    match kind:
        case "put":
            text, hidden = f"{number} {chance.choice(_TEXTS)}", chance.choice((0, 0, _SHORT_SECONDS))
            path = f"/messages?visibilitytimeout={hidden}"
            return f"{kind} {text} {hidden}", [_statuses(await side.send("POST", path, text)) for side in sides]
        case "take":
            seconds, most = chance.choice((_SHORT_SECONDS, 60)), chance.choice((1, 2, 32))
            return f"{kind} {most} {seconds}", [await _take(side, most, seconds) for side in sides]
        case "peek":
            path = "/messages?peekonly=true&numofmessages=32"
            return kind, [_shown((await side.send("GET", path))[2]) for side in sides]
        case "wait":
            await asyncio.sleep(1.5 * _SHORT_SECONDS)
            return kind, []
    known = sorted(set.intersection(*(set(side.taken) for side in sides)))
    if not known:
        return "nothing", []
    text, which, new = chance.choice(known), chance.choice((-1, -1, 0)), chance.choice((None, f"{number} changed"))
    answers = []
    for side in sides:
        message_id, receipt = side.taken[text][which]
        path = f"/messages/{message_id}?popreceipt={quote(receipt, safe='')}"
        if kind == "delete":
            answers.append(_statuses(await side.send("DELETE", path)))
        else:
            path += f"&visibilitytimeout={_SHORT_SECONDS}"
            answers.append(_statuses(await side.send("PUT", path, new)))
    return f"{kind} {text} {which} {new}", answers


async def _take(side: QueueSide, most: int, seconds: int) -> Any:
    path = f"/messages?numofmessages={most}&visibilitytimeout={seconds}"
    status, _, root = await side.send("GET", path)
    for message in root:
        text, message_id, receipt = (
            message.findtext(name) or "" for name in ("MessageText", "MessageId", "PopReceipt")
        )
        side.taken.setdefault(text, []).append((message_id, receipt))
    return status, _shown(root)


def _shown(root: ElementTree.Element) -> list[tuple[str | None, str | None]]:
    return sorted((message.findtext("MessageText"), message.findtext("DequeueCount")) for message in root)


def _statuses(answer: tuple[int, str | None, ElementTree.Element]) -> tuple[int, str | None]:
    return answer[0], answer[1]

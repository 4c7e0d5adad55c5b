"""Sends an answer at the pace of its client, without keeping the event loop from others.

A server takes whatever it is given at once, and holds it until the client has taken it. So it is given a slice at a
time, each once the client has taken most of the one before. A client that takes nothing for a while is left.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.types import Message, Send

from shared.services.turns import Turns

_SLICE_BYTES: Final = 256 * 1024


class ClientStalled(Exception):
    """The client has taken nothing for too long."""


def steady(send: Send, stalled_seconds: float) -> Send:
    """What sends as `send` does, in slices. Raises ClientStalled when a slice takes longer than `stalled_seconds`."""
    turns = Turns()

    async def send_steadily(message: Message) -> None:
        for one in _sliced(message):
            await _send(send, one, stalled_seconds)
            await turns.next()

    return send_steadily


async def _send(send: Callable[[Message], Awaitable[None]], message: Message, stalled_seconds: float) -> None:
    try:
        async with asyncio.timeout(stalled_seconds):
            await send(message)
    except TimeoutError:
        raise ClientStalled(f"The client took nothing for {stalled_seconds} seconds.") from None


def _sliced(message: Message) -> list[Message]:
    body = message.get("body", b"")
    if len(body) <= _SLICE_BYTES:
        return [message]
    last = len(body) - _SLICE_BYTES
    return [
        {
            "type": message["type"],
            "body": body[start : start + _SLICE_BYTES],
            "more_body": start < last or message.get("more_body", False),
        }
        for start in range(0, len(body), _SLICE_BYTES)
    ]

"""An answer goes out at the pace of its client, and nobody else waits for it."""

import asyncio

import pytest
from starlette.types import Message

from functions.edge.steady_sending import ClientStalled, steady

MIB = 1024**2


async def sent(*messages: Message) -> list[Message]:
    out: list[Message] = []

    async def send(message: Message) -> None:
        out.append(message)

    send_steadily = steady(send, 1)
    for message in messages:
        await send_steadily(message)
    return out


@pytest.mark.parametrize("size", [0, 1, MIB // 4, MIB // 4 + 1, 3 * MIB, 3 * MIB + 7])
@pytest.mark.parametrize("more_body", [True, False])
async def test_a_body_is_sent_in_slices_that_make_it_up(size: int, more_body: bool) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    start: Message = {"type": "http.response.start", "status": 200, "headers": []}
    out = await sent(start, {"type": "http.response.body", "body": body, "more_body": more_body})
    assert out[0] == start
    assert b"".join(message["body"] for message in out[1:]) == body
    assert max(len(message["body"]) for message in out[1:]) <= MIB // 4
    assert [message.get("more_body", False) for message in out[1:]] == [True] * (len(out) - 2) + [more_body]


async def test_a_message_without_more_to_come_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    out = await sent({"type": "http.response.body", "body": bytes(MIB)})
    assert [message["more_body"] for message in out] == [True, True, True, False]


async def test_a_client_that_takes_nothing_is_left() -> None:
    async def send(message: Message) -> None:
        await asyncio.sleep(60)

    with pytest.raises(ClientStalled, match=r"took nothing for 0\.05 seconds"):
        await steady(send, 0.05)({"type": "http.response.body", "body": b"1"})


async def test_a_slow_client_is_served_as_long_as_it_takes_something() -> None:
    async def send(message: Message) -> None:
        await asyncio.sleep(0.03)

    await steady(send, 0.2)({"type": "http.response.body", "body": bytes(3 * MIB)})


async def test_others_have_their_turn_while_a_server_takes_everything_at_once() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def send(message: Message) -> None:
        """Returns without waiting, as a server does whose client is quick."""

    waiting = asyncio.create_task(other())
    send_steadily, clock = steady(send, 1), asyncio.get_running_loop().time
    ends = clock() + 0.1
    while clock() < ends:
        await send_steadily({"type": "http.response.body", "body": b"1", "more_body": True})
    waiting.cancel()
    assert turns > 3

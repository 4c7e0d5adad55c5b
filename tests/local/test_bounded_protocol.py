"""Clients of the local server that send endless heads, or none, or open connections without end."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import azure.functions as func
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from local.bounded_protocol import bounded_protocol
from local.server import Host, routes_of, server_of

KIB = 1024
HEAD_SECONDS = 1.0
CONNECTIONS = 40
ROUNDS = 400

toy = func.FunctionApp()


@toy.function_name("Echo")
@toy.route("echo", methods=["GET", "POST"])
async def echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    protocol = bounded_protocol(max_head_seconds=HEAD_SECONDS, max_connections=CONNECTIONS)
    server = server_of(Host(routes_of(toy.get_functions())), 0, protocol)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection


def received(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    pieces = []
    try:
        while piece := connection.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        return b"".join(pieces)
    return b"".join(pieces)


def is_served(port: int) -> bool:
    return httpx.get(f"http://127.0.0.1:{port}/echo").status_code == 200


@pytest.mark.parametrize("value_bytes", [10, 1000, 60 * KIB])
def test_a_head_that_fits_is_read(port: int, value_bytes: int) -> None:
    headers = {f"X-{number}": "x" * value_bytes for number in range(60 * KIB // (value_bytes + 20))}
    assert httpx.get(f"http://127.0.0.1:{port}/echo", headers=headers or {"X": "x" * value_bytes}).status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /echo HTTP/1.1\r\n" + b"X-Y: z\r\n" * 20_000,
        b"GET /echo HTTP/1.1\r\nX: " + b"x" * 200 * KIB,
        b"GET /echo HTTP/1.1\r\n" + b"X" * 200 * KIB,
        b"GET /" + b"x" * 200 * KIB,
    ],
    ids=["many", "a long value", "a long name", "a long path"],
)
def test_a_head_without_end_is_refused(port: int, head: bytes) -> None:
    with connected(port) as connection:
        with suppress(ConnectionError):
            connection.sendall(head)
        answer = received(connection)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
    assert is_served(port)


def test_the_refusal_of_a_large_head_arrives(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"GET /echo HTTP/1.1\r\nX: " + b"x" * 65 * KIB)
        assert received(connection).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "beginning",
    [b"", b"G", b"\r\n\r\n", b"GET /echo HTTP/1.1\r\nHost: x\r\n", b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n\r\n"],
)
def test_a_head_that_is_not_finished_ends_the_connection(port: int, beginning: bytes) -> None:
    with connected(port) as connection:
        began = time.monotonic()
        connection.sendall(beginning)
        received(connection)
        assert HEAD_SECONDS / 2 < time.monotonic() - began < HEAD_SECONDS + 6


def test_a_head_that_trickles_ends_the_connection(port: int) -> None:
    with connected(port) as connection:
        connection.settimeout(0.05)
        connection.sendall(b"GET /echo HTTP/1.1\r\n")
        for _ in range(ROUNDS):
            try:
                connection.sendall(b"X: y\r\n")
                if connection.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
    pytest.fail("It stays open.")


def test_a_body_may_take_longer_than_a_head(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\nConnection: close\r\n\r\n")
        time.sleep(HEAD_SECONDS * 1.5)
        connection.sendall(bytes(300_000))
        assert received(connection).endswith(b"300000")


def test_a_connection_is_used_again_and_again(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(5):
            assert client.post("/echo", content=bytes(100_000), headers={"X": "x" * 30 * KIB}).text == "100000"
            time.sleep(HEAD_SECONDS * 0.4)


def test_one_connection_too_many_is_closed_and_the_others_are_served(port: int) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(connected(port)) for _ in range(CONNECTIONS)]
        with connected(port) as one_more:
            assert received(one_more) == b""
        held[0].sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert received(held[0]).startswith(b"HTTP/1.1 200 ")
    time.sleep(0.2)
    assert is_served(port)

"""Clients that no library makes: they read slowly, stop midway, leave, or send what never ends, for some seconds.

Each returns what it was answered: a status, what became of the connection instead, or both.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.conftest import Server

LOAD_SECONDS = 20
_BUFFER_BYTES = 64 * 1024
_SIP_BYTES = 4 * 1024
_LEFT_BYTES = 8 * 1024**2


@asynccontextmanager
async def connected(
    server: Server,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that buffers little, and is reset at the end, whatever is under way."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    url = urlsplit(server.base_url)
    await asyncio.get_running_loop().sock_connect(connection, (url.hostname, url.port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=_SIP_BYTES)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def request(method: str, target: str, headers: dict[str, str] | None = None) -> bytes:
    lines = {"Host": "test", "Accept": "*/*", "Connection": "close", **(headers or {})}
    return (
        f"{method} {target} HTTP/1.1\r\n".encode()
        + b"".join(f"{name}: {value}\r\n".encode() for name, value in [*lines.items(), ("", "")] if name)
        + b"\r\n"
    )


async def read_all(server: Server, target: str, accept: str = "*/*", seconds: float = LOAD_SECONDS) -> str:
    """GET, read as fast as it comes."""
    return await _read(server, request("GET", target, {"Accept": accept}), seconds, is_slow=False)


async def read_slowly(server: Server, target: str, accept: str = "*/*", seconds: float = LOAD_SECONDS) -> str:
    """GET, read 4 KiB a second."""
    return await _read(server, request("GET", target, {"Accept": accept}), seconds, is_slow=True)


async def leave(server: Server, target: str) -> str:
    """GET, left after 8 MiB that are read so quickly that the server hardly ever waits."""

    def read() -> str:
        url = urlsplit(server.base_url)
        with socket.create_connection((url.hostname or "", url.port or 80), LOAD_SECONDS) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # its end is a reset
            connection.sendall(request("GET", target))
            status = connection.recv(_BUFFER_BYTES).split()[1].decode()
            received = 0
            while received < _LEFT_BYTES and (chunk := connection.recv(_LEFT_BYTES)):
                received += len(chunk)
            return f"{status}, left"

    return await asyncio.to_thread(read)


async def post(server: Server, body: bytes, content_type: str, seconds: float = LOAD_SECONDS) -> str:
    """POST to /studies of a body as fast as it is taken."""
    headers = {"Content-Type": content_type, "Content-Length": str(len(body))}
    return await _read(server, request("POST", "/v2/studies", headers) + body, seconds, is_slow=False)


async def stop_midway(server: Server, body: bytes, seconds: float = LOAD_SECONDS) -> str:
    """POST to /studies of an instance that announces more than it sends."""
    headers = {"Content-Type": "application/dicom", "Content-Length": str(len(body) + 1)}
    return await _read(server, request("POST", "/v2/studies", headers) + body, seconds, is_slow=False)


async def send_headers(server: Server, size_bytes: int, seconds: float = LOAD_SECONDS) -> str:
    """Headers of some bytes in all, whose end does not come."""
    line = b"X-Padding: " + b"x" * 60_000 + b"\r\n"
    async with connected(server) as (reader, writer):
        try:
            async with asyncio.timeout(seconds):
                writer.write(request("GET", "/v2/studies")[:-2])
                for _ in range(size_bytes // len(line)):
                    writer.write(line)
                    await writer.drain()
                return await _status(reader)
        except TimeoutError:
            return "open"
        except (ConnectionError, asyncio.IncompleteReadError):
            return "closed"


async def _read(server: Server, sent: bytes, seconds: float, *, is_slow: bool) -> str:
    status = "no answer"
    async with connected(server) as (reader, writer):
        try:
            async with asyncio.timeout(seconds):
                writer.write(sent)
                status = await _status(reader)
                while await reader.read(_SIP_BYTES if is_slow else _BUFFER_BYTES):
                    if is_slow:
                        await asyncio.sleep(1)
                return status
        except TimeoutError:
            return f"{status}, then open"
        except (ConnectionError, asyncio.IncompleteReadError):
            return f"{status}, then closed"


async def _status(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\r\n")).split()[1].decode()

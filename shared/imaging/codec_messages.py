"""Messages between the service and the processes of its codecs.

A message is two lengths of eight bytes, a JSON object, and the bytes of a frame.
"""

import json
import socket
import struct
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

_LENGTHS: Final = struct.Struct("<QQ")
_MAX_TEXT_BYTES: Final = 64 * 1024

Bytes: TypeAlias = "bytes | bytearray | memoryview[int]"
Message = tuple[dict[str, Any], bytearray]


def write(connection: socket.socket, description: Mapping[str, Any], data: Bytes, until: float | None = None) -> None:
    """Send a message. Raises TimeoutError where the other end has not taken it `until` then, by the monotonic clock."""
    text = json.dumps(description).encode()
    for part in (_LENGTHS.pack(len(text), len(data)) + text, data):
        _set_limit(connection, until)
        connection.sendall(part)


def read(connection: socket.socket, until: float | None = None, max_bytes: int = sys.maxsize) -> Message:
    """The next message, with `max_bytes` of a frame at most.

    Raises EOFError where the other end is gone, TimeoutError where it has not sent all by then, and ValueError for what
    is no such message.
    """
    text_bytes, data_bytes = _LENGTHS.unpack(_read_bytes(connection, _LENGTHS.size, until))
    if text_bytes > _MAX_TEXT_BYTES or data_bytes > max_bytes:
        raise ValueError("The message is too long.")
    description = json.loads(_read_bytes(connection, text_bytes, until))
    if not isinstance(description, dict):
        raise ValueError("The message has no description.")
    return description, _read_bytes(connection, data_bytes, until)


def _read_bytes(connection: socket.socket, size_bytes: int, until: float | None) -> bytearray:
    data = bytearray(size_bytes)
    missing = memoryview(data)
    while missing:
        _set_limit(connection, until)
        received = connection.recv_into(missing)
        if not received:
            raise EOFError
        missing = missing[received:]
    return data


def _set_limit(connection: socket.socket, until: float | None) -> None:
    if until is None:
        return
    seconds = until - time.monotonic()
    if seconds <= 0:  # else bytes that are there already would put off the end
        raise TimeoutError
    connection.settimeout(seconds)

"""Codecs in processes of their own: those that a damaged frame may crash or keep busy, and those that keep the lock.

Here that happens to a process that has nothing else to do and none of the service's settings, and is replaced. In a
thread, a codec that keeps the lock would hold up every other request, JPEG 2000 of 16 million pixels for a second and
a half.

A message is two lengths of eight bytes, a JSON object, and the bytes of a frame: nothing that a codec which was taken
over could send is run.
"""

import atexit
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import numpy as np

from shared.errors import NotAcceptable
from shared.imaging.decoding import DECODINGS, DecodedFrame, decode_frame
from shared.imaging.decoding import decoding_bytes as decoding_in_process
from shared.imaging.encoding import ENCODINGS, encode_frame
from shared.imaging.encoding import encoding_bytes as encoding_in_process
from shared.imaging.image_pixels import ImagePixels

_ROOT: Final = Path(__file__).parents[2]
_ENVIRONMENT: Final = ("LD_LIBRARY_PATH", "PATH", "PYTHONHOME")  # what the interpreter may need to start
_MAX_SECONDS: Final = 60  # for one frame
_QUICK_BYTES: Final = 64 * 1024  # of a frame to encode, for which the lock is kept for a few milliseconds at most
_LEAST_SECONDS: Final = 0.001  # 0 would not wait, and fail in another way
_LENGTHS: Final = struct.Struct("<QQ")

PROCESS_BYTES: Final = 48 * 1024**2
"""What a process takes that nobody else uses, besides what it holds of a frame."""

# What is larger goes back to the system when it is freed; by default, up to 60 MiB of a large frame stayed. What is
# smaller is used again, which saves a small frame a tenth of its time.
_ALLOCATION: Final = {"MALLOC_MMAP_THRESHOLD_": str(1024**2), "MALLOC_TRIM_THRESHOLD_": str(4 * 1024**2)}

Bytes: TypeAlias = "bytes | bytearray | memoryview[int]"
Message = tuple[dict[str, Any], bytearray]


@dataclass(frozen=True, slots=True)
class _Process:
    process: "subprocess.Popen[bytes]"
    connection: socket.socket

    @classmethod
    def start(cls) -> Self:
        path = os.pathsep.join([str(_ROOT), *filter(None, sys.path)])
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "shared.imaging.codec_process"],
                stdin=theirs.fileno(),
                env={**environment, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", **_ALLOCATION},
            )
        return cls(process, ours)

    def end(self) -> None:
        self.process.kill()
        self.connection.close()
        self.process.wait()


_idle: list[_Process] = []


def decode(
    frame: bytes,
    transfer_syntax_uid: str,
    pixels: ImagePixels,
    *,
    max_frame_bytes: int,
    vr: str = "OB",
    keeps_ybr: bool = False,
) -> DecodedFrame:
    """What `decode_frame` returns and raises. Slow, but leaves the interpreter to other threads."""
    decoding = DECODINGS.get(transfer_syntax_uid)
    size_bytes = max(len(frame), pixels.frame_bytes)
    options: dict[str, Any] = {"max_frame_bytes": max_frame_bytes, "vr": vr, "keeps_ybr": keeps_ybr}
    if decoding is None or decoding.shared_bytes is None or size_bytes <= decoding.shared_bytes:
        return decode_frame(frame, transfer_syntax_uid, pixels, **options)
    asked = {"do": "decode", "uid": transfer_syntax_uid, "pixels": asdict(pixels), "options": options}
    return _frame_of(*_asked(asked, frame))


def decoding_bytes(stored_bytes: int, transfer_syntax_uid: str, pixels: ImagePixels) -> int:
    """About how many bytes `decode` holds at most, in all processes, the frame as stored and decoded included."""
    decoding = DECODINGS.get(transfer_syntax_uid)
    process_bytes = PROCESS_BYTES if decoding is not None and decoding.shared_bytes is not None else 0
    return process_bytes + decoding_in_process(stored_bytes, transfer_syntax_uid, pixels)


def encoding_bytes(transfer_syntax_uid: str, pixels: ImagePixels) -> int:
    """About how many bytes `encode` holds at most, in all processes, the frame as decoded and encoded included."""
    return PROCESS_BYTES + pixels.frame_bytes + encoding_in_process(transfer_syntax_uid, pixels)


def encode(frame: DecodedFrame, transfer_syntax_uid: str) -> bytes:
    """What `encode_frame` returns and raises. Slow, but leaves the interpreter to other threads."""
    encoding = ENCODINGS.get(transfer_syntax_uid)
    if encoding is None or frame.samples.nbytes <= _QUICK_BYTES:
        return encode_frame(frame, transfer_syntax_uid)
    asked = {"do": "encode", "uid": transfer_syntax_uid, **_description_of(frame)}
    return bytes(_asked(asked, frame.samples.data.cast("B"))[1])


def close() -> None:
    """End the processes; the next frame starts another."""
    while _idle:
        _idle.pop().end()


def _asked(asked: Mapping[str, Any], data: Bytes) -> Message:
    """What a process answers. Raises NotAcceptable where the codec refuses the frame, fails, or takes too long."""
    process = _free_process()
    until = time.monotonic() + _MAX_SECONDS
    try:
        _write(process.connection, asked, data, until)
        answer = _read(process.connection, until)
    except (ConnectionError, EOFError, TimeoutError):
        process.end()
        raise NotAcceptable("The frame cannot be decoded or encoded: it is damaged, or takes too long.") from None
    except BaseException:
        process.end()
        raise
    _idle.append(process)
    if "refused" in answer[0]:
        raise NotAcceptable(answer[0]["refused"])
    return answer


def _free_process() -> _Process:
    while _idle:
        process = _idle.pop()
        if process.process.poll() is None:
            return process
        process.end()  # it was ended while it had nothing to do: not by a frame
    return _Process.start()


def _write(connection: socket.socket, description: Mapping[str, Any], data: Bytes, until: float | None = None) -> None:
    """Send a message. Raises TimeoutError where the other end has not taken it `until` then, by the monotonic clock."""
    text = json.dumps(description).encode()
    for part in (_LENGTHS.pack(len(text), len(data)) + text, data):
        _set_limit(connection, until)
        connection.sendall(part)


def _read(connection: socket.socket, until: float | None = None) -> Message:
    """The next message. Raises EOFError where the other end is gone, TimeoutError where it has not sent all by then."""
    text_bytes, data_bytes = _LENGTHS.unpack(_read_bytes(connection, _LENGTHS.size, until))
    description: dict[str, Any] = json.loads(_read_bytes(connection, text_bytes, until))
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
    if until is not None:
        connection.settimeout(max(until - time.monotonic(), _LEAST_SECONDS))


def _description_of(frame: DecodedFrame) -> dict[str, Any]:
    return {
        "pixels": asdict(frame.pixels),
        "type": frame.samples.dtype.str,
        "shape": frame.samples.shape,
        "codestream_uid": frame.codestream_uid,
    }


def _frame_of(description: Mapping[str, Any], data: bytes | bytearray) -> DecodedFrame:
    samples = np.frombuffer(data, description["type"]).reshape(description["shape"])
    return DecodedFrame(samples, ImagePixels(**description["pixels"]), description["codestream_uid"])


def _done(asked: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], Bytes]:
    try:
        if asked["do"] == "encode":
            return {}, encode_frame(_frame_of(asked, data), asked["uid"])
        frame = decode_frame(data, asked["uid"], ImagePixels(**asked["pixels"]), **asked["options"])
        return _description_of(frame), frame.samples.data.cast("B")
    except NotAcceptable as error:
        return {"refused": str(error)}, b""


def _answer(connection: socket.socket) -> None:
    asked, data = _read(connection)
    frame = bytes(data)
    del data  # not kept beside it, and nothing of the last frame while this waits for the next
    _write(connection, *_done(asked, frame))


def _serve() -> None:
    """Answer messages until the other end is gone. What codecs print goes to the log."""
    connection = socket.socket(fileno=sys.stdin.fileno())
    os.dup2(2, 1)
    with suppress(ConnectionError, EOFError):
        while True:
            _answer(connection)


atexit.register(close)
if __name__ == "__main__":
    _serve()

"""Codecs in processes of their own: those that a damaged frame may crash or keep busy, and those that keep the lock.

Here that happens to a process that has nothing else to do and none of the service's settings, and is replaced. In a
thread, a codec that keeps the lock would hold up every other request, JPEG 2000 of 16 million pixels for a second and
a half.

Nothing that a codec which was taken over could send is run, and no more of it is taken than a frame may have.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from shared.errors import NotAcceptable, Unavailable
from shared.imaging.codec_messages import Bytes, Message, read, write
from shared.imaging.decoding import DECODINGS, DecodedFrame, decode_frame
from shared.imaging.decoding import decoding_bytes as decoding_in_process
from shared.imaging.encoding import ENCODINGS, encode_frame
from shared.imaging.encoding import encoding_bytes as encoding_in_process
from shared.imaging.image_pixels import ImagePixels

_ROOT: Final = Path(__file__).parents[2]
_ENVIRONMENT: Final = ("LD_LIBRARY_PATH", "PATH", "PYTHONHOME")  # what the interpreter may need to start
_MAX_SECONDS: Final = 60  # for one frame
_QUICK_BYTES: Final = 64 * 1024  # of a frame to encode, for which the lock is kept for a few milliseconds at most
_MAX_ENCODED_TIMES: Final = 2  # of a frame's bytes: noise gets a little longer

PROCESS_BYTES: Final = 48 * 1024**2
"""What a process takes that nobody else uses, besides what it holds of a frame."""

# What is larger goes back to the system when it is freed; by default, up to 60 MiB of a large frame stayed. What is
# smaller is used again, which saves a small frame a tenth of its time.
_ALLOCATION: Final = {"MALLOC_MMAP_THRESHOLD_": str(1024**2), "MALLOC_TRIM_THRESHOLD_": str(4 * 1024**2)}


@dataclass(frozen=True, slots=True)
class _Process:
    process: "subprocess.Popen[bytes]"
    connection: socket.socket

    @classmethod
    def start(cls) -> Self:
        """Raises OSError where the system has no room for one."""
        path = os.pathsep.join([str(_ROOT), *filter(None, sys.path)])
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "shared.imaging.codec_process"],
                stdin=theirs.fileno(),
                env={**environment, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", **_ALLOCATION},
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
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
    """What `decode_frame` returns and raises. Slow, but leaves the interpreter to other threads.

    Raises Unavailable where a process is needed, and the system has no room for one.
    """
    decoding = DECODINGS.get(transfer_syntax_uid)
    size_bytes = max(len(frame), pixels.frame_bytes)
    options: dict[str, Any] = {"max_frame_bytes": max_frame_bytes, "vr": vr, "keeps_ybr": keeps_ybr}
    if decoding is None or decoding.isolated_over_bytes is None or size_bytes <= decoding.isolated_over_bytes:
        return decode_frame(frame, transfer_syntax_uid, pixels, **options)
    asked = {"do": "decode", "uid": transfer_syntax_uid, "pixels": asdict(pixels), "options": options}
    return _frame_of(*_asked(asked, frame, max_frame_bytes))


def decoding_bytes(stored_bytes: int, transfer_syntax_uid: str, pixels: ImagePixels) -> int:
    """About how many bytes `decode` holds at most, in all processes, the frame as stored and decoded included."""
    decoding = DECODINGS.get(transfer_syntax_uid)
    process_bytes = PROCESS_BYTES if decoding is not None and decoding.isolated_over_bytes is not None else 0
    return process_bytes + decoding_in_process(stored_bytes, transfer_syntax_uid, pixels)


def encoding_bytes(transfer_syntax_uid: str, pixels: ImagePixels) -> int:
    """About how many bytes `encode` holds at most, in all processes, the frame as decoded and encoded included."""
    return PROCESS_BYTES + pixels.frame_bytes + encoding_in_process(transfer_syntax_uid, pixels)


def encode(frame: DecodedFrame, transfer_syntax_uid: str) -> bytes:
    """What `encode_frame` returns and raises. Slow, but leaves the interpreter to other threads.

    Raises Unavailable as `decode` does.
    """
    encoding = ENCODINGS.get(transfer_syntax_uid)
    if encoding is None or frame.samples.nbytes <= _QUICK_BYTES:
        return encode_frame(frame, transfer_syntax_uid)
    asked = {"do": "encode", "uid": transfer_syntax_uid, **_description_of(frame)}
    return bytes(_asked(asked, frame.samples.data.cast("B"), _MAX_ENCODED_TIMES * frame.samples.nbytes)[1])


def close() -> None:
    """End the processes; the next frame starts another."""
    while process := _idle_process():
        process.end()


def _asked(asked: Mapping[str, Any], data: Bytes, max_bytes: int) -> Message:
    """What a process answers, with `max_bytes` of a frame at most.

    Raises NotAcceptable where the codec refuses the frame, fails, or takes too long, and Unavailable where there is no
    process.
    """
    process = _free_process()
    until = time.monotonic() + _MAX_SECONDS
    try:
        write(process.connection, asked, data, until)
        answer = read(process.connection, until, max_bytes)
    except (ConnectionError, EOFError, RecursionError, TimeoutError, ValueError):
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
    while process := _idle_process():
        if process.process.poll() is None:
            return process
        process.end()  # it was ended while it had nothing to do: not by a frame
    try:
        return _Process.start()
    except OSError as error:
        raise Unavailable("The service cannot start another process: try again.") from error


def _idle_process() -> _Process | None:
    try:
        return _idle.pop()
    except IndexError:  # asked beforehand, another thread may take the last one
        return None


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
    asked, data = read(connection)
    signal.setitimer(signal.ITIMER_REAL, _MAX_SECONDS)  # ends this process, whatever the codec does
    frame = bytes(data)
    del data  # not kept beside it, and nothing of the last frame while this waits for the next
    write(connection, *_done(asked, frame))
    signal.setitimer(signal.ITIMER_REAL, 0)


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

"""Codecs that keep the interpreter's lock while they work, in processes of their own.

In a thread they would hold up every other request, JPEG 2000 of 16 million pixels for a second and a half. They are
also the ones that a damaged frame can crash or keep busy. Here that happens to a process which has nothing else to do,
none of the service's settings, and is replaced.

A message is two lengths of eight bytes, a JSON object, and the bytes of a frame: nothing that a codec which was taken
over could send is run.
"""

import atexit
import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BufferedReader, BufferedWriter
from pathlib import Path
from threading import Timer
from typing import Any, Final, Self, cast

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
_QUICK_BYTES: Final = 64 * 1024  # of a decoded frame, for which the lock is kept for a few milliseconds at most
_KEPT_BYTES: Final = 8 * 1024**2  # a process that has had a larger frame ends: codecs keep memory of it
_LENGTHS: Final = struct.Struct("<QQ")

PROCESS_BYTES: Final = 48 * 1024**2
"""What a process takes that nobody else uses, besides what it holds of a frame."""

# What is larger goes back to the system when it is freed; by default, up to 32 MiB of it would stay.
_ALLOCATION: Final = {"MALLOC_MMAP_THRESHOLD_": str(256 * 1024), "MALLOC_TRIM_THRESHOLD_": str(1024**2)}

Message = tuple[dict[str, Any], bytes]


@dataclass(frozen=True, slots=True)
class _Process:
    process: "subprocess.Popen[bytes]"
    asks: BufferedWriter
    answers: BufferedReader

    @classmethod
    def start(cls) -> Self:
        path = os.pathsep.join([str(_ROOT), *filter(None, sys.path)])
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        process = subprocess.Popen(
            [sys.executable, "-m", "shared.imaging.codec_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", **_ALLOCATION},
        )
        return cls(process, cast("BufferedWriter", process.stdin), cast("BufferedReader", process.stdout))

    def end(self) -> None:
        self.process.kill()
        with suppress(BrokenPipeError), self.process:  # closes its pipes, and waits for it
            pass


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
    options: dict[str, Any] = {"max_frame_bytes": max_frame_bytes, "vr": vr, "keeps_ybr": keeps_ybr}
    if decoding is None or not decoding.keeps_lock or max(len(frame), pixels.frame_bytes) <= _QUICK_BYTES:
        return decode_frame(frame, transfer_syntax_uid, pixels, **options)
    asked = {"do": "decode", "uid": transfer_syntax_uid, "pixels": asdict(pixels), "options": options}
    return _frame_of(*_asked(asked, frame))


def decoding_bytes(stored_bytes: int, transfer_syntax_uid: str, pixels: ImagePixels) -> int:
    """About how many bytes `decode` holds at most, in all processes, the frame as stored and decoded included."""
    decoding = DECODINGS.get(transfer_syntax_uid)
    process_bytes = PROCESS_BYTES if decoding is not None and decoding.keeps_lock else 0
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
    return _asked(asked, frame.samples.data.cast("B"))[1]


def close() -> None:
    """End the processes; the next frame starts another."""
    while _idle:
        _idle.pop().end()


def _asked(asked: Mapping[str, Any], data: "bytes | memoryview[int]") -> Message:
    """What a process answers. Raises NotAcceptable where the codec refuses the frame, fails, or takes too long."""
    process = _idle.pop() if _idle else _Process.start()
    watchdog = Timer(_MAX_SECONDS, process.process.kill)
    watchdog.start()
    try:
        _write(process.asks, asked, data)
        answer = _read(process.answers)
    except (BrokenPipeError, EOFError):
        process.end()
        raise NotAcceptable("The frame cannot be decoded or encoded: it is damaged, or takes too long.") from None
    except BaseException:
        process.end()
        raise
    finally:
        watchdog.cancel()
    if max(len(data), len(answer[1])) > _KEPT_BYTES:
        process.end()
    else:
        _idle.append(process)
    if "refused" in answer[0]:
        raise NotAcceptable(answer[0]["refused"])
    return answer


def _write(stream: BufferedWriter, description: Mapping[str, Any], data: "bytes | memoryview[int]") -> None:
    text = json.dumps(description).encode()
    stream.write(_LENGTHS.pack(len(text), len(data)) + text)
    stream.write(data)
    stream.flush()


def _read(stream: BufferedReader) -> Message:
    """The next message. Raises EOFError where the other end is gone."""
    text_bytes, data_bytes = _LENGTHS.unpack(_read_bytes(stream, _LENGTHS.size))
    description: dict[str, Any] = json.loads(_read_bytes(stream, text_bytes))
    return description, _read_bytes(stream, data_bytes)


def _read_bytes(stream: BufferedReader, size_bytes: int) -> bytes:
    data = stream.read(size_bytes)
    if len(data) < size_bytes:  # a buffered stream reads on until it has all, or ends
        raise EOFError
    return data


def _description_of(frame: DecodedFrame) -> dict[str, Any]:
    return {
        "pixels": asdict(frame.pixels),
        "type": frame.samples.dtype.str,
        "shape": frame.samples.shape,
        "codestream_uid": frame.codestream_uid,
    }


def _frame_of(description: Mapping[str, Any], data: bytes) -> DecodedFrame:
    samples = np.frombuffer(data, description["type"]).reshape(description["shape"])
    return DecodedFrame(samples, ImagePixels(**description["pixels"]), description["codestream_uid"])


def _done(asked: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], "bytes | memoryview[int]"]:
    try:
        if asked["do"] == "encode":
            return {}, encode_frame(_frame_of(asked, data), asked["uid"])
        frame = decode_frame(data, asked["uid"], ImagePixels(**asked["pixels"]), **asked["options"])
        return _description_of(frame), frame.samples.data.cast("B")
    except NotAcceptable as error:
        return {"refused": str(error)}, b""


def _serve() -> None:
    """Answer messages until the other end is gone. What codecs print goes to the log."""
    asks, answers = cast("BufferedReader", sys.stdin.buffer), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(EOFError):
        while True:
            _write(answers, *_done(*_read(asks)))  # nothing keeps the last frame while it waits for the next


atexit.register(close)
if __name__ == "__main__":
    _serve()

"""Codecs in processes of their own: the same results and refusals, whatever happens to the process."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Event, Thread, Timer

import numpy as np
import pytest

from shared.errors import NotAcceptable, Unavailable
from shared.imaging import codec_messages, codec_process
from shared.imaging.decoding import DecodedFrame, decode_frame
from shared.imaging.encoding import ENCODINGS, encode_frame
from shared.imaging.image_pixels import ImagePixels

JPEG_2000, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
SIDE = 400
LIMIT = 1024**3
EVERY_ENCODING = pytest.mark.parametrize("uid", ENCODINGS)


@pytest.fixture
def new_process() -> Iterator[None]:
    codec_process.close()
    yield
    codec_process.close()


needs_new_process = pytest.mark.usefixtures("new_process")


def frame_of(samples_per_pixel: int = 1, side: int = SIDE) -> DecodedFrame:
    shape = (side, side) if samples_per_pixel == 1 else (side, side, samples_per_pixel)
    samples = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8 if samples_per_pixel > 1 else "<u2")
    bits = 8 * samples.itemsize
    color = "RGB" if samples_per_pixel > 1 else "MONOCHROME2"
    return DecodedFrame(samples, ImagePixels(side, side, samples_per_pixel, bits, bits, False, color))


def process_id() -> int:
    (process,) = codec_process._idle
    return process.process.pid


@EVERY_ENCODING
@pytest.mark.parametrize("samples_per_pixel", [1, 3])
def test_results_are_those_of_this_process(uid: str, samples_per_pixel: int) -> None:
    frame = frame_of(samples_per_pixel)
    encoded = codec_process.encode(frame, uid)
    assert encoded == encode_frame(frame, uid)
    decoded = codec_process.decode(encoded, uid, frame.pixels, max_frame_bytes=LIMIT)
    expected = decode_frame(encoded, uid, frame.pixels, max_frame_bytes=LIMIT)
    assert decoded.pixels == expected.pixels
    assert decoded.samples.dtype == expected.samples.dtype
    assert np.array_equal(decoded.samples, expected.samples)
    assert codec_process._idle  # one did it


@needs_new_process
def test_what_is_quick_and_cannot_go_wrong_needs_no_process() -> None:
    small, large = frame_of(side=64), frame_of()
    native = "1.2.840.10008.1.2.1"
    codec_process.decode(large.samples.tobytes(), native, large.pixels, max_frame_bytes=LIMIT, vr="OW")
    codec_process.decode(encode_frame(large, RLE), RLE, large.pixels, max_frame_bytes=LIMIT)
    for uid in ENCODINGS:
        codec_process.encode(small, uid)
    assert codec_process._idle == []


@needs_new_process
@pytest.mark.parametrize("uid", [uid for uid in ENCODINGS if uid != RLE])
def test_a_small_frame_of_a_codec_in_c_is_not_decoded_here(uid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes few bytes to crash one."""
    frame = frame_of(side=32)
    encoded = encode_frame(frame, uid)
    monkeypatch.setattr(codec_process, "decode_frame", None)
    decoded = codec_process.decode(encoded, uid, frame.pixels, max_frame_bytes=LIMIT)
    assert decoded.samples.shape == frame.samples.shape
    assert process_id()


@EVERY_ENCODING
def test_a_refusal_says_what_this_process_would(uid: str) -> None:
    frame = frame_of()
    damaged = codec_process.encode(frame, uid)[:100].ljust(100_000, b"\0")
    with pytest.raises(NotAcceptable) as expected:
        decode_frame(damaged, uid, frame.pixels, max_frame_bytes=LIMIT)
    with pytest.raises(NotAcceptable) as refused:
        codec_process.decode(damaged, uid, frame.pixels, max_frame_bytes=LIMIT)
    assert str(refused.value) == str(expected.value)
    wide = DecodedFrame(frame.samples.astype("<u8"), ImagePixels(SIDE, SIDE, 1, 64, 64, False, "MONOCHROME2"))
    with pytest.raises(NotAcceptable, match="Bits Allocated of 64 cannot be encoded"):
        codec_process.encode(wide, uid)


@needs_new_process
def test_a_process_that_dies_refuses_its_frame_and_is_replaced() -> None:
    frame, uid = frame_of(side=1500), JPEG_2000
    codec_process.encode(frame_of(), uid)  # starts the process
    first = process_id()
    killer = Timer(0.1, os.kill, (first, 9))
    killer.start()
    with pytest.raises(NotAcceptable, match="damaged, or takes too long"):
        codec_process.encode(frame, uid)
    killer.join()
    assert codec_process.encode(frame_of(), uid) == encode_frame(frame_of(), uid)
    assert process_id() != first


@needs_new_process
def test_a_process_that_died_between_frames_refuses_none() -> None:
    frame, uid = frame_of(), next(iter(ENCODINGS))
    encoded = codec_process.encode(frame, uid)
    first = process_id()
    os.kill(first, 9)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert codec_process.encode(frame, uid) == encoded
    assert process_id() != first


def python(script: str, stdin: socket.socket | None = None) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", script]
    return subprocess.Popen(command, stdin=None if stdin is None else stdin.fileno())  # noqa: S603 -- our own script


def refuse_from(send: Callable[[socket.socket], object]) -> None:
    """A process that sends this for an answer has its frame refused, and is ended."""
    ours, theirs = socket.socketpair()

    def answer() -> None:
        with theirs, suppress(OSError):
            codec_messages.read(theirs)
            send(theirs)

    other = Thread(target=answer)
    process = python("import time; time.sleep(60)")
    codec_process._idle.append(codec_process._Process(process, ours))
    other.start()
    with pytest.raises(NotAcceptable, match="takes too long"):
        codec_process.encode(frame_of(), next(iter(ENCODINGS)))
    other.join()
    assert process.returncode is not None
    assert codec_process._idle == []


@needs_new_process
def test_an_answer_that_comes_a_byte_at_a_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A codec that was taken over could hold a thread for as long as it likes."""
    monkeypatch.setattr(codec_process, "_MAX_SECONDS", 0.3)
    ends = time.monotonic() + 3

    def trickle(connection: socket.socket) -> None:
        connection.send(codec_messages._LENGTHS.pack(2, SIDE * SIDE) + b"{}")
        while time.monotonic() < ends:
            connection.send(b"\1")
            time.sleep(0.05)

    refuse_from(trickle)
    assert time.monotonic() < ends


def test_what_comes_too_late_is_not_taken_however_quickly_it_comes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        codec_messages.write(theirs, {}, b"late")
        with pytest.raises(TimeoutError):
            codec_messages.read(ours, time.monotonic())
        assert codec_messages.read(ours, time.monotonic() + 60) == ({}, bytearray(b"late"))


@needs_new_process
@pytest.mark.parametrize(
    ("text", "text_bytes", "data_bytes"),
    [
        (b"{}", 2, SIDE * SIDE * 2 * 2 + 1),
        (b"{}", 2, 1 << 62),
        (b"", 1 << 30, 0),
        (b"", (1 << 64) - 1, 0),
        (b"{", 1, 0),
        (b"\xff", 1, 0),
        (b"5", 1, 0),
        (b"[" * 60_000, 60_000, 0),
    ],
)
def test_an_answer_that_is_none_is_given_up(text: bytes, text_bytes: int, data_bytes: int) -> None:
    """Nor is memory taken for what a codec that was taken over says it will send."""
    refuse_from(lambda connection: connection.sendall(codec_messages._LENGTHS.pack(text_bytes, data_bytes) + text))


@needs_new_process
def test_the_last_process_may_be_taken_by_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    class Taken(list[codec_process._Process]):
        def __bool__(self) -> bool:
            return True

    monkeypatch.setattr(codec_process, "_idle", Taken())
    frame, uid = frame_of(), next(iter(ENCODINGS))
    assert codec_process.encode(frame, uid) == encode_frame(frame, uid)
    codec_process.close()


def test_a_process_that_nobody_waits_for_ends() -> None:
    """A codec that never ends would keep a core after the service's process was killed."""
    ours, theirs = socket.socketpair()
    hanging = (
        "from shared.imaging import codec_process\n"
        "def hang(*_options, **_more):\n"
        "    while True: pass\n"
        "codec_process.decode_frame, codec_process._MAX_SECONDS = hang, 0.2\n"
        "codec_process._serve()\n"
    )
    with ours, theirs:
        process = python(hanging, theirs)
        pixels = asdict(frame_of().pixels)
        codec_messages.write(ours, {"do": "decode", "uid": RLE, "pixels": pixels, "options": {}}, b"")
    try:
        assert process.wait(20) == -signal.SIGALRM
    finally:
        process.kill()
        process.wait()


@needs_new_process
def test_a_process_has_its_time_for_each_frame_anew() -> None:
    ours, theirs = socket.socketpair()
    serving = "from shared.imaging import codec_process\ncodec_process._MAX_SECONDS = 0.5\ncodec_process._serve()\n"
    with theirs:
        process = python(serving, theirs)
    codec_process._idle.append(codec_process._Process(process, ours))
    frame, uid = frame_of(side=200), RLE
    for _ in range(3):
        assert codec_process.encode(frame, uid) == encode_frame(frame, uid)
        time.sleep(0.3)
    assert process_id() == process.pid


@needs_new_process
@pytest.mark.parametrize("fails", ["subprocess.Popen", "socket.socketpair"])
def test_a_system_without_room_for_a_process_is_unavailable(monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    """It says nothing of the frame, and may be different in a moment."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise BlockingIOError

    frame, uid = frame_of(), next(iter(ENCODINGS))
    with monkeypatch.context() as patch:
        patch.setattr(fails, fail)
        with pytest.raises(Unavailable):
            codec_process.encode(frame, uid)
    assert codec_process.encode(frame, uid) == encode_frame(frame, uid)


@needs_new_process
def test_a_frame_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, uid = frame_of(), next(iter(ENCODINGS))
    monkeypatch.setattr(codec_process, "_MAX_SECONDS", 0.001)  # it takes longer to start
    with pytest.raises(NotAcceptable, match="damaged, or takes too long"):
        codec_process.encode(frame, uid)
    assert codec_process._idle == []


@needs_new_process
def test_a_process_knows_none_of_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_CONNECTION_STRING", "AccountKey=secret")
    codec_process.encode(frame_of(), next(iter(ENCODINGS)))
    environment = Path(f"/proc/{process_id()}/environ")
    if not environment.exists():
        pytest.skip("/proc is Linux'")
    assert b"secret" not in environment.read_bytes()


def steps_during(work: Callable[[], object]) -> int:
    """How many steps another thread makes meanwhile."""
    steps, is_done = 0, Event()

    def step() -> None:
        nonlocal steps
        while not is_done.is_set():
            steps += 1
            is_done.wait(0.0005)

    other = Thread(target=step)
    other.start()
    work()
    is_done.set()
    other.join()
    return steps


@EVERY_ENCODING
def test_other_threads_run_meanwhile(uid: str) -> None:
    """Beside the codec in this process, which lets them make few steps."""
    frame = frame_of(side=1500)
    codec_process.encode(frame_of(), uid)  # starts the process
    here = steps_during(lambda: encode_frame(frame, uid))
    there = steps_during(lambda: codec_process.encode(frame, uid))
    assert there > 2 * here + 10


@EVERY_ENCODING
def test_other_threads_run_while_a_frame_is_decoded(uid: str) -> None:
    """In another process, or by a codec that does not keep the interpreter's lock."""
    frame = frame_of(side=1500)
    encoded = codec_process.encode(frame, uid)
    steps, seconds = 0, 0.0
    while steps < 20:  # of half a millisecond at least; RLE is done in a few
        began = time.monotonic()
        steps += steps_during(lambda: codec_process.decode(encoded, uid, frame.pixels, max_frame_bytes=LIMIT))
        seconds += time.monotonic() - began
    assert seconds / steps < 0.01

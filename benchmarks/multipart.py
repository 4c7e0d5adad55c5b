"""How fast the multipart codec is: ``python -m benchmarks.multipart`` prints MB/s (10**6 bytes) on this machine.

A part of 64 MiB in chunks of 64 KiB, on one core, the median of several runs. Random bytes are what compressed pixel
data looks like; the other bodies repeat parts of a delimiter, to show that no body is slow to search.
"""

import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator

from shared.multipart import Headers, MessageEnd, MultipartDecoder, MultipartEncoder, PartBegin, PartData, PartEnd

_BODY_BYTES = 64 * 1024**2
_CHUNK_BYTES = 64 * 1024
_RUNS = 7
_BOUNDARY = "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"  # as long as a UUID, which most clients use
_HEADERS = Headers({"Content-Type": "application/dicom"})


def _filled_with(pattern: bytes) -> bytes:
    return (pattern * (_BODY_BYTES // len(pattern) + 1))[:_BODY_BYTES]


def _bodies() -> Iterator[tuple[str, bytes]]:
    yield "random", random.Random(0).randbytes(_BODY_BYTES)
    yield "zeros", bytes(_BODY_BYTES)
    yield "CR", _filled_with(b"\r")
    yield "CRLF", _filled_with(b"\r\n")
    yield "dashes", _filled_with(b"-")
    yield "CRLF--", _filled_with(b"\r\n--")
    yield "boundary prefix", _filled_with(f"\r\n--{_BOUNDARY[:-1]}".encode())


def _in_chunks(data: bytes) -> list[bytes]:
    return [data[begin : begin + _CHUNK_BYTES] for begin in range(0, len(data), _CHUNK_BYTES)]


def _encoded(bodies: list[bytes]) -> Iterator[bytes]:
    encoder = MultipartEncoder(_BOUNDARY, type="application/dicom")
    for body in bodies:
        for event in (PartBegin(_HEADERS), PartData(body), PartEnd()):
            yield encoder.send(event)
    yield encoder.send(MessageEnd())


def _decode(chunks: list[bytes]) -> None:
    decoder = MultipartDecoder(_BOUNDARY)
    decoded_bytes = 0
    for chunk in [*chunks, b""]:
        decoder.receive_data(chunk)
        for event in decoder.events():
            if isinstance(event, PartData):
                decoded_bytes += len(event.data)
    if decoded_bytes != _BODY_BYTES:
        raise RuntimeError(f"{decoded_bytes} of {_BODY_BYTES} bytes decoded")


def _encode(chunks: list[bytes]) -> None:
    for _ in _encoded(chunks):
        pass


def _report(name: str, work: Callable[[list[bytes]], None], chunks: list[bytes]) -> None:
    seconds = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        work(chunks)
        seconds.append(time.perf_counter() - began)
    print(f"{name:45} {_BODY_BYTES / statistics.median(seconds) / 1e6:8.0f} MB/s")


def main() -> None:
    """Print a line for decoding each kind of body, in chunks and at once, and one for encoding."""
    print(f"{platform.platform()}, {platform.python_implementation()} {platform.python_version()}")
    for name, body in _bodies():
        message = b"".join(_encoded([body]))
        _report(f"decode {name}", _decode, _in_chunks(message))
        _report(f"decode {name}, in one chunk", _decode, [message])
    _report("encode parts of 64 KiB", _encode, _in_chunks(body))


if __name__ == "__main__":
    main()

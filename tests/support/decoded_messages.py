"""What the decoder makes of a message, in every way that it can be cut."""

from collections.abc import Iterable, Iterator

import pytest

from shared.multipart import (
    Event,
    MessageEnd,
    MultipartDecoder,
    MultipartError,
    MultipartLimitExceeded,
    MultipartLimits,
    PartBegin,
    PartData,
    PartEnd,
)
from tests.support.multipart_parts import Part


def feed(decoder: MultipartDecoder, chunks: Iterable[bytes]) -> Iterator[Event]:
    """The events, drained after each chunk."""
    for chunk in chunks:
        if chunk:
            decoder.receive_data(chunk)
            yield from decoder.events()
    decoder.receive_data(b"")
    yield from decoder.events()


def parts_of(events: Iterable[Event]) -> list[Part]:
    """The parts of events that must be in order and end with MessageEnd."""
    parts: list[Part] = []
    headers, body = None, b""
    remaining = iter(events)
    for event in remaining:
        match event:
            case PartBegin():
                assert headers is None
                headers, body = event.headers, b""
            case PartData(data):
                assert headers is not None
                assert data
                body += data
            case PartEnd():
                assert headers is not None
                parts.append(Part(headers, body))
                headers = None
            case MessageEnd():
                assert headers is None
                break
    else:
        pytest.fail("no MessageEnd")
    assert list(remaining) == []
    return parts


def outcome(
    chunks: Iterable[bytes], *, boundary: str = "b", limits: MultipartLimits | None = None, drain: bool = True
) -> object:
    """The parts, or everything visible of the error; events are taken after each chunk, or only at the end."""
    decoder = MultipartDecoder(boundary, limits=limits)
    try:
        if drain:
            return parts_of(feed(decoder, chunks))
        for chunk in filter(None, chunks):
            decoder.receive_data(chunk)
        return parts_of(feed(decoder, []))
    except (MultipartError, MultipartLimitExceeded) as error:
        return type(error), str(error), error.offset


def outcomes(data: bytes, limits: MultipartLimits | None = None) -> list[object]:
    """The distinct outcomes of all cuttings of the data; there should be only one."""
    different: list[object] = []
    for chunks in cuttings(data):
        for drain in (True, False):
            if (result := outcome(chunks, limits=limits, drain=drain)) not in different:
                different.append(result)
    return different


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def splits(data: bytes) -> Iterator[list[bytes]]:
    """The data in two chunks, in every way."""
    return ([data[:at], data[at:]] for at in range(len(data) + 1))


def cuttings(data: bytes) -> Iterator[list[bytes]]:
    """The data whole, byte by byte, in two chunks in every way, and in chunks of two and three bytes."""
    yield [data]
    yield bytewise(data)
    yield from splits(data)
    yield from ([data[at : at + size] for at in range(0, len(data), size)] for size in (2, 3))

"""Whole multipart messages in memory, as parts; the codec itself only has events."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shared.multipart import Headers, MessageEnd, MultipartDecoder, MultipartEncoder, PartBegin, PartData, PartEnd


@dataclass(frozen=True, slots=True)
class Part:
    """A whole part."""

    headers: Headers
    body: bytes


def decode_parts(body: bytes, decoder: MultipartDecoder) -> list[Part]:
    """The parts of a whole message; raises as the decoder does, and then returns none."""
    decoder.receive_data(body)
    decoder.receive_data(b"")
    parts: list[tuple[Headers, list[bytes]]] = []
    for event in decoder.events():
        if isinstance(event, PartBegin):
            parts.append((event.headers, []))
        elif isinstance(event, PartData):
            parts[-1][1].append(event.data)
    return [Part(headers, b"".join(pieces)) for headers, pieces in parts]


def encode_parts(parts: Iterable[Part], encoder: MultipartEncoder) -> Iterator[bytes]:
    """The message of the parts, an event at a time."""
    for part in parts:
        for event in (PartBegin(part.headers), PartData(part.body), PartEnd()):
            yield encoder.send(event)
    yield encoder.send(MessageEnd())

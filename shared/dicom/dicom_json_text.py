"""The DICOM JSON Model (PS3.18 F) as text, with sequences that are too long to be held as objects."""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_PIECE_BYTES: Final = 64 * 1024


def dumps(value: Any) -> bytes:
    """Plain values as compact UTF-8 JSON. A lone surrogate, which is not a character, becomes "?".

    Raises ValueError for a float that is not finite.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


class DeflatedItems(Sequence[Any]):
    """The items of a sequence too long to be held as objects: `deflated` is the text of a JSON array of them."""

    def __init__(self, deflated: bytes, count: int) -> None:
        self._deflated = deflated
        self._count = count

    def texts(self) -> Iterator[bytes]:
        """The text of the array, in pieces."""
        decompressor = zlib.decompressobj()
        tail = self._deflated
        while tail:
            yield decompressor.decompress(tail, _PIECE_BYTES)
            tail = decompressor.unconsumed_tail
        yield decompressor.flush()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return json.loads(b"".join(self.texts()))[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeflatedItems) and self._deflated == other._deflated

    __hash__ = None  # type: ignore[assignment]


class ItemsDeflater:
    """Takes the items of a long sequence one by one, as plain values."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj()
        self._deflated = bytearray()
        self._count = 0

    def add(self, item: Any) -> None:
        """Take the next item."""
        self._deflated += self._compressor.compress((b"," if self._count else b"[") + dumps(item))
        self._count += 1

    def finish(self) -> DeflatedItems:
        """All the items."""
        self._deflated += self._compressor.compress(b"]" if self._count else b"[]") + self._compressor.flush()
        return DeflatedItems(bytes(self._deflated), self._count)


def json_texts(metadata: Mapping[str, Mapping[str, Any]]) -> Iterator[bytes]:
    """The metadata of an instance as the text of a JSON object, in pieces, `DeflatedItems` included."""
    separator = b"{"
    for tag, attribute in metadata.items():
        values = attribute.get("Value")
        if isinstance(values, DeflatedItems):
            yield separator + dumps(tag) + b':{"vr":' + dumps(attribute["vr"]) + b',"Value":'
            yield from values.texts()
            yield b"}"
        else:
            yield separator + dumps(tag) + b":" + dumps(attribute)
        separator = b","
    yield b"}" if metadata else b"{}"

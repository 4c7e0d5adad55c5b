"""The DICOM JSON Model (PS3.18 F) as text, with values that are too many to be held as objects."""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from shared.dicom.dicom_json_reader import Attribute, LongAttribute, LongItem

_PIECE_BYTES: Final = 64 * 1024
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def dumps(value: Any) -> bytes:
    """Plain values as compact UTF-8 JSON. A lone surrogate, which is not a character, becomes "?".

    Raises ValueError for a float that is not finite.
    """
    return _encode(value).encode("utf-8", "replace")


MAX_TEXT_BYTES: Final = 1024**3
"""The longest text that is inflated. No header of the default MAX_HEADER_BYTES comes to as much."""


def inflated(deflated: bytes) -> Iterator[bytes]:
    """Inflate text in pieces of at most 64 KiB, none of them empty.

    Raises ValueError where it cannot be inflated, or is longer than MAX_TEXT_BYTES.
    """
    decompressor = zlib.decompressobj()
    rest, length_bytes = deflated, 0
    while not decompressor.eof:
        try:
            piece = decompressor.decompress(rest, _PIECE_BYTES)
        except zlib.error:
            raise ValueError("The text is not deflated.") from None
        if not piece and not decompressor.eof and not decompressor.unconsumed_tail:
            raise ValueError("The deflated text is cut short.")
        rest = decompressor.unconsumed_tail
        length_bytes += len(piece)
        if length_bytes > MAX_TEXT_BYTES:
            raise ValueError(f"The text inflates to more than {MAX_TEXT_BYTES} bytes.")
        if piece:
            yield piece


class DeflatedValues(Sequence[Any]):
    """Values, or items, too many to be held as objects: `deflated` is the text of a JSON array of them."""

    def __init__(self, deflated: bytes, count: int) -> None:
        self._deflated = deflated
        self._count = count

    def texts(self) -> Iterator[bytes]:
        """The text of the array, in pieces."""
        return inflated(self._deflated)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return iter(self._read())  # once: by `__getitem__` it would be for each value

    def __getitem__(self, index: Any) -> Any:
        return self._read()[index]

    def _read(self) -> list[Any]:
        values: list[Any] = json.loads(b"".join(self.texts()))
        return values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeflatedValues) and self._deflated == other._deflated

    __hash__ = None  # type: ignore[assignment]


def deflated_values(values: Sequence[Any]) -> DeflatedValues:
    """The same values, held in less memory."""
    return DeflatedValues(zlib.compress(dumps(values)), len(values))


class ItemsDeflater:
    """Takes the items of a long sequence one by one, as plain values."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj()
        self._deflated = bytearray()
        self._count = 0

    def add(self, item: Mapping[str, Any], *, is_long: bool = False) -> None:
        """Take the next item; a long one is written attribute by attribute, so that others have their turn."""
        self._deflated += self._compressor.compress(b"," if self._count else b"[")
        for text in json_texts(_by_items(item)) if is_long else [dumps(item)]:
            self._deflated += self._compressor.compress(text)
        self._count += 1

    def finish(self) -> DeflatedValues:
        """All the items."""
        self._deflated += self._compressor.compress(b"]" if self._count else b"[]") + self._compressor.flush()
        return DeflatedValues(bytes(self._deflated), self._count)


def json_texts(attributes: Iterable[tuple[str, Attribute]]) -> Iterator[bytes]:
    """The attributes of a data set, `DeflatedValues` among them, as the text of a JSON object, in pieces."""
    separator = b"{"
    for tag, attribute in attributes:
        name = separator + dumps(tag) + b":"
        if isinstance(attribute, LongAttribute):
            yield from _member(name, attribute.vr, _array(attribute.values))
        elif isinstance(values := attribute.get("Value"), DeflatedValues):
            yield from _member(name, attribute["vr"], values.texts())
        else:
            yield name + dumps(attribute)
        separator = b","
    yield b"{}" if separator == b"{" else b"}"


def _member(name: bytes, vr: str, array: Iterable[bytes]) -> Iterator[bytes]:
    yield name + b'{"vr":' + dumps(vr) + b',"Value":'
    yield from array
    yield b"}"


def _by_items(item: Mapping[str, Any]) -> Iterator[tuple[str, Attribute]]:
    for tag, attribute in item.items():
        if attribute["vr"] == "SQ" and "Value" in attribute:
            yield tag, LongAttribute("SQ", (LongItem(_by_items(inner)) for inner in attribute["Value"]))
        else:
            yield tag, attribute


def _array(values: Iterable[Any]) -> Iterator[bytes]:
    separator = b"["
    for value in values:
        if isinstance(value, LongItem):
            yield separator
            yield from json_texts(value.attributes)
        else:
            yield separator + dumps(value)
        separator = b","
    yield b"]"

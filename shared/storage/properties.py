"""Values of any length as properties of a table entity: a property holds 64 KiB, an entity 1 MiB."""

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from azure.data.tables import EdmType, EntityProperty

PROPERTY_BYTES: Final = 64 * 1024
PAGE_ROWS: Final = 1000
"""The most entities that storage returns at once."""

_PROPERTIES: Final = 16


def int64(number: int) -> EntityProperty:
    """A number as a property of 64 bits."""
    return EntityProperty(number, EdmType.INT64)


def packed(name: str, value: Any) -> dict[str, bytes]:
    """A JSON value as deflated properties ``name0``, ``name1`` and so on."""
    return split(name, zlib.compress(json.dumps(value, separators=(",", ":")).encode()))


def unpacked(entity: Mapping[str, Any], name: str) -> Any:
    """The value of which `packed` made these properties."""
    return json.loads(zlib.decompress(joined(entity, name)))


def split(name: str, value: bytes) -> dict[str, bytes]:
    """Bytes as properties ``name0``, ``name1``, …; none for no bytes."""
    pieces = [value[start : start + PROPERTY_BYTES] for start in range(0, len(value), PROPERTY_BYTES)]
    return {f"{name}{index}": piece for index, piece in enumerate(pieces)}


def joined(entity: Mapping[str, Any], name: str) -> bytes:
    """The bytes of which `split` made these properties."""
    pieces: list[bytes] = []
    while piece := entity.get(f"{name}{len(pieces)}"):
        pieces.append(piece)
    return b"".join(pieces)


def names_of(*values: str) -> list[str]:
    """The names of all properties that these values may be split into, for a query that selects them."""
    return [f"{value}{index}" for value in values for index in range(_PROPERTIES)]

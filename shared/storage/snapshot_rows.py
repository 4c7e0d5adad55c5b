"""Rows of the catalog as lines of text, in which a backup keeps them: every property with its value and type."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from azure.data.tables import EdmType, EntityProperty

from shared.storage import keys
from shared.storage.properties import int64

_MARK: Final = "type"
_VALUE: Final = "value"


def line_of(entity: Mapping[str, Any]) -> bytes:
    """A row as one line, with a line feed. Raises ValueError for a type of property that no row of ours has."""
    text = json.dumps({name: _kept(value) for name, value in entity.items()}, separators=(",", ":"))
    return text.encode() + b"\n"


def entity_of(line: bytes) -> dict[str, Any]:
    """The row of which `line_of` made the line. Raises ValueError, also in the form of KeyError, for another line."""
    return {name: _value(kept) for name, kept in json.loads(line).items()}


def is_instance(entity: Mapping[str, Any]) -> bool:
    """Whether a row is an instance's."""
    return keys.is_instance_row(str(entity["RowKey"]))


def is_study(entity: Mapping[str, Any]) -> bool:
    """Whether a row is a study's own."""
    return bool(entity["RowKey"] == keys.STUDY_ROW)


def _kept(value: Any) -> Any:
    match value:
        case str() | bool() | int():  # in JSON they are told apart
            return value
        case bytes():
            return {_MARK: "binary", _VALUE: b64encode(value).decode()}
        case datetime():
            return {_MARK: "time", _VALUE: value.isoformat()}
        case EntityProperty(edm_type=EdmType.INT64):
            return {_MARK: "int64", _VALUE: value.value}
    raise ValueError(f"no row of the catalog has a value of type {type(value).__name__}")


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "binary": b64decode,
    "time": datetime.fromisoformat,
    "int64": int64,
}


def _value(kept: Any) -> Any:
    return _READ[kept[_MARK]](kept[_VALUE]) if isinstance(kept, dict) else kept

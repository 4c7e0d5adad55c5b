"""The values of table rows: their types, their form in JSON, and how large a row may be."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from tests.support.storage_messages import StorageError

STRING: Final = "Edm.String"
INT32: Final = "Edm.Int32"
INT64: Final = "Edm.Int64"
DOUBLE: Final = "Edm.Double"
BOOLEAN: Final = "Edm.Boolean"
DATE_TIME: Final = "Edm.DateTime"
GUID: Final = "Edm.Guid"
BINARY: Final = "Edm.Binary"

_ANNOTATION: Final = "@odata.type"
_SYSTEM: Final = ("PartitionKey", "RowKey", "Timestamp")
_PLAIN: Final = {str: STRING, int: INT32, float: DOUBLE, bool: BOOLEAN}
_UNTYPED: Final = (STRING, INT32, DOUBLE, BOOLEAN)  # as JSON has them

_MAX_PROPERTIES: Final = 252
_MAX_PROPERTY_BYTES: Final = 64 * 1024
_MAX_ROW_BYTES: Final = 1024**2
_MAX_KEY_BYTES: Final = 1024
_FORBIDDEN_IN_KEYS: Final = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")
_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_TICKS: Final = 10_000_000  # of a second
_DATE_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,7}))?(?:Z|\+00:00)?")


class Value(NamedTuple):
    """A value of a row; a time is in ticks of 100 ns since 1601."""

    kind: str
    content: Any


Properties = dict[str, Value]


def plain_value(content: Any) -> Value:
    """A value whose type JSON tells."""
    kind = _PLAIN[type(content)]
    if kind == INT32 and not -(2**31) <= content < 2**31:
        kind = INT64
    return Value(kind, content)


def parsed_value(content: Any, kind: str) -> Value:
    """A value of a type that is stated. Raises StorageError."""
    try:
        return Value(kind, _PARSERS[kind](content))
    except (KeyError, TypeError, ValueError):
        raise StorageError(400, "InvalidInput", f"Not a value of {kind}.") from None


def ticks_of(moment: datetime) -> int:
    """A time in ticks."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 10


def time_of(ticks: int) -> datetime:
    """The time of so many ticks, to the microsecond."""
    return _EPOCH + timedelta(microseconds=ticks // 10)


def formatted_time(ticks: int) -> str:
    """A time as JSON and ETags have it."""
    seconds, fraction = divmod(ticks, _TICKS)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction:07}Z"


def properties_of(entity: Mapping[str, Any]) -> Properties:
    """The properties of an entity in JSON; those that are null do not exist. Raises StorageError."""
    found = {}
    for name, content in entity.items():
        if name.endswith(_ANNOTATION) or name.startswith("odata.") or name == "Timestamp" or content is None:
            continue
        kind = entity.get(f"{name}{_ANNOTATION}")
        found[name] = plain_value(content) if kind is None else parsed_value(content, kind)
    return found


def entity_of(properties: Mapping[str, Value]) -> Iterator[tuple[str, Any]]:
    """The same in JSON, with the types that it does not tell."""
    for name, (kind, content) in properties.items():
        if kind not in _UNTYPED:
            yield f"{name}{_ANNOTATION}", kind
        yield name, _FORMATS[kind](content) if kind in _FORMATS else content


def check_row(properties: Mapping[str, Value]) -> None:
    """Raises StorageError for a row that is over a limit."""
    own = {name: value for name, value in properties.items() if name not in _SYSTEM}
    if len(own) > _MAX_PROPERTIES:
        raise StorageError(400, "TooManyProperties")
    for name in ("PartitionKey", "RowKey"):
        _check_key(properties[name].content)
    sizes = {name: _size_bytes(value) for name, value in own.items()}
    if any(size > _MAX_PROPERTY_BYTES for size in sizes.values()):
        raise StorageError(400, "PropertyValueTooLarge")
    keys = sum(2 * len(properties[name].content) for name in ("PartitionKey", "RowKey"))
    if 4 + keys + sum(8 + 2 * len(name) + size for name, size in sizes.items()) > _MAX_ROW_BYTES:
        raise StorageError(400, "EntityTooLarge")


def _check_key(key: str) -> None:
    if 2 * len(key) > _MAX_KEY_BYTES:
        raise StorageError(400, "KeyValueTooLarge")
    if _FORBIDDEN_IN_KEYS.search(key):
        raise StorageError(400, "OutOfRangeInput")


def _size_bytes(value: Value) -> int:
    if value.kind == STRING:
        return len(value.content.encode("utf-16-le"))
    return len(value.content) if value.kind == BINARY else 16


def _ticks(text: str) -> int:
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError(text)
    whole = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    return ticks_of(whole) + int((found[2] or "").ljust(7, "0"))


_PARSERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    STRING: str,
    INT32: int,
    INT64: int,
    DOUBLE: float,
    BOOLEAN: bool,
    DATE_TIME: _ticks,
    GUID: lambda text: str(UUID(text)),
    BINARY: lambda text: b64decode(text, validate=True),
}
_FORMATS: Final[Mapping[str, Callable[[Any], Any]]] = {
    INT64: str,
    DATE_TIME: formatted_time,
    BINARY: lambda content: b64encode(content).decode(),
}

"""The queries of rows of tables, in the form of OData 3 that table storage takes, and the rows of its answers. Pure."""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from azure.data.tables import EdmType, EntityProperty

_OF_STORAGE: Final = "odata."
_TYPE: Final = "@odata.type"


class Row(dict[str, Any]):
    """A row's properties; `metadata` is its `etag` and its `timestamp`, None where Timestamp was not asked for."""

    __slots__ = ("metadata",)

    metadata: Mapping[str, Any]


def query_text(options: Mapping[str, str | int | None]) -> str:
    """The query of a URL, without the options that are None."""
    return "&".join(f"{name}={quote(str(value), safe='')}" for name, value in options.items() if value is not None)


def selection_text(select: Sequence[str] | None) -> str | None:
    """The option `$select`: these properties, or all."""
    return ",".join(select) if select else None


def filter_text(query: str, parameters: Mapping[str, str | datetime]) -> str:
    """The option `$filter`: a query in which each word `@name` stands for a parameter."""
    return " ".join(_literal(parameters[word[1:]]) if word.startswith("@") else word for word in query.split(" "))


def time_text(time: datetime) -> str:
    """A time as storage writes it."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def rows_of(content: bytes, *, is_page: bool) -> list[Row]:
    """The rows of an answer: of a page, or the only one. Raises ValueError where it has none."""
    try:
        found = json.loads(content)
        return [_row(one) for one in (found["value"] if is_page else [found])]
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("It holds no rows.") from error


def _literal(value: str | datetime) -> str:
    if isinstance(value, datetime):
        return f"datetime'{time_text(value)}'"
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def _row(found: Mapping[str, Any]) -> Row:
    row = Row()
    for name, value in found.items():
        if name.startswith(_OF_STORAGE) or name.endswith(_TYPE) or name == "Timestamp":
            continue
        edm_type = found.get(f"{name}{_TYPE}")
        if convert := _CONVERSIONS.get(edm_type):
            row[name] = convert(value)
        else:
            row[name] = value if edm_type in _PLAIN else EntityProperty(value, EdmType(edm_type))
    written, etag = found.get("Timestamp"), found.get("odata.etag")
    if written and not etag:  # storage makes it so
        etag = f"W/\"datetime'{quote(written)}'\""
    row.metadata = {"etag": etag, "timestamp": datetime.fromisoformat(written) if written else None}
    return row


_CONVERSIONS: Final[Mapping[str | None, Callable[[Any], Any]]] = {
    EdmType.BINARY: b64decode,
    EdmType.DATETIME: datetime.fromisoformat,
    EdmType.INT64: lambda text: EntityProperty(int(text), EdmType.INT64),
}
_PLAIN: Final = (None, EdmType.STRING, EdmType.INT32, EdmType.BOOLEAN, EdmType.DOUBLE)

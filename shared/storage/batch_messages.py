"""Entity group transactions as HTTP messages: a batch of operations on rows of one table partition. Pure.

A batch is a multipart message whose only part is a multipart message, of an HTTP request for each operation; its answer
is alike. This is the form of OData 3 that table storage takes (Microsoft's "Performing entity group transactions").
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from azure.core import MatchConditions
from azure.data.tables import EdmType, EntityProperty, UpdateMode

from shared.multipart import (
    Headers,
    MessageEnd,
    MultipartDecoder,
    MultipartEncoder,
    MultipartError,
    MultipartLimitExceeded,
    MultipartLimits,
    PartBegin,
    PartData,
    PartEnd,
    new_boundary,
)

Operation = tuple[Any, ...]
"""An operation as the SDK takes it: "create", "upsert", "update" or "delete", the row, and options if there are any."""

_MIXED: Final = re.compile(r"multipart/mixed;\s*boundary=\"?([^\";]+)\"?", re.IGNORECASE)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[^\r\n]*\r\n")
_INDEX: Final = re.compile(r"([0-9]{1,3}):")
_LIMITS: Final = MultipartLimits(max_parts=100, max_total_bytes=16 * 1024**2)
_PART: Final = Headers({"Content-Type": "application/http", "Content-Transfer-Encoding": "binary"})
_METHODS: Final = {UpdateMode.REPLACE: "PUT", UpdateMode.MERGE: "PATCH"}


class MalformedAnswer(ValueError):
    """What came is not the answer to a batch, or is cut."""


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """The body of a batch, and its Content-Type."""

    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class BatchFailure:
    """Why storage refused a batch, all of it: `index`, from 0, is that of the operation it blames, else 0."""

    status: int
    error_code: str
    message: str
    index: int


def batch_request(table_url: str, operations: Iterable[Operation]) -> BatchRequest:
    """The request for a batch on the table at an absolute URL, which ends with its name.

    Raises TypeError for a value that no property can hold, ValueError for an operation or option that there is not.
    """
    changes = [
        (Headers({**_PART, "Content-ID": str(index)}), _request(table_url, *operation))
        for index, operation in enumerate(operations)
    ]
    changeset = _message("changeset", changes)
    return _message("batch", [(Headers({"Content-Type": changeset.content_type}), changeset.body)])


def answer_to_batch(content_type: str, body: bytes) -> list[str | None] | BatchFailure:
    """The ETags of the rows that a batch has written, in the order of its operations, None for one that has gone.

    Or why it was refused. Raises MalformedAnswer.
    """
    try:
        ((headers, changeset),) = _parts(content_type, body)
        found = headers.get("Content-Type", "")
        parts = [part for _, part in _parts(found, changeset)] if _MIXED.match(found) else [changeset]
        answers = [_answer(part) for part in parts]
    except (MultipartError, MultipartLimitExceeded, ValueError) as error:
        raise MalformedAnswer from error
    for status, _, content in answers:
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return failure_of(status, content)
    return [headers.get("ETag") for _, headers, _ in answers]


def failure_of(status: int, content: bytes) -> BatchFailure:
    """What an answer with this status and body says."""
    error_code, message = "", ""
    try:
        error = json.loads(content)["odata.error"]
        error_code, message = str(error["code"]), str(error["message"]["value"])
    except (KeyError, TypeError, ValueError, RecursionError):
        message = "Storage did not say why."
    index = _INDEX.match(message)
    return BatchFailure(status, error_code, message, int(index[1]) if index else 0)


def _message(kind: str, parts: Sequence[tuple[Headers, bytes]]) -> BatchRequest:
    boundary = f"{kind}_{new_boundary()}"
    encoder = MultipartEncoder(boundary, type="")
    pieces = [piece for headers, body in parts for piece in _piece(encoder, headers, body)]
    return BatchRequest(f"multipart/mixed; boundary={boundary}", b"".join([*pieces, encoder.send(MessageEnd())]))


def _piece(encoder: MultipartEncoder, headers: Headers, body: bytes) -> Iterator[bytes]:
    yield encoder.send(PartBegin(headers))
    yield encoder.send(PartData(body))
    yield encoder.send(PartEnd())


def _request(table_url: str, kind: str, row: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> bytes:
    """The HTTP request for one operation."""
    given = dict(options or {})
    condition = _condition(given.pop("etag", None), given.pop("match_condition", None))
    mode = given.pop("mode", UpdateMode.MERGE)
    if given or (kind in ("create", "upsert") and condition is not None):
        raise ValueError(f"There is no such option of {kind}.")
    url = table_url if kind == "create" else f"{table_url}({_key(row)})"
    match kind:
        case "create":
            head = f"POST {url} HTTP/1.1\r\nPrefer: return-no-content\r\n"
        case "upsert":
            head = f"{_METHODS[mode]} {url} HTTP/1.1\r\n"
        case "update":
            head = f"{_METHODS[mode]} {url} HTTP/1.1\r\nIf-Match: {condition or '*'}\r\n"
        case "delete":
            return f"DELETE {url} HTTP/1.1\r\nIf-Match: {condition or '*'}\r\n{_ACCEPT}\r\n".encode()
        case _:
            raise ValueError(f"There is no operation {kind!r}.")
    content = row_json(row)
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n{_ACCEPT}\r\n".encode() + content


_ACCEPT: Final = "Accept: application/json;odata=nometadata\r\nDataServiceVersion: 3.0\r\n"


def _condition(etag: str | None, match_condition: MatchConditions | None) -> str | None:
    if match_condition is None and etag is None:
        return None
    if match_condition is not MatchConditions.IfNotModified or not etag:
        raise ValueError("A condition is an ETag that must not have changed.")
    return etag


def _key(row: Mapping[str, Any]) -> str:
    partition, name = (quote(row[key].replace("'", "''"), safe="") for key in ("PartitionKey", "RowKey"))
    return f"PartitionKey='{partition}',RowKey='{name}'"


def row_json(row: Mapping[str, Any]) -> bytes:
    """A row as JSON with the types of its properties, in UTF-8. Raises TypeError for a value that none can hold."""
    return json.dumps(dict(_properties(row)), separators=(",", ":")).encode()


def _properties(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        match value:
            case None:
                continue
            case str() | bool():
                yield name, str(value) if isinstance(value, str) else value
            case int() if -(2**31) <= value < 2**31:
                yield name, value
            case bytes():
                yield from _typed(name, EdmType.BINARY, b64encode(value).decode())
            case datetime():
                yield from _typed(name, EdmType.DATETIME, value.astimezone(UTC).isoformat().replace("+00:00", "Z"))
            case EntityProperty(value=int(number), edm_type=EdmType.INT64) if -(2**63) <= number < 2**63:
                yield from _typed(name, EdmType.INT64, str(number))
            case _:
                raise TypeError(f"The property {name} has a value that a row does not hold.")


def _typed(name: str, edm_type: EdmType, value: str) -> Iterator[tuple[str, str]]:
    yield f"{name}@odata.type", edm_type.value
    yield name, value


def _parts(content_type: str, body: bytes) -> list[tuple[Headers, bytes]]:
    found = _MIXED.match(content_type)
    if not found:
        raise ValueError("It is not multipart/mixed.")
    decoder = MultipartDecoder(found[1], limits=_LIMITS)
    parts: list[tuple[Headers, bytes]] = []
    headers, pieces = Headers(), list[bytes]()
    decoder.receive_data(body)
    decoder.receive_data(b"")
    for event in decoder.events():
        match event:
            case PartBegin(headers):
                pieces = []
            case PartData(data):
                pieces.append(bytes(data))
            case PartEnd():
                parts.append((headers, b"".join(pieces)))
    return parts


def _answer(part: bytes) -> tuple[int, Headers, bytes]:
    """Status, headers and body of the HTTP answer that a part holds."""
    line = _STATUS_LINE.match(part)
    head, _, content = part.partition(b"\r\n\r\n")
    if line is None:
        raise ValueError("It is no answer.")
    fields = head[line.end() :].decode("latin-1").split("\r\n") if len(head) > line.end() else []
    headers = Headers({name: value.strip() for name, _, value in (field.partition(":") for field in fields)})
    return int(line[1]), headers, content

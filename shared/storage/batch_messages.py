"""Entity group transactions as HTTP messages: a batch of operations on rows of one table partition. Pure.

A batch is a multipart message whose only part is a multipart message, of an HTTP request for each operation; its answer
is alike (Microsoft's "Performing entity group transactions").
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

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
from shared.storage.row_requests import RowRequest

_MIXED: Final = re.compile(r"multipart/mixed *; *boundary=\"?([^\";]+)\"?", re.IGNORECASE)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r\n")
_ETAG: Final = re.compile(rb"^etag:[ \t]*([ -~]+?)[ \t]*\r\n", re.IGNORECASE | re.MULTILINE)
_INDEX: Final = re.compile(r"([0-9]{1,3}):")
_LIMITS: Final = MultipartLimits(max_parts=100, max_total_bytes=16 * 1024**2)
_PART: Final = {"Content-Type": "application/http", "Content-Transfer-Encoding": "binary"}


class MalformedAnswer(ValueError):
    """What came is not the answer to what was sent, or is cut."""


@dataclass(frozen=True, slots=True)
class Message:
    """A multipart message, and its Content-Type."""

    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why storage refused a request: `index`, from 0, is that of the operation of a batch that it blames, else 0."""

    status: int
    error_code: str
    message: str
    index: int


def batch_message(requests: Sequence[RowRequest]) -> Message:
    """The body of the request for a batch."""
    parts = ((Headers({**_PART, "Content-ID": str(index)}), _http(one)) for index, one in enumerate(requests))
    changeset = _message("changeset", parts)
    return _message("batch", [(Headers({"Content-Type": changeset.content_type}), changeset.body)])


def answer_to_batch(requests: Sequence[RowRequest], content_type: str, body: bytes) -> list[str | None] | Refusal:
    """The ETags of the rows that a batch has written, in the order of its requests, None for one that has gone.

    Or why it was refused. Raises MalformedAnswer.
    """
    try:
        ((headers, content),) = _parts(content_type, body)
        inner = headers.get("Content-Type", "")
        parts = [part for _, part in _parts(inner, content)] if _MIXED.match(inner) else [content]
        answers = [_answer(part) for part in parts]
        refusals = (refusal_of(status, rest) for status, _, rest in answers if not is_success(status))
        if (refusal := next(refusals, None)) is not None:
            return refusal
        return [_written(request, etag) for request, (_, etag, _) in zip(requests, answers, strict=True)]
    except (MultipartError, MultipartLimitExceeded, ValueError) as error:
        raise MalformedAnswer from error


def is_success(status: int) -> bool:
    """Whether a request that was answered so has been carried out."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def refusal_of(status: int, content: bytes, error_code: str = "") -> Refusal:
    """What an answer with this status and body says, and the error code of its header where the body has none."""
    try:
        error = json.loads(content)["odata.error"]
        error_code, message = str(error["code"]), str(error["message"]["value"])
    except (KeyError, TypeError, ValueError, RecursionError):
        message = "Storage did not say why."
    index = _INDEX.match(message)
    return Refusal(status, error_code, message, int(index[1]) if index else 0)


def _message(kind: str, parts: Iterator[tuple[Headers, bytes]] | Sequence[tuple[Headers, bytes]]) -> Message:
    boundary = f"{kind}_{new_boundary()}"
    encoder = MultipartEncoder(boundary, type="")
    pieces: list[bytes] = []
    for headers, body in parts:
        pieces += (encoder.send(PartBegin(headers)), encoder.send(PartData(body)), encoder.send(PartEnd()))
    return Message(f"multipart/mixed; boundary={boundary}", b"".join([*pieces, encoder.send(MessageEnd())]))


def _http(request: RowRequest) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    length = f"Content-Length: {len(request.content)}\r\n" if request.content else ""
    return f"{request.method} {request.url} HTTP/1.1\r\n{fields}{length}\r\n".encode() + request.content


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
                pieces.append(data)
            case PartEnd():
                parts.append((headers, b"".join(pieces)))
    return parts


def _answer(part: bytes) -> tuple[int, str | None, bytes]:
    """Status, ETag and body of the HTTP answer that a part holds."""
    line = _STATUS_LINE.match(part)
    end = part.find(b"\r\n\r\n")
    if line is None or end < 0:
        raise ValueError("It is no answer.")
    etag = _ETAG.search(part, line.end(), end + 2)
    return int(line[1]), etag[1].decode() if etag else None, part[end + 4 :]


def _written(request: RowRequest, etag: str | None) -> str | None:
    if request.method == "DELETE":
        return None
    if etag is None:
        raise ValueError("A row was written and has no ETag.")
    return etag

"""Requests to storage and their answers, as HTTP carries them, and the batches of both."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from multidict import CIMultiDict


@dataclass(frozen=True, slots=True)
class Request:
    """A request: `path` has no slash before it and is still quoted, `query` is not."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @classmethod
    def of(cls, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Self:
        """A request to a URL, or to a path."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return cls(method, parts.path.removeprefix("/"), query, CIMultiDict(headers), body)

    def __str__(self) -> str:
        """What a trace calls it."""
        asked = " ".join(f"{key}={value}" for key, value in self.query.items() if key not in ("$select", "$top"))
        condition = self.headers.get("If-Match", "*")
        shown = [self.method, unquote(self.path), asked, f"if {unquote(condition)}" if condition != "*" else ""]
        if self.headers.get("Content-Type", "").startswith("multipart/mixed"):
            shown += [f"[{', '.join(map(str, batched_requests(self)))}]"]
        return " ".join(filter(None, shown))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def reason(self) -> str:
        """The words that go with the status."""
        return HTTPStatus(self.status).phrase


class StorageError(Exception):
    """A request that storage refuses, with one of Azure's error codes."""

    def __init__(self, status: int, code: str, message: str | None = None) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.message = message or code

    def as_json(self, index: int | None = None) -> Answer:
        """The answer of the table service; `index` is the place in a batch of the operation that failed."""
        prefix = "" if index is None else f"{index}:"
        value = {"lang": "en-US", "value": f"{prefix}{self.message}"}
        body = json.dumps({"odata.error": {"code": self.code, "message": value}}).encode()
        content_type = "application/json;odata=minimalmetadata"
        return Answer(self.status, {"Content-Type": content_type, "x-ms-error-code": self.code}, body)

    def as_xml(self) -> Answer:
        """The answer of the other services."""
        text = f"<Code>{self.code}</Code><Message>{escape(self.message)}</Message>"
        body = f'<?xml version="1.0" encoding="utf-8"?><Error>{text}</Error>'.encode()
        return Answer(self.status, {"Content-Type": "application/xml", "x-ms-error-code": self.code}, body)


def parts_of(body: bytes, content_type: str) -> Iterator[tuple[Mapping[str, str], bytes]]:
    """The headers and content of each part of a multipart message."""
    _, _, boundary = content_type.partition("boundary=")
    for part in body.split(b"--" + boundary.strip('"').encode())[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        yield _headers(head), content.removesuffix(b"\r\n")


def batched_requests(request: Request) -> list[Request]:
    """The requests that a batch holds, those of a change set too."""
    found = []
    for headers, content in parts_of(request.body, request.headers["Content-Type"]):
        if headers.get("Content-Type", "").startswith("multipart/mixed"):
            change_set = Request(request.method, request.path, {}, headers, content)
            found += batched_requests(change_set)
        else:
            found.append(_request_of(content))
    return found


def batch_answer(answers: Sequence[Answer], *, is_change_set: bool) -> Answer:
    """The answer of a batch."""
    body = _joined(answers, "parts")
    if is_change_set:
        outer = "Content-Type: multipart/mixed; boundary=parts\r\n\r\n"
        body = b"--whole\r\n" + outer.encode() + body + b"\r\n--whole--\r\n"
    boundary = "whole" if is_change_set else "parts"
    return Answer(202, {"Content-Type": f"multipart/mixed; boundary={boundary}"}, body)


def _joined(answers: Sequence[Answer], boundary: str) -> bytes:
    pieces = []
    for number, answer in enumerate(answers):
        head = f"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {number}\r\n\r\n"
        status = f"HTTP/1.1 {answer.status} {answer.reason}\r\n"
        headers = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        pieces.append(f"--{boundary}\r\n{head}{status}{headers}\r\n".encode() + answer.body + b"\r\n")
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def _request_of(content: bytes) -> Request:
    head, _, body = content.partition(b"\r\n\r\n")
    line, _, headers = head.partition(b"\r\n")
    method, url, _ = line.decode().split(" ")
    return Request.of(method, url, _headers(headers), body)


def _headers(head: bytes) -> Mapping[str, str]:
    lines = (line.partition(": ") for line in head.decode().split("\r\n") if line)
    return CIMultiDict((name, value) for name, _, value in lines)

"""Blob Storage, in memory: block blobs in containers, with their uncommitted blocks and leases."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import format_datetime
from typing import Final
from urllib.parse import unquote
from xml.etree import ElementTree

from tests.simulation.blob_leases import NO_LEASE, Lease, check_lease, leased
from tests.simulation.blob_lists import listed
from tests.simulation.table_values import time_of
from tests.support.storage_messages import Answer, Request, StorageError, batch_answer, batched_requests

MAX_PAGE_BLOBS: Final = 5000
_BUSY: Final = StorageError(503, "ServerBusy")
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True)
class Blob:
    """A committed blob as one operation left it; `blocks` are its block ids and their bytes, where it has any."""

    content: bytes
    content_type: str
    written: int
    etag: str
    blocks: Mapping[str, bytes] = field(default_factory=dict)
    lease: Lease = NO_LEASE


@dataclass(slots=True)
class Container:
    """A container: its blobs, and the blocks that are staged for blobs, by name."""

    blobs: dict[str, Blob] = field(default_factory=dict)
    staged: dict[str, dict[str, bytes]] = field(default_factory=dict)


class BlobService:
    """The blob service of an account.

    `now` is the time in ticks, `page_blobs` chooses how many blobs, of at most so many, a listing returns at once, and
    `refuses` whether one request of a batch is refused.
    """

    def __init__(self, now: Callable[[], int], page_blobs: Callable[[int], int], refuses: Callable[[], bool]) -> None:
        self._now = now
        self._page_blobs = page_blobs
        self._refuses = refuses
        self._writes = 0
        self._containers: dict[str, Container] = {}

    def answer(self, request: Request) -> Answer:
        """Carry out a request."""
        try:
            answer = self._answer(request)
        except StorageError as error:
            answer = error.as_xml()
        return replace(answer, body=b"") if request.method == "HEAD" else answer

    def _answer(self, request: Request) -> Answer:
        name, _, blob_name = unquote(request.path).partition("/")
        if request.query.get("restype") == "container":
            return self._of_container(name, request)
        container = self._container(name)
        action = _ACTIONS.get((request.method, request.query.get("comp")))
        if action is None:
            raise StorageError(400, "UnsupportedQueryParameter")
        return action(self, container, blob_name, request)

    def _of_container(self, name: str, request: Request) -> Answer:
        if request.method == "PUT":
            if name in self._containers:
                raise StorageError(409, "ContainerAlreadyExists")
            self._containers[name] = Container()
            return Answer(201)
        container = self._container(name)
        match request.query.get("comp"):
            case "list":
                most = min(int(request.query.get("maxresults", MAX_PAGE_BLOBS)), MAX_PAGE_BLOBS)
                return listed(container.blobs, request.query, self._page_blobs(most))
            case "batch":
                requests = batched_requests(request)
                answers = [_BUSY.as_xml() if self._refuses() else self.answer(one) for one in requests]
                return batch_answer([replace(answer, body=b"") for answer in answers], is_change_set=False)
        return Answer(200, {"Last-Modified": _http_date(self._now()), "ETag": '"0x0"'})

    def _container(self, name: str) -> Container:
        if name not in self._containers:
            raise StorageError(404, "ContainerNotFound")
        return self._containers[name]

    def _put(self, container: Container, name: str, request: Request) -> Answer:
        return self._write(container, name, request, request.body, {})

    def _stage(self, container: Container, name: str, request: Request) -> Answer:
        blob = container.blobs.get(name)
        if blob is not None:
            check_lease(blob.lease, request, self._now())
        staged = container.staged.setdefault(name, {})
        block_id = request.query["blockid"]
        if any(len(other) != len(block_id) for other in staged):
            raise StorageError(400, "InvalidBlobOrBlock")
        staged[block_id] = request.body
        return Answer(201)

    def _commit(self, container: Container, name: str, request: Request) -> Answer:
        staged = container.staged.get(name, {})
        before = self._before(container, name, request)
        committed = before.blocks if before is not None else {}
        places = {"Latest": {**committed, **staged}, "Uncommitted": staged, "Committed": committed}
        blocks = []
        for element in ElementTree.fromstring(request.body):  # noqa: S314 -- the SDK made it
            block_id = element.text or ""
            if block_id not in places[element.tag]:
                raise StorageError(400, "InvalidBlockList", "The specified block list is invalid.")
            blocks.append((block_id, places[element.tag][block_id]))
        content = b"".join(block for _, block in blocks)
        return self._write(container, name, request, content, dict(blocks))

    def _before(self, container: Container, name: str, request: Request) -> Blob | None:
        """What is to be overwritten, if anything. Raises StorageError where it may not be."""
        before = container.blobs.get(name)
        _check_conditions(before, request, "BlobAlreadyExists")
        if before is not None:
            check_lease(before.lease, request, self._now())
        return before

    def _write(
        self, container: Container, name: str, request: Request, content: bytes, blocks: Mapping[str, bytes]
    ) -> Answer:
        before = self._before(container, name, request)
        self._writes += 1
        content_type = request.headers.get("x-ms-blob-content-type", "application/octet-stream")
        lease = before.lease if before is not None and before.lease.is_held(self._now()) else NO_LEASE
        blob = Blob(content, content_type, self._now(), f'"0x{self._writes:X}"', blocks, lease)
        container.blobs[name] = blob
        container.staged.pop(name, None)
        return Answer(201, {"ETag": blob.etag, "Last-Modified": _http_date(blob.written)})

    def _get(self, container: Container, name: str, request: Request) -> Answer:
        blob = _existing(container, name)
        _check_conditions(blob, request, "ConditionNotMet")
        headers = _headers_of(blob)
        asked = request.headers.get("x-ms-range") or request.headers.get("Range")
        found = _RANGE.fullmatch(asked) if asked else None
        if found is None:
            return Answer(200, {**headers, "Content-Length": str(len(blob.content))}, blob.content)
        first = int(found[1])
        content = blob.content[first : int(found[2]) + 1 if found[2] else None]
        if first >= len(blob.content):
            raise StorageError(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {first}-{first + len(content) - 1}/{len(blob.content)}"
        return Answer(206, {**headers, "Content-Length": str(len(content))}, content)

    def _properties(self, container: Container, name: str, request: Request) -> Answer:
        blob = _existing(container, name)
        _check_conditions(blob, request, "ConditionNotMet")
        return Answer(200, {**_headers_of(blob), "Content-Length": str(len(blob.content))})

    def _delete(self, container: Container, name: str, request: Request) -> Answer:
        blob = _existing(container, name)
        _check_conditions(blob, request, "ConditionNotMet")
        check_lease(blob.lease, request, self._now())
        del container.blobs[name]
        return Answer(202)

    def _lease(self, container: Container, name: str, request: Request) -> Answer:
        blob = _existing(container, name)
        lease, answer = leased(blob.lease, request, self._now())
        container.blobs[name] = replace(blob, lease=lease)
        return answer


_Action = Callable[[BlobService, Container, str, Request], Answer]
_ACTIONS: Final[Mapping[tuple[str, str | None], _Action]] = {
    ("PUT", None): BlobService._put,
    ("PUT", "block"): BlobService._stage,
    ("PUT", "blocklist"): BlobService._commit,
    ("PUT", "lease"): BlobService._lease,
    ("GET", None): BlobService._get,
    ("HEAD", None): BlobService._properties,
    ("DELETE", None): BlobService._delete,
}


def _existing(container: Container, name: str) -> Blob:
    if name not in container.blobs:
        raise StorageError(404, "BlobNotFound", "The specified blob does not exist.")
    return container.blobs[name]


def _check_conditions(blob: Blob | None, request: Request, code_of_any: str) -> None:
    """Raises StorageError unless If-Match and If-None-Match are met; `code_of_any` is for If-None-Match of any blob."""
    expected, unexpected = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if expected is not None and (blob is None or expected not in ("*", blob.etag)):
        raise StorageError(412, "ConditionNotMet", "The condition specified was not met.")
    if unexpected is not None and blob is not None and unexpected in ("*", blob.etag):
        status = 304 if request.method in ("GET", "HEAD") else 409 if unexpected == "*" else 412
        raise StorageError(status, code_of_any if unexpected == "*" else "ConditionNotMet")


def _headers_of(blob: Blob) -> dict[str, str]:
    return {
        "Content-Type": blob.content_type,
        "ETag": blob.etag,
        "Last-Modified": _http_date(blob.written),
        "x-ms-blob-type": "BlockBlob",
        "Content-MD5": b64encode(hashlib.md5(blob.content, usedforsecurity=False).digest()).decode(),
    }


def _http_date(ticks: int) -> str:
    return format_datetime(time_of(ticks), usegmt=True)

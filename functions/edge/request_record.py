"""What one request is and takes: noted while it is answered, then a line in the log and a span in Application Insights.

Both name the function, not the URL: paths may hold anything, and queries hold patients' names.
"""

import logging
import re
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Self
from uuid import uuid4

from starlette.requests import Request

from functions.edge.loop_probe import Stalls
from shared.dicom.identifiers import is_uid
from shared.storage.storage_use import StorageUse
from shared.web.http_function import HttpFunction

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")

_logger = logging.getLogger("dicomweb.request")


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """One request. `end`: "whole", "left" by its client, or "cut" by a failure of ours.

    `trace_id` and `parent_id` come from its traceparent (W3C Trace Context); without one, `trace_id` is made up.
    """

    function: HttpFunction
    method: str
    study_instance_uid: str | None
    trace_id: str
    parent_id: str | None
    storage: StorageUse = field(default_factory=StorageUse)
    stalls: Stalls = field(default_factory=Stalls)
    started: int = field(default_factory=time.time_ns)
    ticks: int = field(default_factory=time.perf_counter_ns)
    nanoseconds: int = 0
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    end: str = "whole"
    cause: str | None = None

    @classmethod
    def of(cls, req: Request, function: HttpFunction) -> Self:
        """The record of a request that starts now."""
        found = _TRACEPARENT.fullmatch(req.headers.get("traceparent", ""))
        study = req.path_params.get("study", "")
        return cls(
            function=function,
            method=req.method,
            study_instance_uid=study if is_uid(study) else None,
            trace_id=found[1] if found else uuid4().hex,
            parent_id=found[2] if found else None,
        )

    @property
    def has_failed(self) -> bool:
        """Whether the service failed, not the client."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR or self.end == "cut"

    def log(self) -> None:
        """Write the request's line, as an error where the service failed."""
        self.nanoseconds = time.perf_counter_ns() - self.ticks
        values = {
            "transaction": self.function.name,
            "method": self.method,
            "status": self.status,
            "ms": self.nanoseconds // 1_000_000,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "storage": self.storage.operations.total(),
            "retries": self.storage.retries.total(),
            "stall_ms": int(self.stalls.longest_seconds * 1000),
            "trace": self.trace_id,
            "study": self.study_instance_uid,
            "end": self.end,
            "cause": f'"{self.cause}"' if self.cause else None,
        }
        line = " ".join(f"{name}={value}" for name, value in values.items() if value is not None)
        _logger.log(logging.ERROR if self.has_failed else logging.INFO, "%s", line)


def trace_id_of(req: Request) -> str:
    """The trace that a request belongs to, as in its log line."""
    trace_id: str = req.scope["trace_id"]
    return trace_id

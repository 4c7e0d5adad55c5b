"""Counts an archive's storage operations: each HTTP request is one, as is a batch of rows or blobs."""

import re
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from azure.core.pipeline.transport import AioHttpTransport

from local.azurite import ACCOUNT


class Counting(AioHttpTransport):  # type: ignore[misc] # the SDK exports it untyped
    """Sends everything, and counts it: `operations` by method and by table or container."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()

    async def send(self, request: Any, **options: Any) -> Any:
        self.operations[operation_of(request)] += 1
        return await super().send(request, **options)


def operation_of(request: Any) -> str:
    """A request's operation: its method, and the table or container."""
    return f"{request.method} {_store(request)}"


def _store(request: Any) -> str:
    """The table or container that a request is for; a batch names it only in its operations."""
    name = urlsplit(request.url).path.split("/")[2].partition("(")[0]
    found = re.search(rf"/{ACCOUNT}/(\w+)", str(request.data)) if name == "$batch" else None
    return found[1] if found else name

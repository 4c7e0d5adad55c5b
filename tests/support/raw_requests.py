"""Requests as bytes on the wire, which no client corrects."""

import json
import socket
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit


def get(base_url: str, target: bytes) -> tuple[int, Any]:
    """The status and JSON document, if any, of the answer to GET of `target`, a path with its query."""
    url = urlsplit(base_url)
    with socket.create_connection((url.hostname or "", url.port or 80), timeout=60) as connection:
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: test\r\nAccept: */*\r\nConnection: close\r\n\r\n" % target)
        response = HTTPResponse(connection)
        response.begin()
        body = response.read()
    is_json = "json" in (response.getheader("Content-Type") or "")
    return response.status, json.loads(body) if is_json else None

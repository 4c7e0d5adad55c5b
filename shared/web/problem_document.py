"""Problem documents (RFC 9457): an error as the body of an answer, or as a part in the place of what it spoils."""

import json
from http import HTTPStatus
from typing import Final

PROBLEM: Final = "application/problem+json"


def problem_document(status: HTTPStatus, detail: str) -> bytes:
    """The document of an error."""
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    return json.dumps(body).encode()
